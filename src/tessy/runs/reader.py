"""Reads a run's journal, even while the run is active, and writes the data set from it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tessy.errors import JournalError
from tessy.method.trajectory import Failure
from tessy.runs.folder import RunFolder, write_atomically
from tessy.runs.journal import Written, check_version, unpack


@dataclass(frozen=True, slots=True)
class EndedSample:
    """A sample that ended, as read from the journal; see `Ending`."""

    id: str
    failure: Failure | None
    record: bytes
    trace: dict[str, Any]
    seconds: float
    requests: int


@dataclass(frozen=True, slots=True)
class UnfinishedSample:
    """A sample that was started and has not ended, as of its last checkpoint."""

    id: str
    seconds: float
    requests: int


class JournalReader:
    """A run's journal, open for reading, even while the run is active.

    Args:
        folder: The run's folder.

    Raises:
        JournalError: There is no journal in the folder, or it can't be read.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._path = folder.journal
        if not folder.journal.exists():
            raise JournalError(f"{folder.path} is no run: it has no {folder.journal.name}")
        try:
            self._connection = _opened(folder.journal)
            check_version(self._connection, folder.journal)
        except sqlite3.Error as error:
            raise JournalError(f"{folder.journal}: {error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, trace: object) -> None:
        self._connection.close()
        if isinstance(error, sqlite3.Error):
            raise JournalError(f"{self._path}: {error}") from error

    def ended(self, *, failed: bool | None = None) -> Iterator[EndedSample]:
        """Samples that ended, in the order of the questions.

        Args:
            failed: Only failed (True) or only finished (False) samples; None for both.
        """
        where = {None: "", True: "where reason is not null", False: "where reason is null"}[failed]
        for row in self._connection.execute(f"{_ENDED} {where} order by position"):
            yield _ended(row)

    def records(self) -> Iterator[bytes]:
        """The records of finished samples as JSON, in the order of the questions."""
        for (record,) in self._connection.execute(
            "select record from samples where reason is null order by position"
        ):
            yield bytes(record)

    def ended_sample(self, sample_id: str) -> EndedSample | None:
        """A sample that ended; None if it has not, or does not exist."""
        row = self._connection.execute(f"{_ENDED} where id = ?", (sample_id,)).fetchone()
        return _ended(row) if row else None

    def written(self, sample_id: str) -> Written:
        """What was written of an unfinished sample; empty if there is nothing."""
        rows = self._connection.execute(
            "select turns, seconds, requests from turns where id = ? order by batch", (sample_id,)
        )
        written = Written()
        for blob, seconds, requests in rows:
            written.add(blob)
            written.seconds, written.requests = seconds, requests
        return written

    def ids(self, limit: int) -> list[tuple[str, str | None]]:
        """The ids of the first samples that ended, with the reason if a sample failed."""
        rows = self._connection.execute(
            "select id, reason from samples order by position limit ?", (limit,)
        )
        return [(row[0], row[1]) for row in rows]

    def unfinished(self, part: str = "", *, limit: int, offset: int = 0) -> list[UnfinishedSample]:
        """Samples that were started and have not ended, in the order of their ids.

        Args:
            part: Only samples whose id contains this text.
            limit: The maximum number of samples to return.
            offset: The number of samples to skip.
        """
        rows = self._connection.execute(
            "select id, max(seconds), max(requests) from turns where instr(id, ?) > 0"
            " group by id order by id limit ? offset ?",
            (part, limit, offset),
        )
        return [UnfinishedSample(*row) for row in rows]

    def running(self) -> list[str]:
        """The ids of all samples that were started and have not ended."""
        return [row[0] for row in self._connection.execute("select distinct id from turns")]


def _opened(journal: Path) -> sqlite3.Connection:
    """Open a journal; a read-only folder works too, if no process is writing to it."""
    address = f"{journal.absolute().as_uri()}?mode=ro"
    try:
        connection = sqlite3.connect(address, uri=True)
        connection.execute("select 1 from samples limit 1")
    except sqlite3.OperationalError:
        if os.access(journal.parent, os.W_OK) or journal.with_name(f"{journal.name}-wal").exists():
            raise
        connection = sqlite3.connect(f"{address}&immutable=1", uri=True)
        connection.execute("select 1 from samples limit 1")
    return connection


_ENDED = "select id, reason, record, trace, seconds, requests from samples"


def _ended(row: Any) -> EndedSample:
    sample_id, reason, record, trace, seconds, requests = row
    failure = Failure(reason) if reason else None
    return EndedSample(sample_id, failure, bytes(record), unpack(trace), seconds, requests)


def write_dataset(folder: RunFolder) -> None:
    """Write dataset.jsonl and failures.jsonl from the journal, in the order of the questions.

    Raises:
        JournalError: There is no journal, or a file can't be written.
    """
    with JournalReader(folder) as reader:
        for path, failed in ((folder.dataset, False), (folder.failures, True)):
            try:
                lines = (ended.record + b"\n" for ended in reader.ended(failed=failed))
                write_atomically(path, lines)
            except OSError as error:
                raise JournalError(
                    f"{path}: {error.strerror}",
                    hint="nothing is lost: the same command writes it again from the journal",
                ) from None
