"""A run's folder, opened for reading, even while the run is active."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessy.data.remote import is_url
from tessy.method.trajectory import Failure
from tessy.runs.folder import RunFolder
from tessy.runs.reader import JournalReader
from tessy.runs.remote import reading


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
        path: The folder; of a run at a URL, that of its copy on this machine.
        url: Of a run at a URL: what was uploaded since is fetched at each call.
    """

    path: Path
    url: str | None = None

    def records(self) -> Iterator[dict[str, Any]]:
        """The records of finished samples, in the order of the questions (docs/record.md)."""
        yield from self._ended(failed=False)

    def failures(self) -> Iterator[dict[str, Any]]:
        """The records of failed samples, in the order of the questions (docs/failures.md)."""
        yield from self._ended(failed=True)

    def counts(self) -> SampleCounts:
        """How many samples have ended, and how."""
        with JournalReader(self._folder()) as reader:
            reasons = reader.reasons()
            under_way = len(reader.running())
        finished = reasons.pop(None, 0)
        failed = {reason: count for reason, count in reasons.items() if reason is not None}
        return SampleCounts(finished, failed, under_way)

    def _folder(self) -> RunFolder:
        return RunFolder(reading(self.url) if self.url is not None else self.path)

    def _ended(self, *, failed: bool) -> Iterator[dict[str, Any]]:
        with JournalReader(self._folder()) as reader:
            for entry in reader.ended(failed=failed):
                yield entry.record


def load(run: str | Path) -> LoadedRun:
    """Open a run's folder for reading, even while the run is active.

    Args:
        run: The folder, or its URL.

    Raises:
        RemoteError: The URL can't be read.
        JournalError: It is not a run's folder, or its journal can't be read.
    """
    path = reading(run)
    with JournalReader(RunFolder(path)):
        return LoadedRun(path, str(run) if is_url(run) else None)
