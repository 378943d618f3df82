"""Which questions are kept, and why each other one is dropped. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class SelectReason(StrEnum):
    """Why a question is not selected; docs/select.md says more about each."""

    BAD_QUESTION = "bad_question"
    """The line is no question that can be used (only with `--skip-bad`)."""
    UNMEASURED = "unmeasured"
    """It is not known whether a condition holds."""
    CONDITION = "condition"
    """A condition does not hold."""
    CONTAMINATED = "contaminated"
    """It shares words with a test question."""
    NEAR_DUPLICATE = "near_duplicate"
    """It is nearly a question that is kept."""
    NOT_DRAWN = "not_drawn"
    """Others were drawn."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why some questions are dropped.

    Attributes:
        reason: The documented reason.
        detail: Says of a question, by its row, what exactly.
        about: What the reason is about, if there may be several causes with it.
    """

    reason: SelectReason
    detail: Callable[[int], str]
    about: str = ""

    @property
    def label(self) -> str:
        """The reason, with what it is about."""
        return f"{self.reason}: {self.about}" if self.about else self.reason.value


class Choice:
    """The questions that are kept so far: each is kept, or dropped once for one reason.

    Args:
        rows: How many rows there are, good or bad.
    """

    def __init__(self, rows: int) -> None:
        self._why = np.zeros(rows, np.int16)
        self._causes: list[Cause] = []

    def drop(self, rows: NDArray[np.bool_] | NDArray[np.int64] | list[int], cause: Cause) -> None:
        """Drop questions, unless they are dropped already.

        Args:
            rows: Whether to drop each row, shape (rows,); or the numbers of those to drop.
            cause: Why.
        """
        self._causes.append(cause)
        chosen = np.zeros(len(self._why), bool)
        chosen[rows] = True
        self._why[chosen & (self._why == 0)] = len(self._causes)

    @property
    def kept(self) -> NDArray[np.int64]:
        """The rows that are kept, ascending."""
        return np.flatnonzero(self._why == 0)

    def cause(self, row: int) -> Cause | None:
        """Why a row is dropped; None if it is kept."""
        why = int(self._why[row])
        return self._causes[why - 1] if why else None

    def counts(self) -> Counter[str]:
        """How many are dropped, by reason and what it is about, in the order of the causes."""
        counts = np.bincount(self._why, minlength=len(self._causes) + 1)[1:]
        found: Counter[str] = Counter()
        for cause, count in zip(self._causes, counts, strict=True):
            if count:
                found[cause.label] += int(count)
        return found
