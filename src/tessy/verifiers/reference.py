"""Verifiers that compare the answer's text with a reference, by a pure function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tessy.verifiers.limits import VerifierSettings
from tessy.verifiers.protocol import Row, Verdict, VerdictOutcome
from tessy.verifiers.workers import AnswerReader, CheckFailed


class ReferenceVerifier:
    """Compares answers with the references of questions.

    Args:
        name: The verifier's name.
        given: What `compare` needs of a question besides the answer, as JSON has it; `right` is the
            reference. It raises a `DataError` if a question has no reference.
        compare: A function as `AnswerReader` takes it. It returns what the answer says, None if it
            says nothing; and whether that is right.
        nothing: The detail of a verdict where the answer says nothing.
        settings: How many long answers are read at once.
    """

    def __init__(
        self,
        name: str,
        given: Callable[[Row], dict[str, Any]],
        compare: Callable[..., tuple[str | None, bool]],
        nothing: str,
        settings: VerifierSettings,
    ) -> None:
        self.name = name
        self._given = given
        self._compare = AnswerReader(compare, settings)
        self._nothing = nothing

    def check(self, row: Row) -> None:
        """Check that there is a reference that can be compared with."""
        self._given(row)

    async def verify(self, row: Row, answer: str) -> Verdict:
        """Compare the answer with the reference."""
        given = self._given(row)
        try:
            said, is_right = await self._compare(answer, **given)
        except CheckFailed as error:
            return Verdict(VerdictOutcome.ERROR, detail=str(error))
        if said is None:
            return Verdict(VerdictOutcome.NO_ANSWER, detail=self._nothing)
        return Verdict.compared(said, given["right"], is_right=is_right)

    async def aclose(self) -> None:
        """End what reads long answers."""
        await self._compare.aclose()
