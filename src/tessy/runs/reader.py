"""Reads a run's journal, even while the run is active, and writes the data set from it."""

from __future__ import annotations

import heapq
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, Self, TypeVar

from tessy.config import Config
from tessy.data.files import write_atomically
from tessy.errors import JournalError, RunMismatch
from tessy.method.trajectory import Failure
from tessy.runs import contents
from tessy.runs.database import BROKEN, allow_open_files, connect
from tessy.runs.folder import DatasetFolder, RunFolder, ShardFolder
from tessy.runs.journal import BEGUN, EmptyJournal, Mark, Written, check_journal

T = TypeVar("T")
_AT_URL = "this is a run at a URL, seen as a folder: name it as file:///…"
_ROWS = 32
"""Samples that are read at once. Between two such reads the journal is not in use: a reader that
takes its time keeps no writer waiting."""
_CHANGES = 10_000
"""As above, of two numbers each."""
FILES = 3
"""Files that SQLite keeps open for a journal."""


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


class ShardReader:
    """A shard's journal, open for reading, even while it is being written.

    Args:
        shard: The shard.
        still: No process works on it, so that nothing need be created beside the journal.
        any_thread: Different threads use it, one at a time.

    Raises:
        JournalError: There is no journal in the folder, or it can't be read.
    """

    def __init__(
        self, shard: ShardFolder, *, still: bool = False, any_thread: bool = False
    ) -> None:
        self.path = shard.journal
        try:
            self._connection = _opened(shard.journal, still=still, any_thread=any_thread)
        except BROKEN as error:
            raise JournalError(f"{shard.journal}: {error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def _ask(self, statement: str, values: Iterable[Any] = ()) -> Iterator[Any]:
        try:
            for row in self._connection.execute(statement, tuple(values)):  # noqa: UP028
                yield row  # `yield from` closes the cursor, which fails after the connection
        except BROKEN as error:
            raise JournalError(f"{self.path}: {error}") from error

    def mark(self, mark: Mark) -> str | None:
        """A mark; None if it is not there."""
        rows = self._ask("select value from marks where name = ?", (mark.value,))
        found = next(rows, None)
        with contents.reading(f"{self.path}: the mark {mark.value!r}"):
            return contents.an(str, found[0], "value") if found else None

    def data_version(self) -> int:
        """A number that grows whenever the journal is written to."""
        return int(next(self._ask("pragma data_version"))[0])

    def counts(self) -> tuple[int, int]:
        """How many samples ended, and how many are under way."""
        ended = next(self._ask("select count(*) from samples"))[0]
        return ended, next(self._ask("select count(distinct id) from turns"))[0]

    def ended_since(self, change: int) -> Iterator[tuple[int, int]]:
        """Position and transaction of samples that ended in a transaction or later, in order.

        Of many, the first `_CHANGES`; no transaction ends so many.
        """
        rows = self._ask(
            "select position, change from samples where change >= ? order by change, position"
            f" limit {_CHANGES}",
            (change,),
        )
        with contents.reading(f"{self.path}: the end of a sample"):
            for position, number in rows:
                yield contents.a_count(position, "position"), contents.a_count(number, "change")

    def forgotten_since(self, change: int) -> Iterator[tuple[str, int]]:
        """Id and transaction of failures that were deleted in a transaction or later."""
        rows = self._ask("select id, change from attempts where change >= ?", (change,))
        with contents.reading(f"{self.path}: the table of attempts"):
            for sample_id, number in rows:
                yield contents.an(str, sample_id, "id"), contents.a_count(number, "change")

    def sample_row(self, position: int) -> tuple[Any, Any, Any, Any, Any] | None:
        """Id, reason, record, seconds and change of the sample at a position, not checked."""
        return next(
            self._ask(
                "select id, reason, record, seconds, change from samples where position = ?",
                (position,),
            ),
            None,
        )

    def is_begun(self) -> bool:
        """Whether the journal contains anything other than bad lines."""
        return bool(next(self._ask(BEGUN, (Failure.BAD_QUESTION.value,)))[0])

    def ended(self, failed: bool | None) -> Iterator[tuple[int, EndedSample]]:
        """Samples that ended, in order, each with its position; see `JournalReader.ended`."""
        for position, *row in self._rows(failed, "trace, seconds, requests"):
            yield position, self._sample(row)

    def records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The records of finished samples, in order, each with its position."""
        for position, sample_id, reason, blob in self._rows(False):
            yield position, self._record(sample_id, reason, blob)

    def lines(self, failed: bool) -> Iterator[tuple[int, bytes]]:
        """Records as lines of JSON, in order, each with its position."""
        for position, sample_id, reason, blob in self._rows(failed):
            self._record(sample_id, reason, blob)
            if b"\n" in blob:
                raise JournalError(f"{self.path}: the record of {sample_id!r} is not on one line")
            yield position, blob + b"\n"

    def ended_sample(self, sample_id: str) -> EndedSample | None:
        """A sample that ended; None if it has not, or does not exist."""
        rows = self._ask(
            "select id, reason, record, trace, seconds, requests from samples where id = ?",
            (sample_id,),
        )
        row = next(rows, None)
        return self._sample(row) if row else None

    def written(self, sample_id: str) -> Written:
        """What was written of an unfinished sample; empty if there is nothing."""
        rows = self._ask(
            "select turns, seconds, requests from turns where id = ? order by batch", (sample_id,)
        )
        return Written.read(self.path, sample_id, rows)

    def ids(self, limit: int) -> list[tuple[int, str, Failure | None]]:
        """Position, id and reason of the first samples that ended; see `JournalReader.ids`."""
        rows = self._ask(
            "select position, id, reason from samples order by position limit ?", (limit,)
        )
        return [(position, *self._end(*row)) for position, *row in rows]

    def verdicts(self) -> Counter[str]:
        """Finished samples by verdict; samples without a verdict are left out."""
        rows = self._ask(
            "select json_extract(cast(record as text), '$.verdict.outcome') as outcome, count(*) "
            "from samples where reason is null and outcome is not null group by outcome"
        )
        return Counter({str(outcome): count for outcome, count in rows})

    def teachers(self) -> Counter[str]:
        """Finished samples by the name of their teacher; empty if there is only one."""
        rows = self._ask(
            "select json_extract(cast(record as text), '$.models.teacher_name') as teacher, "
            "count(*) from samples where reason is null and teacher is not null group by teacher"
        )
        return Counter({str(teacher): count for teacher, count in rows})

    def reasons(self) -> Counter[Failure | None]:
        """How many samples failed for each reason, and with None how many finished."""
        rows = self._ask("select reason, count(*) from samples group by reason")
        return Counter({self._end("", reason)[1]: count for reason, count in rows})

    def unfinished(self, part: str, limit: int) -> list[UnfinishedSample]:
        """The first samples that were started and have not ended; see `JournalReader`."""
        rows = self._ask(
            "select id, max(seconds), max(requests) from turns where instr(id, ?) > 0"
            " group by id order by id limit ?",
            (part, limit),
        )
        with contents.reading(f"{self.path}: a sample under way"):
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
        rows = self._ask("select distinct id from turns")
        with contents.reading(f"{self.path}: a sample under way"):
            return [contents.an(str, row[0], "id") for row in rows]

    def _rows(self, failed: bool | None, columns: str = "") -> Iterator[Any]:
        """Rows of samples that ended: position, id, reason, record, and more columns."""
        where = {None: "", True: "and reason is not null", False: "and reason is null"}[failed]
        statement = (
            f"select position, id, reason, record{columns and ', ' + columns} from samples"
            f" where position > ? {where} order by position limit {_ROWS}"
        )
        last, after = -1, -(1 << 63)
        while rows := list(self._ask(statement, (after,))):
            for position, *row in rows:
                if type(position) is not int or position <= last:  # or a table could have no end
                    raise JournalError(f"{self.path}: the samples are not in order")
                last = after = position
                yield position, *row

    def _end(self, sample_id: Any, reason: Any) -> tuple[str, Failure | None]:
        with contents.reading(f"{self.path}: the end of {sample_id!r}"):
            return contents.an(str, sample_id, "id"), contents.reason(reason)

    def _record(self, sample_id: Any, reason: Any, blob: Any) -> dict[str, Any]:
        return checked_record(self.path, sample_id, reason, blob)

    def _sample(self, row: Any) -> EndedSample:
        sample_id, reason, blob, trace, seconds, requests = row
        record = self._record(sample_id, reason, blob)
        with contents.reading(f"{self.path}: the trace of {sample_id!r}"):
            return EndedSample(
                sample_id,
                contents.reason(reason),
                record,
                contents.trace(trace),
                contents.seconds(seconds),
                contents.a_count(requests, "requests"),
            )


class JournalReader:
    """The journals of a run's shards, open for reading as one, even while the run is active.

    Args:
        folder: The run's folder.
        still: No process works on the run, so that nothing need be created beside the journals.

    Raises:
        JournalError: There is no journal in the folder, one can't be read, or they are not of one
            run.
    """

    def __init__(self, folder: RunFolder, *, still: bool = False) -> None:
        self._stack = ExitStack()
        with ExitStack() as stack:
            at_url = any((shard.path / "parts").exists() for shard in folder.shards())
            nothing = EmptyJournal(
                f"{folder.path} is no run: it has no shards with a journal",
                hint=_AT_URL if at_url else None,
            )
            self._shards: list[ShardReader] = []
            shards = folder.started_shards()
            _refuse_too_many(folder, shards)
            allow_open_files(FILES * len(shards))
            for shard in shards:
                try:
                    self._shards.append(stack.enter_context(ShardReader(shard, still=still)))
                except EmptyJournal as error:  # another process is creating it
                    nothing = error
            if not self._shards:
                raise nothing
            self._refuse_strangers()
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *found: Any) -> None:
        self._stack.__exit__(*found)

    def refuse_others(self, identity: str) -> None:
        """Make sure that all shards are of a run.

        Args:
            identity: What all shards of the run share; see `RunFolder.identity`.

        Raises:
            RunMismatch: One was written with other settings or other questions.
        """
        for shard in self._shards:
            if shard.mark(Mark.IDENTITY) != identity and any(shard.counts()):
                raise RunMismatch(
                    f"{shard.path} was written with other settings or other questions than "
                    f"{shard.path.parent.parent.parent / 'run.toml'} says",
                    hint="put back the shard that belongs there, or give another --out",
                )

    def _refuse_strangers(self) -> None:
        known: tuple[str, Path] | None = None
        for shard in self._shards:
            identity = shard.mark(Mark.IDENTITY)
            if identity is None:
                continue
            if known is not None and known[0] != identity:
                raise JournalError(
                    f"{shard.path} was written with other settings or other questions than "
                    f"{known[1]}",
                    hint="put back the shard that belongs there",
                )
            known = (identity, shard.path)

    def ended(self, *, failed: bool | None = None) -> Iterator[EndedSample]:
        """Samples that ended, in the order of the questions.

        Args:
            failed: Only failed (True) or only finished (False) samples; None for both.

        Raises:
            JournalError: A sample is not as a run writes it; likewise from the methods below.
        """
        return self._merged(shard.ended(failed) for shard in self._shards)

    def records(self) -> Iterator[dict[str, Any]]:
        """The records of finished samples, in the order of the questions."""
        return self._merged(shard.records() for shard in self._shards)

    def lines(self, *, failed: bool) -> Iterator[bytes]:
        """The records of failed or of finished samples as lines of JSON, in order."""
        return self._merged(shard.lines(failed) for shard in self._shards)

    def ended_sample(self, sample_id: str) -> EndedSample | None:
        """A sample that ended; None if it has not, or does not exist."""
        found = (shard.ended_sample(sample_id) for shard in self._shards)
        return next((sample for sample in found if sample is not None), None)

    def written(self, sample_id: str) -> Written:
        """What was written of an unfinished sample; empty if there is nothing."""
        found = (shard.written(sample_id) for shard in self._shards)
        return next((written for written in found if written.keys), Written())

    def ids(self, limit: int) -> list[tuple[str, Failure | None]]:
        """The ids of the first samples that ended, with the reason if a sample failed."""
        rows = heapq.merge(*(shard.ids(limit) for shard in self._shards), key=itemgetter(0))
        several = islice(rows, limit) if limit >= 0 else rows
        return [(sample_id, reason) for _, sample_id, reason in several]

    def reasons(self) -> Counter[Failure | None]:
        """How many samples failed for each reason, and with None how many finished."""
        return sum((shard.reasons() for shard in self._shards), Counter[Failure | None]())

    def verdicts(self) -> Counter[str]:
        """Finished samples by verdict; samples without a verdict are left out."""
        return sum((shard.verdicts() for shard in self._shards), Counter[str]())

    def teachers(self) -> Counter[str]:
        """Finished samples by the name of their teacher; empty if there is only one."""
        return sum((shard.teachers() for shard in self._shards), Counter[str]())

    def unfinished(self, part: str = "", *, limit: int, offset: int = 0) -> list[UnfinishedSample]:
        """Samples that were started and have not ended, in the order of their ids.

        Args:
            part: Only samples whose id contains this text.
            limit: The maximum number of samples to return.
            offset: The number of samples to skip.
        """
        found = [shard.unfinished(part, limit + offset) for shard in self._shards]
        rows = heapq.merge(*found, key=attrgetter("id"))
        return list(islice(rows, offset, offset + limit))

    def running(self) -> list[str]:
        """The ids of all samples that were started and have not ended, in order."""
        return sorted(sample_id for shard in self._shards for sample_id in shard.running())

    def _merged(self, found: Iterable[Iterator[tuple[int, T]]]) -> Iterator[T]:
        last = -1
        for position, value in heapq.merge(*found, key=itemgetter(0)):
            if position == last:
                raise JournalError(f"two shards hold the sample at position {position}")
            last = position
            yield value


def _refuse_too_many(folder: RunFolder, shards: list[ShardFolder]) -> None:
    """Refuse shards beyond the number that the run has.

    Raises:
        JournalError: There is such a shard.
    """
    with suppress(RunMismatch):  # what the journals hold can be read without settings
        count = folder.shard_count()
        if count is not None and shards and shards[-1].number >= count:
            raise JournalError(
                f"{shards[-1].path}: the run has {count:,} shards, counted from 0",
                hint="move it elsewhere: it belongs to another run",
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


def _opened(journal: Path, *, still: bool, any_thread: bool) -> sqlite3.Connection:
    """Open a journal; a read-only folder works too, if no process is writing to it."""
    wal, rollback = (journal.with_name(f"{journal.name}-{end}") for end in ("wal", "journal"))
    has_log = wal.exists() or (rollback.exists() and rollback.stat().st_size > 0)
    if still and not has_log:
        return _checked(journal, "&immutable=1", any_thread=any_thread)
    try:
        return _checked(journal, any_thread=any_thread)
    except sqlite3.OperationalError:
        if os.access(journal.parent, os.W_OK) or has_log:
            raise
        return _checked(journal, "&immutable=1", any_thread=any_thread)


def _checked(journal: Path, query: str = "", *, any_thread: bool) -> sqlite3.Connection:
    connection = connect(journal, query=query, any_thread=any_thread)
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
    if not is_begun(folder, still=True):
        return None
    with JournalReader(folder, still=True) as journal:
        ended = dict(journal.ids(-1))
    folder.refuse_other_run(config, questions, digest)
    folder.refuse_lost_journal(sum(reason is None for reason in ended.values()))
    return ended


def is_begun(folder: RunFolder, *, still: bool = False) -> bool:
    """Whether the journals of a run contain anything other than bad lines.

    Args:
        folder: The run's folder.
        still: As for `JournalReader`.

    Raises:
        JournalError: A journal can't be read.
    """
    for shard in folder.started_shards():
        with suppress(EmptyJournal), ShardReader(shard, still=still) as reader:
            if reader.is_begun():
                return True
    return False


def write_dataset(folder: RunFolder, *, finished: bool = True) -> None:
    """Write dataset.jsonl and failures.jsonl of a run, in the order of the questions.

    Args:
        folder: The run's folder.
        finished: Also dataset.jsonl.

    Raises:
        JournalError: There is no journal, or a file can't be written.
    """
    with JournalReader(folder) as reader:
        _write_files(folder, lambda failed: reader.lines(failed=failed), finished=finished)


def write_part(shard: ShardFolder, *, finished: bool = True) -> None:
    """Write dataset.jsonl and failures.jsonl of a shard: its part of the data set.

    Args:
        shard: The shard.
        finished: Also dataset.jsonl.

    Raises:
        JournalError: There is no journal, or a file can't be written.
    """
    with ShardReader(shard) as reader:
        lines = reader.lines
        _write_files(shard, lambda failed: (line for _, line in lines(failed)), finished=finished)


def _write_files(
    folder: DatasetFolder, lines: Callable[[bool], Iterable[bytes]], *, finished: bool
) -> None:
    with made_from_journal(folder.failures):
        write_atomically(folder.failures, lines(True))
    if finished:
        with made_from_journal(folder.dataset):
            write_atomically(folder.dataset, lines(False))


@contextmanager
def made_from_journal(path: Path) -> Iterator[None]:
    """Say of a file that can't be written that it can be made again.

    Raises:
        JournalError: It can't be written.
    """
    try:
        yield
    except JournalError:  # which is an OSError
        raise
    except OSError as error:
        raise JournalError(
            f"{path}: {error.strerror or error}",
            hint="nothing is lost: the same command writes it again from the journal",
        ) from None
