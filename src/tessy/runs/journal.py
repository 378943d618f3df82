"""The journal: the truth about a run, in SQLite (WAL).

*Exactly once* is kept here: a sample ends by one transaction that writes its record or its
failure and removes its turns, and `samples.id` is unique; nothing is reported as finished before
that transaction is on disk. What is under way is kept as turns, written every few seconds; a
trajectory is the fold of its turns, so after `kill -9` it goes on from the last of them.

All writing happens in one thread, in groups: whatever ended while the last transaction was being
written goes into the next one.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from tessy.errors import JournalError
from tessy.method.trajectory import Failure, Turn
from tessy.runs.packing import pack, turn_from_json, turn_to_json, unpack

_VERSION = 1
_SCHEMA = """
create table if not exists samples (
    position integer primary key,   -- in the order of the questions
    id       text not null unique,
    reason   text,                  -- of a failure; null if finished
    record   blob not null,         -- JSON, as in dataset.jsonl or failures.jsonl
    trace    blob not null,         -- compressed JSON: what was discarded
    seconds  real not null,         -- from its first call to its end, over all starts
    requests integer not null       -- calls to both models
);
create table if not exists turns (
    id       text not null,
    batch    integer not null,
    turns    blob not null,         -- compressed JSON
    seconds  real not null,
    requests integer not null,
    primary key (id, batch)
) without rowid;
create table if not exists attempts (
    id       text primary key,
    failed   integer not null       -- how often it failed and was to be written anew
) without rowid;
create index if not exists reasons on samples (reason);
"""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a sample ended.

    Attributes:
        position: Its place in the order of the questions.
        id: Unique in the run.
        failure: The reason, or None if it finished.
        record: For dataset.jsonl or failures.jsonl.
        trace: What the record leaves out.
        seconds: Time spent on it.
        requests: Calls to both models.
    """

    position: int
    id: str
    failure: Failure | None
    record: dict[str, Any]
    trace: dict[str, Any]
    seconds: float
    requests: int


@dataclass(slots=True)
class Unfinished:
    """What is known of a sample that was under way."""

    turns: list[Turn]
    seconds: float = 0.0
    requests: int = 0


class Journal:
    """A run's journal, open for writing.

    Raises:
        JournalError: It can't be opened, or is of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._notes: dict[str, list[Turn]] = {}
        self._spent: dict[str, tuple[float, int]] = {}
        self._batches: dict[str, int] = {}
        self._ended: set[str] = set()  # since the last checkpoint began
        self._endings: list[tuple[Ending, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._checkpointing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connection = self._thread.submit(self._open).result()

    def _open(self) -> sqlite3.Connection:
        try:
            address = self.path.absolute()  # "file:…" from here would be a URI to some SQLites
            connection = sqlite3.connect(address, isolation_level=None)
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = full")
            version = connection.execute("pragma user_version").fetchone()[0]
            if version not in (0, _VERSION):
                raise JournalError(f"{self.path}: journal of version {version}, not {_VERSION}")
            # All tables at once: whoever reads meanwhile finds the journal whole, or none.
            connection.executescript(f"begin; {_SCHEMA} commit;")
            connection.execute(f"pragma user_version = {_VERSION}")
        except sqlite3.Error as error:
            raise JournalError(f"{self.path}: {error}") from None
        return connection

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._writing is not None:
                await asyncio.wait([self._writing])
            await self.checkpoint()
        finally:
            self._thread.submit(self._connection.close).result()
            self._thread.shutdown()

    async def ended(self) -> dict[str, Failure | None]:
        """Every sample that ended, with its reason if it failed."""
        rows = await self._ask("select id, reason from samples")
        return {row[0]: Failure(row[1]) if row[1] else None for row in rows}

    async def verdicts(self) -> dict[str, int]:
        """Finished samples by what their verifier said; those without a verdict are left out."""
        rows = await self._ask(
            "select json_extract(cast(record as text), '$.verdict.outcome') as outcome, count(*) "
            "from samples where reason is null and outcome is not null group by outcome"
        )
        return dict(rows)

    async def is_begun(self) -> bool:
        """Whether anything was written that depends on a model."""
        rows = await self._ask(
            "select exists (select 1 from turns) or "
            "exists (select 1 from samples where reason is null or reason != ?)",
            (Failure.BAD_QUESTION.value,),
        )
        return bool(rows[0][0])

    async def clear(self) -> None:
        """Forget the bad lines of a start that wrote nothing else: the file may be mended now."""
        await self._ask("delete from samples")

    async def unfinished(self) -> set[str]:
        """Samples that were under way."""
        return {row[0] for row in await self._ask("select distinct id from turns")}

    async def take_up(self, sample_id: str) -> Unfinished:
        """What is known of a sample that was under way; empty if nothing is.

        Turns that were taken down and not written yet are written first: whoever goes on with the
        sample has them, so what comes next stands behind them.

        Raises:
            JournalError: The disk is full, or the like.
        """
        if sample_id in self._notes or self._checkpointing.locked():
            await self.checkpoint()
        rows = await self._ask(
            "select turns, seconds, requests, batch from turns where id = ? order by batch",
            (sample_id,),
        )
        found = Unfinished([])
        for blob, seconds, requests, batch in rows:
            found.turns += [turn_from_json(item) for item in unpack(blob)]
            found.seconds, found.requests = seconds, requests
            self._batches[sample_id] = batch + 1
        return found

    async def forget(self, sample_ids: Iterable[str]) -> None:
        """Remove failures, so that their samples are written anew, as another attempt."""
        rows = [(sample_id,) for sample_id in sample_ids]
        await self._run(
            self._transaction,
            "insert into attempts values (?, 1) on conflict (id) do update set failed = failed + 1",
            rows,
            "delete from samples where id = ? and reason is not null",
            rows,
        )

    async def attempts(self) -> dict[str, int]:
        """How often samples failed that are to be written anew."""
        return dict(await self._ask("select id, failed from attempts"))

    def note(self, sample_id: str, turn: Turn, seconds: float, requests: int) -> None:
        """Take down a turn; it is written with the next checkpoint."""
        self._notes.setdefault(sample_id, []).append(turn)
        self._spent[sample_id] = (seconds, requests)

    async def checkpoint(self) -> None:
        """Write all turns that were taken down, one checkpoint after the other.

        One that has begun goes on if its caller is cancelled: what it took may not be lost.

        Raises:
            JournalError: The disk is full, or the like.
        """
        task = asyncio.create_task(self._checkpoint())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await _shielded(task)

    async def _checkpoint(self) -> None:
        async with self._checkpointing:
            await self._write_notes()

    async def _write_notes(self) -> None:
        notes, self._notes = self._notes, {}
        spent, self._spent = self._spent, {}
        if not notes:
            return
        self._ended.clear()
        rows = [
            (sample_id, self._batches.get(sample_id, 0), turns, *spent[sample_id])
            for sample_id, turns in notes.items()
        ]
        for sample_id, batch, *_ in rows:
            self._batches[sample_id] = batch + 1
        try:
            await self._run(self._write_turns, rows)
        except JournalError:
            self._put_back(notes, spent)
            raise

    def _put_back(self, notes: dict[str, list[Turn]], spent: dict[str, tuple[float, int]]) -> None:
        """Turns that could not be written come before later ones: a gap would be worse than all."""
        for sample_id in notes.keys() - self._ended:
            self._notes[sample_id] = notes[sample_id] + self._notes.get(sample_id, [])
            self._spent.setdefault(sample_id, spent[sample_id])
            self._batches[sample_id] -= 1

    async def end(self, ending: Ending) -> None:
        """End a sample; when this returns, it is on disk.

        Raises:
            JournalError: It could not be written.
        """
        self._notes.pop(ending.id, None)
        self._spent.pop(ending.id, None)
        self._batches.pop(ending.id, None)
        self._ended.add(ending.id)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._endings.append((ending, future))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_groups())
        await _shielded(future)

    async def _write_groups(self) -> None:
        while self._endings:
            group, self._endings = self._endings, []
            try:
                await self._run(self._write_endings, [ending for ending, _ in group])
            except Exception as error:  # whatever it is, nobody may wait for ever
                for _, future in group:
                    if not future.done():
                        future.set_exception(error)
                continue
            for _, future in group:
                if not future.done():
                    future.set_result(None)

    def _write_turns(self, rows: list[tuple[str, int, list[Turn], float, int]]) -> None:
        packed = [
            (sample_id, batch, pack([turn_to_json(turn) for turn in turns]), seconds, requests)
            for sample_id, batch, turns, seconds, requests in rows
        ]
        self._transaction("insert into turns values (?, ?, ?, ?, ?)", packed)

    def _write_endings(self, endings: list[Ending]) -> None:
        rows = [
            (
                ending.position,
                ending.id,
                ending.failure.value if ending.failure else None,
                orjson.dumps(ending.record, default=str),
                pack(ending.trace),
                ending.seconds,
                ending.requests,
            )
            for ending in endings
        ]
        done = [(ending.id,) for ending in endings]
        self._transaction(
            "insert into samples values (?, ?, ?, ?, ?, ?, ?)",
            rows,
            "delete from turns where id = ?",
            done,
        )

    def _transaction(self, *statements: Any) -> None:
        connection = self._connection
        connection.execute("begin immediate")
        try:
            for statement, rows in zip(statements[::2], statements[1::2], strict=True):
                connection.executemany(statement, rows)
            connection.execute("commit")
        except BaseException:
            if connection.in_transaction:  # SQLite has rolled back by itself if the disk is full
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
    """Wait for what goes on if we are cancelled; its error is then nobody's, and no news."""
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        work.add_done_callback(lambda done: done.cancelled() or done.exception())
        raise
