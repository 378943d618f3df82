"""What a verifier is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol


class Outcome(StrEnum):
    """Outcome."""

    RIGHT = "right"
    WRONG = "wrong"
    NO_ANSWER = "no_answer"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Verdict."""

    outcome: Outcome
    score: float
    detail: str = ""

    @property
    def passed(self) -> bool:
        """Passed."""
        return self.outcome is Outcome.RIGHT


class Verifier(Protocol):
    """Verifier."""

    name: str

    def check(self, row: Mapping[str, Any]) -> None:
        """Check."""

    async def verify(self, row: Mapping[str, Any], answer: str) -> Verdict:
        """Verify."""
        ...
