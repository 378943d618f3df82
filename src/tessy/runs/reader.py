"""Reading a run's journal, also while the run goes on; and the data set that is made of it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tessy.errors import JournalError
from tessy.method.trajectory import Failure, Turn
from tessy.runs.folder import RunFolder
from tessy.runs.packing import turn_from_json, unpack


@dataclass(frozen=True, slots=True)
class Entry:
    """A sample that ended, as read back."""

    id: str
    failure: Failure | None
    record: bytes
    trace: dict[str, Any]
    seconds: float
    requests: int


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A sample that is under way, as of its last checkpoint."""

    id: str
    seconds: float
    requests: int


class Reader:
    """A run's journal, open for reading; also while a run goes on.

    Raises:
        JournalError: There is no journal there.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._path = folder.journal
        if not folder.journal.exists():
            raise JournalError(f"{folder.path} is no run: it has no {folder.journal.name}")
        try:
            self._connection = _opened(folder.journal)
        except sqlite3.Error as error:
            raise JournalError(f"{folder.journal}: {error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()
        if isinstance(error, sqlite3.Error):
            raise JournalError(f"{self._path}: {error}") from error

    def entries(self, *, failed: bool | None = None) -> Iterator[Entry]:
        """All that ended, in the order of the questions; only failed or finished ones if asked."""
        where = {None: "", True: "where reason is not null", False: "where reason is null"}[failed]
        for row in self._connection.execute(f"{_ENTRY} {where} order by position"):
            yield _entry(row)

    def records(self) -> Iterator[bytes]:
        """Lines of dataset.jsonl: what finished, in the order of the questions."""
        for (record,) in self._connection.execute(
            "select record from samples where reason is null order by position"
        ):
            yield bytes(record)

    def entry(self, sample_id: str) -> Entry | None:
        """One sample that ended."""
        row = self._connection.execute(f"{_ENTRY} where id = ?", (sample_id,)).fetchone()
        return _entry(row) if row else None

    def turns(self, sample_id: str) -> list[Turn]:
        """The turns of a sample that is under way."""
        rows = self._connection.execute(
            "select turns from turns where id = ? order by batch", (sample_id,)
        )
        return [turn_from_json(item) for row in rows for item in unpack(row[0])]

    def ids(self, limit: int) -> list[tuple[str, str | None]]:
        """The first samples that ended, with the reason of those that failed."""
        rows = self._connection.execute(
            "select id, reason from samples order by position limit ?", (limit,)
        )
        return [(row[0], row[1]) for row in rows]

    def under_way(self, part: str = "", *, limit: int, offset: int = 0) -> list[UnderWay]:
        """Some of the samples that are, or were, under way; in the order of their ids.

        Args:
            part: Only those whose id holds this.
            limit: So many at most.
            offset: So many are left out.
        """
        rows = self._connection.execute(
            "select id, max(seconds), max(requests) from turns where instr(id, ?) > 0"
            " group by id order by id limit ? offset ?",
            (part, limit, offset),
        )
        return [UnderWay(*row) for row in rows]

    def spent(self, sample_id: str) -> tuple[float, int]:
        """Seconds and calls that a sample under way has taken; 0 if it is not under way."""
        row = self._connection.execute(
            "select max(seconds), max(requests) from turns where id = ?", (sample_id,)
        ).fetchone()
        return row[0] or 0.0, row[1] or 0

    def running(self) -> list[str]:
        """Samples that are, or were, under way."""
        return [row[0] for row in self._connection.execute("select distinct id from turns")]


def _opened(journal: Path) -> sqlite3.Connection:
    """A journal, also in a folder that one may only read, if nobody is writing to it."""
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


_ENTRY = "select id, reason, record, trace, seconds, requests from samples"


def _entry(row: Any) -> Entry:
    sample_id, reason, record, trace, seconds, requests = row
    failure = Failure(reason) if reason else None
    return Entry(sample_id, failure, bytes(record), unpack(trace), seconds, requests)


def export(folder: RunFolder) -> None:
    """Write dataset.jsonl and failures.jsonl from the journal, in the order of the questions.

    Raises:
        JournalError: There is no journal, or a file can't be written.
    """
    with Reader(folder) as reader:
        for path, failed in ((folder.dataset, False), (folder.failures, True)):
            temporary = path.with_name(path.name + ".part")
            try:
                with temporary.open("wb") as file:
                    for entry in reader.entries(failed=failed):
                        file.write(entry.record + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            except OSError as error:
                raise JournalError(
                    f"{path}: {error.strerror}",
                    hint="nothing is lost: the same command writes it from the journal",
                ) from None
