"""Reads the journal of one shard, even while it is written."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tessy.errors import JournalError
from tessy.method.trajectory import Failure, Role
from tessy.runs import contents
from tessy.runs.database import BROKEN, connect, journal_error
from tessy.runs.folder import ShardFolder
from tessy.runs.schema import BEGUN, WAITING, Mark, check_journal
from tessy.runs.totals import EndedTotals, TokenTotals
from tessy.runs.written import Written

_ROWS = 32
"""Samples that are read at once. Between two such reads the journal is not in use: a reader that
takes its time keeps no writer waiting."""
_CHANGES = 10_000
"""As above, of two numbers each."""
_TOTALS = """
with of_samples as materialized (
    select reason, requests, json_extract(
        cast(record as text), '$.verdict.outcome', '$.models.teacher_name', '$.stats'
    ) as found from samples
)
select reason, found ->> 0 as verdict, found ->> 1 as teacher, count(*),
    sum(found ->> '$[2].student_tokens'), sum(found ->> '$[2].teacher_tokens'),
    sum(found ->> '$[2].student_discarded_tokens'), sum(found ->> '$[2].teacher_discarded_tokens'),
    sum(requests)
from of_samples group by reason, verdict, teacher
"""
"""Each record is parsed once: the rest reads what was taken from it."""


_UNDER_WAY = "from turns where id not in (select id from samples)"
"""Turns of samples that have not ended. One that is written again ended: it is still as it was."""
_RECORD = "id, reason, record"
_VERDICT = """coalesce(
    json_extract(cast(record as text), '$.verdict.outcome'),
    case reason when 'rejected' then 'wrong' end
)"""
"""Rejected samples of older runs have no verdict: see `verifiers.protocol.outcome_of`."""


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
class ListedSample:
    """How a sample ended.

    Attributes:
        id: Unique in the run.
        failure: Why it failed; None if it finished.
        verdict: What its verifier decided; None without one.
    """

    id: str
    failure: Failure | None
    verdict: str | None


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
            raise journal_error(shard.journal, error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def _ask(self, statement: str, values: Iterable[Any] = ()) -> Iterator[Any]:
        try:
            for row in self._connection.execute(statement, tuple(values)):  # noqa: UP028
                yield row  # `yield from` closes the cursor, which fails after the connection
        except BROKEN as error:
            raise journal_error(self.path, error) from error

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
        return ended, next(self._ask(f"select count(distinct id) {_UNDER_WAY}"))[0]

    def waiting_ids(self) -> set[str]:
        """The ids of failures that are to be written again; until then they are as they were."""
        rows = self._ask(f"select id from samples where {WAITING}")
        with contents.reading(f"{self.path}: a failure that is written again"):
            return {contents.an(str, row[0], "id") for row in rows}

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

    def replaced_since(self, change: int) -> Iterator[tuple[str, int]]:
        """Id and transaction of failures that were replaced in a transaction or later."""
        rows = self._ask("select id, change from attempts where change >= ?", (change,))
        with contents.reading(f"{self.path}: the table of attempts"):
            for sample_id, number in rows:
                yield contents.an(str, sample_id, "id"), contents.a_count(number, "change")

    def sample_row(self, position: int) -> tuple[Any, Any, Any, Any, Any, Any] | None:
        """Id, reason, record, seconds, requests and change of a sample, not checked."""
        return next(
            self._ask(
                "select id, reason, record, seconds, requests, change from samples"
                " where position = ?",
                (position,),
            ),
            None,
        )

    def is_begun(self) -> bool:
        """Whether the journal contains anything other than bad lines."""
        return bool(next(self._ask(BEGUN, (Failure.BAD_QUESTION.value,)))[0])

    def ended(self, failed: bool | None) -> Iterator[tuple[int, EndedSample]]:
        """Samples that ended, in order, each with its position; see `JournalReader.ended`."""
        for position, *row in self._rows(failed, f"{_RECORD}, trace, seconds, requests"):
            yield position, self._sample(row)

    def records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The records of finished samples, in order, each with its position."""
        for position, sample_id, reason, blob in self._rows(False, _RECORD):
            yield position, self._record(sample_id, reason, blob)

    def listed(self) -> Iterator[tuple[int, ListedSample]]:
        """How each sample ended, in order, each with its position; no record is read whole."""
        for position, sample_id, reason, verdict in self._rows(None, f"id, reason, {_VERDICT}"):
            ended = self._end(sample_id, reason)
            yield position, ListedSample(*ended, None if verdict is None else str(verdict))

    def lines(self, failed: bool) -> Iterator[tuple[int, bytes]]:
        """Records as lines of JSON, in order, each with its position."""
        for position, sample_id, reason, blob in self._rows(failed, _RECORD):
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

    def totals(self) -> EndedTotals:
        """What the samples that ended come to."""
        found = EndedTotals(
            again=len(self.again()),
            waiting=len(self.waiting_ids()),
            replaced=self.replaced_tokens(),
        )
        with contents.reading(f"{self.path}: what the samples come to"):
            for row in self._ask(_TOTALS):
                reason, verdict, teacher, samples, *tokens, requests = row
                counts = [contents.a_count(number, "tokens") for number in tokens]
                kept = dict(zip(Role, counts[:2], strict=True))
                lost = dict(zip(Role, counts[2:], strict=True))
                found.count(
                    contents.a_count(samples, "samples"),
                    failure=contents.reason(reason),
                    verdict=verdict,
                    teacher=teacher,
                    tokens=TokenTotals(
                        generated={role: kept[role] + lost[role] for role in Role},
                        discarded=lost,
                        requests=contents.a_count(requests, "requests"),
                    ),
                )
        return found

    def total(self) -> int | None:
        """How many samples the shard has, ended or not; None if it does not say it."""
        return self._number(Mark.SAMPLES)

    def left_out(self) -> int:
        """How many lines a limit left out; see `Mark.LEFT_OUT`."""
        return self._number(Mark.LEFT_OUT) or 0

    def unverifiable(self) -> int:
        """How many questions can't be verified; see `Mark.UNVERIFIABLE`."""
        return self._number(Mark.UNVERIFIABLE) or 0

    def replaced_tokens(self) -> int:
        """Tokens of failures that were replaced; see `Mark.REPLACED_TOKENS`."""
        return self._number(Mark.REPLACED_TOKENS) or 0

    def _number(self, mark: Mark) -> int | None:
        found = self.mark(mark)
        return int(found) if found is not None and found.isdecimal() else None

    def again(self) -> set[str]:
        """The ids of samples that were written again after a failure."""
        with contents.reading(f"{self.path}: the table of attempts"):
            return {contents.an(str, row[0], "id") for row in self._ask("select id from attempts")}

    def reasons(self) -> Counter[Failure | None]:
        """How many samples failed for each reason, and with None how many finished."""
        rows = self._ask("select reason, count(*) from samples group by reason")
        return Counter({self._end("", reason)[1]: count for reason, count in rows})

    def unfinished(self, part: str, limit: int) -> list[UnfinishedSample]:
        """The first samples that were started and have not ended; see `JournalReader`."""
        rows = self._ask(
            f"select id, max(seconds), max(requests) {_UNDER_WAY} and instr(id, ?) > 0"
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
        rows = self._ask(f"select distinct id {_UNDER_WAY}")
        with contents.reading(f"{self.path}: a sample under way"):
            return [contents.an(str, row[0], "id") for row in rows]

    def _rows(self, failed: bool | None, columns: str) -> Iterator[Any]:
        """Rows of samples that ended: position and some columns."""
        where = {None: "", True: "and reason is not null", False: "and reason is null"}[failed]
        statement = (
            f"select position, {columns} from samples"
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


def total_of(shards: Iterable[ShardReader]) -> int | None:
    """How many samples some shards will have; None if one does not say it."""
    totals = [shard.total() for shard in shards]
    known = [total for total in totals if total is not None]
    return sum(known) if len(known) == len(totals) else None


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
    has_log = wal.exists() or _size(rollback) > 0
    if still and not has_log:
        return _checked(journal, "&immutable=1", any_thread=any_thread)
    try:
        return _checked(journal, any_thread=any_thread)
    except sqlite3.OperationalError:
        if os.access(journal.parent, os.W_OK) or has_log:
            raise
        return _checked(journal, "&immutable=1", any_thread=any_thread)


def _size(path: Path) -> int:
    """The bytes of a file, which another process may remove at any time; 0 if it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _checked(journal: Path, query: str = "", *, any_thread: bool) -> sqlite3.Connection:
    connection = connect(journal, query=query, any_thread=any_thread)
    try:
        check_journal(connection, journal)
    except BaseException:
        connection.close()
        raise
    return connection
