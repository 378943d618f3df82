"""What a verifier is: it says whether a response answers its question. Pure; no I/O.

A verifier reads what it needs (the reference, tests) from the question's columns. `check` is
asked of every question before any work is spent, so that a missing column ends a run at its
start; a bad *answer* is data, a `Verdict`, and never an exception.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

Row = Mapping[str, Any]
"""A question's columns: `Question.extra`, and its text as `prompt` where a verifier may need it."""


class Outcome(StrEnum):
    """What came of verifying one answer."""

    RIGHT = "right"
    """The answer is right."""
    WRONG = "wrong"
    """There is an answer, and it is not right."""
    NO_ANSWER = "no_answer"
    """Nothing in the response could be an answer (no number, no letter, no program)."""
    ERROR = "error"
    """The verifier or the reference could not be used: nothing is known about the answer."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verifier says of one answer.

    Attributes:
        outcome: Right, wrong, or why neither can be said.
        score: From 0 to 1; for tests, the share that passed.
        detail: What was compared or went wrong; a line for people.
    """

    outcome: Outcome
    score: float = 0.0
    detail: str = ""

    @property
    def passed(self) -> bool:
        """Whether the answer counts as right."""
        return self.outcome is Outcome.RIGHT

    @classmethod
    def of(cls, right: bool, detail: str = "") -> Verdict:
        """The verdict of a verifier that knows only right and wrong."""
        return cls(Outcome.RIGHT, 1.0, detail) if right else cls(Outcome.WRONG, 0.0, detail)


@runtime_checkable
class Verifier(Protocol):
    """Says whether answers are right.

    One verifier serves many answers at once; how much of its work runs at the same time is its
    own affair. Close it when all is done: `async with contextlib.aclosing(verifier): …`.

    Attributes:
        name: What records and reports call it.
    """

    name: str

    def check(self, row: Row) -> None:
        """See whether a question can be verified at all.

        Args:
            row: The question's columns.

        Raises:
            InputError: A column is missing or of no use; the message names it.
        """
        ...

    async def verify(self, row: Row, answer: str) -> Verdict:
        """Say whether an answer is right.

        Args:
            row: The question's columns, which passed `check`.
            answer: The final answer part of a response, without its thinking.
        """
        ...

    async def aclose(self) -> None:
        """End what it started: processes, temporary files."""
        ...
