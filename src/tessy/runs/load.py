"""A run's folder, opened for reading, even while the run is active."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessy.method.trajectory import Failure
from tessy.runs.folder import RunFolder
from tessy.runs.reader import JournalReader


@dataclass(frozen=True, slots=True)
class SampleCounts:
    """How many samples of a run have ended, and how.

    Attributes:
        finished: Samples that have an answer.
        failed: Failed samples by reason.
        under_way: Samples that are being written, or were when the run stopped.
    """

    finished: int
    failed: dict[Failure, int]
    under_way: int


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """A run; each call reads the current state of its folder.

    Attributes:
        path: The folder.
    """

    path: Path

    def records(self) -> Iterator[dict[str, Any]]:
        """The records of finished samples, in the order of the questions (docs/record.md)."""
        yield from self._ended(failed=False)

    def failures(self) -> Iterator[dict[str, Any]]:
        """The records of failed samples, in the order of the questions (docs/failures.md)."""
        yield from self._ended(failed=True)

    def counts(self) -> SampleCounts:
        """How many samples have ended, and how."""
        with JournalReader(RunFolder(self.path)) as reader:
            reasons = reader.reasons()
            under_way = len(reader.running())
        finished = reasons.pop(None, 0)
        failed = {reason: count for reason, count in reasons.items() if reason is not None}
        return SampleCounts(finished, failed, under_way)

    def _ended(self, *, failed: bool) -> Iterator[dict[str, Any]]:
        with JournalReader(RunFolder(self.path)) as reader:
            for entry in reader.ended(failed=failed):
                yield entry.record


def load(run: str | Path) -> LoadedRun:
    """Open a run's folder for reading, even while the run is active.

    Args:
        run: The folder.

    Raises:
        JournalError: It is not a run's folder, or its journal can't be read.
    """
    with JournalReader(RunFolder(Path(run))):
        return LoadedRun(Path(run))
