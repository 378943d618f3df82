"""`exact`: the answer is the reference, except for white space and Unicode forms.

Both are brought to Unicode NFC, runs of blanks and new lines become one blank, and blanks at the
ends go. With `?case=ignore` they are also case-folded. The whole answer is compared first, then
the final answer in it (`tessy.verifiers.extract`).
"""

from __future__ import annotations

import unicodedata

from tessy.verifiers.extract import final_answer
from tessy.verifiers.protocol import Row, Verdict, VerdictOutcome, required_text, shorten


class ExactVerifier:
    """Compares texts.

    Args:
        column: The column of the right answer.
        ignore_case: Whether `Paris` and `paris` are the same.
    """

    def __init__(self, column: str = "answer", *, ignore_case: bool = False) -> None:
        self.name = "exact"
        self._column = column
        self._ignore_case = ignore_case

    def check(self, row: Row) -> None:
        """Check that there is a reference: text, or a number."""
        required_text(row, self._column, self.name)

    async def verify(self, row: Row, answer: str) -> Verdict:
        """Compare the answer, and the final answer in it, with the reference."""
        right = self._normal(required_text(row, self._column, self.name))
        found = final_answer(answer)
        if found is None:
            return Verdict(VerdictOutcome.NO_ANSWER, detail="the answer is empty")
        is_right = right in (self._normal(answer), self._normal(found.text))
        said = shorten(found.text)
        return Verdict.of(is_right, said if is_right else f"{said}, not {shorten(right)}")

    async def aclose(self) -> None:
        """Nothing was started."""

    def _normal(self, text: str) -> str:
        text = " ".join(unicodedata.normalize("NFC", text).split())
        return text.casefold() if self._ignore_case else text
