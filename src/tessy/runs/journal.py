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
from collections.abc import Iterable, Mapping, Sequence
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
    Rejection,
    Trajectory,
    Turn,
)
from tessy.runs import contents
from tessy.runs.contents import pack
from tessy.runs.database import BROKEN, check_schema, connect

_VERSION = 2
_NEEDED = {"samples", "turns"}
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
        inode: The file that it must be, by the `inode` of another process's journal.

    Attributes:
        path: The SQLite file.
        inode: Device and inode of the file, by which it is known if the folder is moved.

    Raises:
        JournalError: It can't be opened, has another version, is no journal or another one.
    """

    def __init__(self, path: Path, inode: Sequence[int] | None = None) -> None:
        self.path = path
        self.inode = tuple(inode) if inode else None
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
        if self.inode is not None:
            self.check_place()
        try:
            connection = connect(self.path, write=True)
            try:
                check_journal(connection, self.path, create=True)
                mode = connection.execute("pragma journal_mode = wal").fetchone()[0]
                if mode != "wal":
                    raise JournalError(
                        f"{self.path}: its file system can't keep a journal (SQLite's WAL mode)",
                        hint="give an --out on a local disk",
                    )
                connection.execute("pragma synchronous = full")
                # All in one transaction: a reader finds either a complete journal or none.
                connection.executescript(
                    f"begin immediate; {_SCHEMA} pragma user_version = {_VERSION}; commit;"
                )
            except BaseException:
                connection.close()
                raise
        except BROKEN as error:
            raise JournalError(f"{self.path}: {error}") from None
        if self.inode is None:
            self.inode = _inode(self.path)
        return connection

    def check_place(self) -> None:
        """Make sure that the folder is still where it was.

        SQLite writes to the file that it opened, wherever that is now, but everything else would
        go to what has the folder's name.

        Raises:
            JournalError: It was moved, replaced or deleted.
        """
        if _inode(self.path) != self.inode:
            raise JournalError(
                f"{self.path.parent} was moved, replaced or deleted while its run went on",
                hint="if it was moved, nothing is lost: give its new path as --out, and the run "
                "goes on there; if it was deleted, the same command begins again",
            )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            if self._writing is not None:
                await asyncio.wait([self._writing])
            await self.checkpoint()
        finally:
            loop = asyncio.get_running_loop()
            try:
                await _shielded(loop.run_in_executor(self._thread, self._connection.close))
            finally:
                self._thread.shutdown(wait=False)

    # --- Reading what earlier starts wrote --------------------------------------------------

    async def ended(self) -> dict[str, Failure | None]:
        """The ids of all samples that ended, with the reason if a sample failed."""
        rows = await self._ask("select id, reason from samples")
        with contents.reading(f"{self.path}: the end of a sample"):
            return {
                contents.an(str, sample_id, "id"): contents.reason(reason)
                for sample_id, reason in rows
            }

    async def verdicts(self) -> dict[str, int]:
        """Finished samples by verdict; samples without a verdict are left out."""
        rows = await self._ask(
            "select json_extract(cast(record as text), '$.verdict.outcome') as outcome, count(*) "
            "from samples where reason is null and outcome is not null group by outcome"
        )
        return {str(outcome): count for outcome, count in rows}

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
        rows = await self._ask("select distinct id from turns")
        with contents.reading(f"{self.path}: a sample under way"):
            return {contents.an(str, row[0], "id") for row in rows}

    async def resume(self, sample_id: str) -> Written:
        """Read what was written of an unfinished sample, to resume it.

        Raises:
            JournalError: The journal can't be read.
        """
        rows = await self._ask(
            "select turns, seconds, requests, batch from turns where id = ? order by batch",
            (sample_id,),
        )
        with contents.reading(f"{self.path}: the turns of {sample_id!r}"):
            for *_, batch in rows[-1:]:
                self._batches[sample_id] = contents.a_count(batch, "batch") + 1
        return Written.read(self.path, sample_id, (row[:3] for row in rows))

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
        rows = await self._ask("select id, failed from attempts")
        with contents.reading(f"{self.path}: the table of attempts"):
            return {
                contents.an(str, sample_id, "id"): contents.a_count(failed, "failed")
                for sample_id, failed in rows
            }

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
            self.check_place()
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
        self.check_place()
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
        except BROKEN as error:
            raise JournalError(f"{self.path}: {error}") from error


def _inode(path: Path) -> tuple[int, int] | None:
    """Device and inode of a file; None if it is not there."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


async def _shielded(work: asyncio.Future[None]) -> None:
    """Wait for `work`; if the caller is cancelled, it continues and its error is ignored."""
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        work.add_done_callback(lambda done: done.cancelled() or done.exception())
        raise


def check_journal(connection: sqlite3.Connection, path: Path, *, create: bool = False) -> bool:
    """Refuse what is no journal of this version.

    Args:
        connection: The open file.
        path: Its path, for messages.
        create: It may be new, and without tables.

    Returns:
        Whether it has its tables.

    Raises:
        JournalError: It has another version, or other tables.
        sqlite3.Error: It can't be read.
    """
    version = connection.execute("pragma user_version").fetchone()[0]
    if version not in (0, _VERSION):
        raise JournalError(
            f"{path}: a run of another version of tessy (journal {version}, not {_VERSION})",
            hint="resume it with that version, or start again in another folder",
        )
    begun = check_schema(connection, path, _SCHEMA, _NEEDED)
    if not begun and not create:
        raise JournalError(f"{path} is empty: no sample was begun, or the journal was lost")
    return begun
