"""What a verifier is: it decides whether a response answers its question. Pure; no I/O.

A verifier reads what it needs (the reference, tests) from the question's columns. `check` runs on
every question before any work, so that a missing column ends a run at its start. A bad *answer*
is data, a `Verdict`, and never an exception.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from tessy.errors import DataError, meant
from tessy.method.trajectory import Failure

Row = Mapping[str, Any]
"""A question's columns: `Question.extra`, and its text as `prompt` where a verifier may need it."""


class VerdictOutcome(StrEnum):
    """The result of verifying one answer."""

    RIGHT = "right"
    """The answer is right."""
    WRONG = "wrong"
    """There is an answer, and it is not right."""
    NO_ANSWER = "no_answer"
    """Nothing in the response could be an answer (no number, no letter, no program)."""
    ERROR = "error"
    """The verifier or the reference could not be used: nothing is known about the answer."""


def outcome_of(record: Any) -> VerdictOutcome | None:
    """What a verifier decided about a sample; None without one, or of a stranger's.

    A sample that it rejected is wrong, also in runs that do not keep the verdict on it.
    """
    verdict = record.get("verdict")
    outcome = verdict.get("outcome") if isinstance(verdict, dict) else None
    if outcome is None and "method" not in record and record.get("reason") == Failure.REJECTED:
        return VerdictOutcome.WRONG
    return next((each for each in VerdictOutcome if each == outcome), None)


def not_right(outcomes: Mapping[VerdictOutcome | None, int]) -> str | None:
    """What is not known to be right, in a phrase; None if nothing is, or nothing was verified.

    Args:
        outcomes: How many there are by verdict; None for those without.
    """
    there = {outcome: count for outcome, count in outcomes.items() if count}
    if not there.keys() - {None}:
        return None
    others = [
        f"{there[outcome]:,} {outcome.replace('_', ' ')}"
        for outcome in VerdictOutcome
        if outcome is not VerdictOutcome.RIGHT and outcome in there
    ]
    others += [f"{there[None]:,} not verified"] if None in there else []
    return ", ".join(others) or None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verifier's decision about one answer.

    Attributes:
        outcome: Right, wrong, or why neither is known.
        score: From 0 to 1; for tests, the share that passed.
        detail: What was compared, or what went wrong; a line for people.
    """

    outcome: VerdictOutcome
    score: float = 0.0
    detail: str = ""

    @property
    def passed(self) -> bool:
        """Whether the answer counts as right."""
        return self.outcome is VerdictOutcome.RIGHT

    @classmethod
    def of(cls, right: bool, detail: str = "") -> Verdict:
        """The verdict where there is only right and wrong."""
        outcome = VerdictOutcome.RIGHT if right else VerdictOutcome.WRONG
        return cls(outcome, float(right), detail)

    @classmethod
    def compared(cls, said: str, right: str, *, is_right: bool) -> Verdict:
        """The verdict on what an answer says, beside what is right."""
        said = shorten(said)
        return cls.of(is_right, said if is_right else f"{said}, not {shorten(right)}")


@runtime_checkable
class Verifier(Protocol):
    """Decides whether answers are right.

    One verifier serves many answers at once; how much of its work runs at the same time is up to
    it. Close it at the end: `async with contextlib.aclosing(verifier): …`.

    Attributes:
        name: Its name in records and reports.
    """

    name: str

    def check(self, row: Row) -> None:
        """Check whether a question can be verified at all.

        Args:
            row: The question's columns.

        Raises:
            InputError: A column is missing or can't be used; the message names it.
        """
        ...

    async def verify(self, row: Row, answer: str) -> Verdict:
        """Decide whether an answer is right.

        Args:
            row: The question's columns, which passed `check`.
            answer: The final answer part of a response, without its thinking.
        """
        ...

    async def aclose(self) -> None:
        """End what it started: processes, temporary files."""
        ...


class MissingReference(DataError):
    """A column that the verifier needs is missing or empty: there is nothing to verify by."""


class NoVerifierNamed(MissingReference):
    """A question names no verifier; the hint begins with the name of one that would do."""


def required(row: Row, column: str, verifier: str) -> Any:
    """The value of a column that must be there.

    Raises:
        MissingReference: The column is missing or empty.
    """
    value = row.get(column)
    if value is None or value == "":
        near = meant(column, [key for key, value in row.items() if value is not None])
        raise MissingReference(
            f"verifier {verifier}: {lack_of(row, column)}",
            hint=f"{near}NAME:COLUMN reads another column, as in number:gold",
        )
    return value


def required_text(row: Row, column: str, verifier: str) -> str:
    """The value of a column that must hold text, a number or a truth value, as text.

    Raises:
        MissingReference: The column is missing or empty.
        DataError: It holds something else.
    """
    value = required(row, column, verifier)
    if not isinstance(value, str | int | float):
        raise DataError(
            f"verifier {verifier}: column {column!r} must hold text or a number, "
            f"not {type(value).__name__}"
        )
    try:
        return str(value)
    except ValueError:  # Python writes no whole numbers of more than 4,300 digits
        raise DataError(f"verifier {verifier}: column {column!r} has too many digits") from None


def from_json(value: Any) -> Any:
    """The value of a column that may be written as JSON: text of a list or object, parsed."""
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        with suppress(ValueError, RecursionError):
            return json.loads(value)
    return value


def lack_of(row: Row, *columns: str) -> str:
    """Why none of some columns has a value, for messages: one is empty, or none is there."""
    if empty := next((name for name in columns if name in row), None):
        return f"column {empty!r} is empty"
    named = f"no column {columns[0]!r}" if len(columns) == 1 else f"none of {', '.join(columns)}"
    return f"{named} (only {present(row)})"


def present(row: Row) -> str:
    """The names of the columns that hold something, for messages; a question's as in its file."""
    filled = [key for key, value in row.items() if value is not None]
    return ", ".join(getattr(row, "columns", ()) or filled) or "nothing"


def shorten(value: str, length: int = 80) -> str:
    """A text as one line of at most `length` characters, for a verdict's detail."""
    line = " ".join(value.split())
    return line if len(line) <= length else line[: length - 1] + "…"
