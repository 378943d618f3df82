"""What a journal holds of a sample: its turns while it is written, then how it ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tessy.data.record import RejectedDraft
from tessy.method.trajectory import (
    DraftKey,
    Failure,
    Rejection,
    Trajectory,
    Turn,
)
from tessy.runs import contents

Entry = Turn | Rejection
"""An event of a draft that is noted in the journal."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a sample ended.

    Attributes:
        position: Its position in the order of the questions, from 0.
        id: Its id, unique in the run.
        failure: The reason of its failure; None if it finished.
        record: Its line in dataset.jsonl or failures.jsonl.
        trace: What the record leaves out; see `tessy.data.record.trace`.
        seconds: Time spent on it, over all starts.
        requests: Calls to both models, over all starts.
    """

    position: int
    id: str
    failure: Failure | None
    record: dict[str, Any]
    trace: dict[str, Any]
    seconds: float
    requests: int


@dataclass(slots=True)
class Written:
    """What earlier starts wrote of a sample.

    Attributes:
        turns: The turns of each draft, in order.
        rejections: The rejections of drafts.
        seconds: Time spent on the sample.
        requests: Calls to both models.
    """

    turns: dict[DraftKey, list[Turn]] = field(default_factory=dict)
    rejections: dict[DraftKey, Rejection] = field(default_factory=dict)
    seconds: float = 0.0
    requests: int = 0

    @property
    def attempt(self) -> int:
        """The number of the latest attempt, from 0."""
        return max((key.attempt for key in self.keys), default=0)

    @property
    def keys(self) -> list[DraftKey]:
        """The keys of all drafts in order, including drafts that failed before their first turn."""
        return sorted(self.turns.keys() | self.rejections.keys())

    @property
    def drafts(self) -> list[RejectedDraft]:
        """All drafts in order; the rejection of one that was not rejected is empty."""
        return [
            RejectedDraft(
                Trajectory.replay(self.turns.get(key, ())), self.rejections.get(key, Rejection(""))
            )
            for key in self.keys
        ]

    @classmethod
    def read(cls, journal: Path, sample_id: str, rows: Iterable[Any]) -> Written:
        """What rows of the table of turns hold of a sample.

        Args:
            journal: The journal, for messages.
            sample_id: The sample.
            rows: Turns, seconds and requests of each batch, in order.

        Raises:
            JournalError: They are not as a run writes them.
        """
        written = cls()
        with contents.reading(f"{journal}: the turns of {sample_id!r}"):
            for blob, seconds, requests in rows:
                written.add(blob)
                written.seconds = contents.seconds(seconds)
                written.requests = contents.a_count(requests, "requests")
        return written

    def add(self, blob: bytes) -> None:
        """Add a blob from the table of turns.

        Raises:
            ValueError: It does not hold turns.
        """
        for key, entry in contents.entries(blob):
            if isinstance(entry, Rejection):
                self.rejections[key] = entry
            else:
                self.turns.setdefault(key, []).append(entry)
