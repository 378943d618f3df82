"""Reads a run's journal, even while the run is active, and writes the data set from it."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tessy.config import Config
from tessy.data.files import is_there, write_atomically
from tessy.errors import JournalError
from tessy.method.trajectory import Failure
from tessy.runs import contents
from tessy.runs.database import BROKEN, connect
from tessy.runs.folder import RunFolder
from tessy.runs.journal import Written, check_journal


@dataclass(frozen=True, slots=True)
class EndedSample:
    """A sample that ended, as read from the journal; see `Ending`."""

    id: str
    failure: Failure | None
    record: dict[str, Any]
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
        still: No process works on the run, so that nothing need be created beside the journal.

    Raises:
        JournalError: There is no journal in the folder, or it can't be read.
    """

    def __init__(self, folder: RunFolder, *, still: bool = False) -> None:
        self._path = folder.journal
        if not os.path.lexists(folder.journal):
            raise JournalError(f"{folder.path} is no run: it has no {folder.journal.name}")
        try:
            self._connection = _opened(folder.journal, still=still)
        except BROKEN as error:
            raise JournalError(f"{folder.journal}: {error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, trace: object) -> None:
        self._connection.close()
        if isinstance(error, BROKEN):
            raise JournalError(f"{self._path}: {error}") from error

    def ended(self, *, failed: bool | None = None) -> Iterator[EndedSample]:
        """Samples that ended, in the order of the questions.

        Args:
            failed: Only failed (True) or only finished (False) samples; None for both.

        Raises:
            JournalError: A sample is not as a run writes it; likewise from the methods below.
        """
        for row in self._rows(failed, "trace, seconds, requests"):
            yield self._sample(row)

    def records(self) -> Iterator[dict[str, Any]]:
        """The records of finished samples, in the order of the questions."""
        for sample_id, reason, blob in self._rows(False):
            yield self._record(sample_id, reason, blob)

    def lines(self, *, failed: bool) -> Iterator[bytes]:
        """The records of failed or of finished samples as lines of JSON, in order."""
        for sample_id, reason, blob in self._rows(failed):
            self._record(sample_id, reason, blob)
            if b"\n" in blob:
                raise JournalError(f"{self._path}: the record of {sample_id!r} is not on one line")
            yield blob + b"\n"

    def ended_sample(self, sample_id: str) -> EndedSample | None:
        """A sample that ended; None if it has not, or does not exist."""
        row = self._connection.execute(
            "select id, reason, record, trace, seconds, requests from samples where id = ?",
            (sample_id,),
        ).fetchone()
        return self._sample(row) if row else None

    def written(self, sample_id: str) -> Written:
        """What was written of an unfinished sample; empty if there is nothing."""
        rows = self._connection.execute(
            "select turns, seconds, requests from turns where id = ? order by batch", (sample_id,)
        )
        return Written.read(self._path, sample_id, rows)

    def ids(self, limit: int) -> list[tuple[str, Failure | None]]:
        """The ids of the first samples that ended, with the reason if a sample failed."""
        rows = self._connection.execute(
            "select id, reason from samples order by position limit ?", (limit,)
        )
        return [self._end(*row) for row in rows]

    def reasons(self) -> Counter[Failure | None]:
        """How many samples failed for each reason, and with None how many finished."""
        rows = self._connection.execute("select reason, count(*) from samples group by reason")
        return Counter({self._end("", reason)[1]: count for reason, count in rows})

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
        with contents.reading(f"{self._path}: a sample under way"):
            return [
                UnfinishedSample(
                    contents.an(str, sample_id, "id"),
                    contents.seconds(seconds),
                    contents.a_count(requests, "requests"),
                )
                for sample_id, seconds, requests in rows
            ]

    def running(self) -> list[str]:
        """The ids of all samples that were started and have not ended."""
        rows = self._connection.execute("select distinct id from turns").fetchall()
        with contents.reading(f"{self._path}: a sample under way"):
            return [contents.an(str, row[0], "id") for row in rows]

    def _rows(self, failed: bool | None, columns: str = "") -> Iterator[Any]:
        """Rows of samples that ended: id, reason, record, and more columns."""
        where = {None: "", True: "where reason is not null", False: "where reason is null"}[failed]
        rows = self._connection.execute(
            f"select position, id, reason, record{columns and ', ' + columns} from samples {where}"
            " order by position"
        )
        last = -1
        for position, *row in rows:
            if type(position) is not int or position <= last:  # or a table could have no end
                raise JournalError(f"{self._path}: the samples are not in order")
            last = position
            yield row

    def _end(self, sample_id: Any, reason: Any) -> tuple[str, Failure | None]:
        with contents.reading(f"{self._path}: the end of {sample_id!r}"):
            return contents.an(str, sample_id, "id"), contents.reason(reason)

    def _record(self, sample_id: Any, reason: Any, blob: Any) -> dict[str, Any]:
        return checked_record(self._path, sample_id, reason, blob)

    def _sample(self, row: Any) -> EndedSample:
        sample_id, reason, blob, trace, seconds, requests = row
        record = self._record(sample_id, reason, blob)
        with contents.reading(f"{self._path}: the trace of {sample_id!r}"):
            return EndedSample(
                sample_id,
                contents.reason(reason),
                record,
                contents.trace(trace),
                contents.seconds(seconds),
                contents.a_count(requests, "requests"),
            )


def checked_record(journal: Path, sample_id: Any, reason: Any, blob: Any) -> dict[str, Any]:
    """The record of a sample that ended, from a row of the journal.

    Args:
        journal: The journal, for messages.
        sample_id: The row's id.
        reason: The row's reason.
        blob: The row's record.

    Raises:
        JournalError: It is not as a run writes it.
    """
    with contents.reading(f"{journal}: the record of {sample_id!r}"):
        made = contents.record(blob, contents.reason(reason))
        if made["id"] != contents.an(str, sample_id, "id"):
            raise ValueError(f"its id is {made['id']!r}")
        return made


def _opened(journal: Path, *, still: bool) -> sqlite3.Connection:
    """Open a journal; a read-only folder works too, if no process is writing to it."""
    has_log = journal.with_name(f"{journal.name}-wal").exists()
    if still and not has_log:
        return _checked(journal, "&immutable=1")
    try:
        return _checked(journal)
    except sqlite3.OperationalError:
        if os.access(journal.parent, os.W_OK) or has_log:
            raise
        return _checked(journal, "&immutable=1")


def _checked(journal: Path, query: str = "") -> sqlite3.Connection:
    connection = connect(journal, query=query)
    try:
        check_journal(connection, journal)
    except BaseException:
        connection.close()
        raise
    return connection


def ended_in(
    folder: RunFolder, config: Config, questions: str, digest: str
) -> dict[str, Failure | None] | None:
    """The samples that ended in a folder, as a run that starts there finds them.

    Nothing is created or changed.

    Args:
        folder: The folder, which need not exist.
        config: The run's settings.
        questions: The source of the questions.
        digest: The digest of the questions.

    Returns:
        Their ids, with the reason if a sample failed; None if nothing was written there.

    Raises:
        TessyError: A run would refuse to start there.
    """
    folder.check_place()
    if not is_there(folder.journal) or not folder.journal.stat().st_size:
        return None
    with JournalReader(folder, still=True) as journal:
        ended, running = dict(journal.ids(-1)), journal.running()
    if not running and set(ended.values()) <= {Failure.BAD_QUESTION}:
        return None  # the file may be fixed now
    folder.refuse_other_run(config, questions, digest)
    folder.refuse_lost_journal(sum(reason is None for reason in ended.values()))
    return ended


def write_dataset(folder: RunFolder) -> None:
    """Write dataset.jsonl and failures.jsonl from the journal, in the order of the questions.

    Raises:
        JournalError: There is no journal, or a file can't be written.
    """
    with JournalReader(folder) as reader:
        for path, failed in ((folder.dataset, False), (folder.failures, True)):
            try:
                write_atomically(path, reader.lines(failed=failed))
            except JournalError:  # which is an OSError
                raise
            except OSError as error:
                raise JournalError(
                    f"{path}: {error.strerror}",
                    hint="nothing is lost: the same command writes it again from the journal",
                ) from None
