"""The journal of a run, in SQLite (WAL): its only source of truth.

*Exactly once* is kept here: one transaction ends a sample, by writing its record or failure and
removing its turns, and `samples.id` is unique. No sample is reported as finished before that
transaction is on disk. Unfinished samples are stored as turns, written every few seconds. A
trajectory is the fold of its turns, so after `kill -9` it resumes from the last stored turn.

One thread does all the writing, in groups: samples that end during one transaction go into the next
one. Several processes may write to one journal; only one of them writes any given sample.
"""

from __future__ import annotations

import asyncio
import sqlite3
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import orjson

from tessy.data.exact import dumps
from tessy.data.record import RejectedDraft
from tessy.errors import JournalError
from tessy.method.trajectory import (
    DraftKey,
    Failure,
    Outcome,
    Part,
    Rejection,
    Role,
    Trajectory,
    Turn,
)

_VERSION = 2
_BUSY_S = 60.0
"""How long a transaction waits for another process's transaction."""
_SCHEMA = """
create table if not exists samples (
    position integer primary key,   -- in the order of the questions
    id       text not null unique,
    reason   text,                  -- of the failure; null if finished
    record   blob not null,         -- JSON, as in dataset.jsonl or failures.jsonl
    trace    blob not null,         -- compressed JSON: what was discarded
    seconds  real not null,         -- from its first call to its end, over all starts
    requests integer not null       -- calls to both models
);
create table if not exists turns (
    id       text not null,
    batch    integer not null,
    turns    blob not null,         -- compressed JSON: turns and rejections, each with its draft
    seconds  real not null,
    requests integer not null,
    primary key (id, batch)
) without rowid;
create table if not exists attempts (
    id       text primary key,
    failed   integer not null       -- how often it failed and was then written again
) without rowid;
create table if not exists workers (
    number   integer primary key,
    counters blob not null          -- JSON: counts of a worker process since it started
);
create index if not exists reasons on samples (reason);
"""

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

    def add(self, blob: bytes) -> None:
        """Add a blob from the table of turns."""
        for attempt, number, *fields in unpack(blob):
            key = DraftKey(attempt, number)
            if len(fields) == len(Rejection._fields):
                self.rejections[key] = Rejection(fields[0], _failure(fields[1]))
            else:
                self.turns.setdefault(key, []).append(_turn(fields))


@dataclass(slots=True)
class _Notes:
    """Notes on a sample that are not written yet."""

    entries: list[tuple[DraftKey, Entry]] = field(default_factory=list)
    seconds: float = 0.0
    requests: int = 0


class Journal:
    """A run's journal, open for writing.

    Args:
        path: The SQLite file; it is created if it does not exist.

    Raises:
        JournalError: It can't be opened, or has another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._notes: dict[str, _Notes] = {}
        self._batches: dict[str, int] = {}
        self._ended: set[str] = set()  # since the last checkpoint began
        self._endings: list[tuple[Ending, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._checkpointing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connection = self._thread.submit(self._open).result()

    def _open(self) -> sqlite3.Connection:
        try:
            address = self.path.absolute()  # some SQLites take a relative "file:…" as a URI
            connection = sqlite3.connect(address, isolation_level=None, timeout=_BUSY_S)
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = full")
            check_version(connection, self.path)
            # All tables in one transaction: a reader finds either a complete journal or none.
            connection.executescript(f"begin immediate; {_SCHEMA} commit;")
            connection.execute(f"pragma user_version = {_VERSION}")
        except sqlite3.Error as error:
            raise JournalError(f"{self.path}: {error}") from None
        return connection

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            if self._writing is not None:
                await asyncio.wait([self._writing])
            await self.checkpoint()
        finally:
            self._thread.submit(self._connection.close).result()
            self._thread.shutdown()

    # --- Reading what earlier starts wrote --------------------------------------------------

    async def ended(self) -> dict[str, Failure | None]:
        """The ids of all samples that ended, with the reason if a sample failed."""
        rows = await self._ask("select id, reason from samples")
        return {sample_id: _failure(reason) for sample_id, reason in rows}

    async def verdicts(self) -> dict[str, int]:
        """Finished samples by verdict; samples without a verdict are left out."""
        rows = await self._ask(
            "select json_extract(cast(record as text), '$.verdict.outcome') as outcome, count(*) "
            "from samples where reason is null and outcome is not null group by outcome"
        )
        return dict(rows)

    async def is_begun(self) -> bool:
        """Whether the journal contains anything other than bad lines."""
        rows = await self._ask(
            "select exists (select 1 from turns) or "
            "exists (select 1 from samples where reason is null or reason != ?)",
            (Failure.BAD_QUESTION.value,),
        )
        return bool(rows[0][0])

    async def clear(self) -> None:
        """Delete the bad lines of a start that wrote nothing else: the file may be fixed now."""
        await self._ask("delete from samples")

    async def unfinished(self) -> set[str]:
        """The ids of samples that were started and have not ended."""
        return {row[0] for row in await self._ask("select distinct id from turns")}

    async def resume(self, sample_id: str) -> Written:
        """Read what was written of an unfinished sample, to resume it.

        Raises:
            JournalError: The journal can't be read.
        """
        rows = await self._ask(
            "select turns, seconds, requests, batch from turns where id = ? order by batch",
            (sample_id,),
        )
        written = Written()
        for blob, seconds, requests, batch in rows:
            written.add(blob)
            written.seconds, written.requests = seconds, requests
            self._batches[sample_id] = batch + 1
        return written

    async def forget(self, sample_ids: Iterable[str]) -> None:
        """Delete failures, so that their samples are written again with other seeds."""
        rows = [(sample_id,) for sample_id in sample_ids]
        await self._run(
            self._transaction,
            "insert into attempts values (?, 1) on conflict (id) do update set failed = failed + 1",
            rows,
            "delete from samples where id = ? and reason is not null",
            rows,
        )

    async def failures(self) -> dict[str, int]:
        """How often samples failed before they were last written again, by id."""
        return dict(await self._ask("select id, failed from attempts"))

    # --- Writing ----------------------------------------------------------------------------

    def note(
        self, sample_id: str, key: DraftKey, entry: Entry, seconds: float, requests: int
    ) -> None:
        """Note a turn or a rejection; the next checkpoint writes it.

        Args:
            sample_id: The sample.
            key: The draft.
            entry: The turn or rejection.
            seconds: Time spent on the sample so far.
            requests: Calls for the sample so far.
        """
        notes = self._notes.setdefault(sample_id, _Notes())
        notes.entries.append((key, entry))
        notes.seconds, notes.requests = seconds, requests

    async def checkpoint(self) -> None:
        """Write all notes; concurrent checkpoints run one after the other.

        A checkpoint that has started continues if its caller is cancelled, so no note is lost.

        Raises:
            JournalError: The notes could not be written, for example because the disk is full.
        """
        task = asyncio.create_task(self._checkpoint())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await _shielded(task)

    async def _checkpoint(self) -> None:
        async with self._checkpointing:
            taken, self._notes = self._notes, {}
            if not taken:
                return
            self._ended.clear()
            rows = []
            for sample_id, notes in taken.items():
                batch = self._batches.get(sample_id, 0)
                self._batches[sample_id] = batch + 1
                rows.append((sample_id, batch, notes.entries, notes.seconds, notes.requests))
            try:
                await self._run(self._write_turns, rows)
            except JournalError:
                self._put_back(taken)
                raise

    def _put_back(self, taken: dict[str, _Notes]) -> None:
        """Put notes that could not be written before later ones, so that there is no gap."""
        for sample_id in taken.keys() - self._ended:
            later = self._notes.get(sample_id)
            if later is not None:
                taken[sample_id].entries += later.entries
                taken[sample_id].seconds, taken[sample_id].requests = later.seconds, later.requests
            self._notes[sample_id] = taken[sample_id]
            self._batches[sample_id] -= 1

    async def end(self, ending: Ending) -> None:
        """End a sample; when this returns, the end is on disk.

        Raises:
            JournalError: The end could not be written.
        """
        self._notes.pop(ending.id, None)
        self._batches.pop(ending.id, None)
        self._ended.add(ending.id)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._endings.append((ending, future))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_groups())
        await _shielded(future)

    async def count(self, worker: int, counters: Mapping[str, Any]) -> None:
        """Write the counts of a worker process since it started."""
        values = (worker, orjson.dumps(counters))
        await self._ask("insert or replace into workers values (?, ?)", values)

    async def counted(self) -> list[dict[str, Any]]:
        """The counts of each worker process since it started."""
        return [orjson.loads(row[0]) for row in await self._ask("select counters from workers")]

    async def forget_workers(self) -> None:
        """Delete the counts of the workers of an earlier start."""
        await self._ask("delete from workers")

    async def _write_groups(self) -> None:
        while self._endings:
            group, self._endings = self._endings, []
            try:
                await self._run(self._write_endings, [ending for ending, _ in group])
            except Exception as error:  # of any kind: no caller may wait forever
                for _, future in group:
                    if not future.done():
                        future.set_exception(error)
                continue
            for _, future in group:
                if not future.done():
                    future.set_result(None)

    # --- In the journal's thread ------------------------------------------------------------

    def _write_turns(self, rows: list[tuple[str, int, list[Any], float, int]]) -> None:
        packed = [
            (sample_id, batch, pack([[*key, *entry] for key, entry in entries]), seconds, requests)
            for sample_id, batch, entries, seconds, requests in rows
        ]
        self._transaction("insert into turns values (?, ?, ?, ?, ?)", packed)

    def _write_endings(self, endings: list[Ending]) -> None:
        rows = [
            (
                ending.position,
                ending.id,
                ending.failure,
                dumps(ending.record),
                pack(ending.trace),
                ending.seconds,
                ending.requests,
            )
            for ending in endings
        ]
        self._transaction(
            "insert into samples values (?, ?, ?, ?, ?, ?, ?)",
            rows,
            "delete from turns where id = ?",
            [(ending.id,) for ending in endings],
        )

    def _transaction(self, *statements: Any) -> None:
        connection = self._connection
        connection.execute("begin immediate")
        try:
            for statement, rows in zip(statements[::2], statements[1::2], strict=True):
                connection.executemany(statement, rows)
            connection.execute("commit")
        except BaseException:
            if connection.in_transaction:  # if the disk is full, SQLite has already rolled back
                connection.execute("rollback")
            raise

    async def _ask(self, statement: str, values: Iterable[Any] = ()) -> list[Any]:
        rows: list[Any] = await self._run(
            lambda: self._connection.execute(statement, tuple(values)).fetchall()
        )
        return rows

    async def _run(self, function: Any, *args: Any) -> Any:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)
        except sqlite3.Error as error:
            raise JournalError(f"{self.path}: {error}") from error


async def _shielded(work: asyncio.Future[None]) -> None:
    """Wait for `work`; if the caller is cancelled, it continues and its error is ignored."""
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        work.add_done_callback(lambda done: done.cancelled() or done.exception())
        raise


def check_version(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a journal of another version.

    Raises:
        JournalError: The journal has another version.
    """
    version = connection.execute("pragma user_version").fetchone()[0]
    if version not in (0, _VERSION):
        raise JournalError(
            f"{path}: a run of another version of tessy (journal {version}, not {_VERSION})",
            hint="resume it with that version, or start again in another folder",
        )


def pack(value: Any) -> bytes:
    """Compress a JSON value."""
    return zlib.compress(orjson.dumps(value), 1)


def unpack(blob: bytes) -> Any:
    """Decompress a JSON value from `pack`."""
    return orjson.loads(zlib.decompress(blob))


def _failure(reason: str | None) -> Failure | None:
    return Failure(reason) if reason else None


def _turn(fields: list[Any]) -> Turn:
    """Make a turn from its fields, in order."""
    turn = Turn(Role(fields[0]), Part(fields[1]), Outcome(fields[2]), *fields[3:])
    return turn if turn.ids is None else turn._replace(ids=tuple(turn.ids))
