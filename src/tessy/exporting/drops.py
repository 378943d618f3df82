"""What is dropped has a reason: kept + dropped = input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from tessy.exporting.sample import Sample


class Reason(StrEnum):
    """Why a sample is not exported; docs/export.md says more about each."""

    FORCED = "forced"
    """It holds words that were kept only for Progress."""
    TEACHER_SHARE_LOW = "teacher_share_low"
    """The teacher wrote too little of it."""
    TEACHER_SHARE_HIGH = "teacher_share_high"
    """The teacher wrote too much of it."""
    TOO_LONG = "too_long"
    """It has too many tokens."""
    NOT_EXPRESSIBLE = "not_expressible"
    """The format has no place for its conversation."""
    CONTAMINATED = "contaminated"
    """It shares words with a test question."""
    NEAR_DUPLICATE = "near_duplicate"
    """Its response is nearly that of a sample that was kept."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Why one sample is dropped.

    Attributes:
        reason: The documented reason.
        detail: What exactly, in a sentence.
    """

    reason: Reason
    detail: str


Filter = Callable[[Sample], Drop | None]
"""Decides about one sample: a reason to drop it, or None."""
