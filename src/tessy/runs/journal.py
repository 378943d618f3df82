"""The journal of a shard, in SQLite (WAL): the only source of truth about its samples.

*Exactly once* is kept here: one transaction ends a sample, by writing its record or failure and
removing its turns, and `samples.id` is unique. No sample is reported as finished before that
transaction is on disk. Unfinished samples are stored as turns, written every few seconds. A
trajectory is the fold of its turns, so after `kill -9` it resumes from the last stored turn.

One thread does all the writing, in groups: samples that end during one transaction go into the next
one.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import orjson
from numpy.typing import NDArray

from tessy.data.exact import dumps
from tessy.errors import JournalError
from tessy.method.trajectory import (
    DraftKey,
    Failure,
)
from tessy.runs import contents
from tessy.runs.contents import pack
from tessy.runs.database import BROKEN, connect, journal_error, mode_for
from tessy.runs.folder import ShardFolder, moved
from tessy.runs.schema import (
    BEGUN,
    TOKENS,
    WAITING,
    Mark,
    check_journal,
    create_tables,
    last_change,
)
from tessy.runs.written import Ending, Entry, Written

_FIRST_MARK = "insert or ignore into marks values ('journal', lower(hex(randomblob(16))));"


@dataclass(slots=True)
class _Notes:
    """Notes on a sample that are not written yet."""

    entries: list[tuple[DraftKey, Entry]] = field(default_factory=list)
    seconds: float = 0.0
    requests: int = 0


class Journal:
    """A shard's journal, open for writing; this process has the shard's lock.

    Args:
        shard: The shard.
        create: Create its file if it does not exist.

    Attributes:
        shard: The shard.
        path: The SQLite file.

    Raises:
        JournalError: It can't be opened, has another version, or is no journal; or it is not there,
            and is not to be created.
    """

    def __init__(self, shard: ShardFolder, *, create: bool = True) -> None:
        self.shard = shard
        self.path = shard.journal
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._notes: dict[str, _Notes] = {}
        self._batches: dict[str, int] = {}
        self._ended: set[str] = set()  # since the last checkpoint began
        self._endings: list[tuple[Ending, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._checkpointing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connection = self._thread.submit(self._open, create).result()
        self._inode = _inode(self.path)  # by which it is known if the folder is moved

    def _open(self, create: bool) -> sqlite3.Connection:
        if not create and not os.path.lexists(self.path):
            raise moved(self.shard.run)
        try:
            connection = connect(self.path, write=True)
            try:
                check_journal(connection, self.path, create=True)
                wanted = mode_for(self.path)
                mode = connection.execute(f"pragma journal_mode = {wanted}").fetchone()[0]
                if mode != wanted:
                    raise JournalError(
                        f"{self.path}: its file system can't keep a journal (SQLite's mode "
                        f"{wanted})",
                        hint="give an --out on a local disk",
                    )
                connection.execute("pragma synchronous = full")
                create_tables(connection, _FIRST_MARK)
                with contents.reading(f"{self.path}: the number of a change"):
                    self._change = last_change(connection)
            except BaseException:
                connection.close()
                raise
        except BROKEN as error:
            raise journal_error(self.path, error) from None
        return connection

    def check_place(self) -> None:
        """Make sure that the folder is still where it was.

        SQLite writes to the file that it opened, wherever that is now, but everything else would
        go to what has the folder's name.

        Raises:
            JournalError: It was moved, replaced or deleted.
        """
        if _inode(self.path) != self._inode:
            raise moved(self.shard.run)

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

    async def mark(self, mark: Mark) -> str | None:
        """A mark; None if it is not there."""
        rows = await self._ask("select value from marks where name = ?", (mark.value,))
        with contents.reading(f"{self.path}: the mark {mark.value!r}"):
            return contents.an(str, rows[0][0], "value") if rows else None

    async def set_mark(self, mark: Mark, value: str) -> None:
        """Write a mark."""
        if await self.mark(mark) != value:
            await self._ask("insert or replace into marks values (?, ?)", (mark.value, value))

    async def ended(self, sample_ids: Collection[str]) -> set[str]:
        """Those of some samples that ended, but for failures that are to be written again."""
        return await self._among(f"samples where not {WAITING}", sample_ids)

    async def begun(self, sample_ids: Collection[str]) -> set[str]:
        """Those of some samples that were started and have not ended."""
        return await self._among("turns where true", sample_ids)

    async def _among(self, table: str, sample_ids: Collection[str]) -> set[str]:
        held = orjson.dumps(list(sample_ids)).decode()
        rows = await self._ask(
            f"select distinct id from {table} and id in (select value from json_each(?))", (held,)
        )
        with contents.reading(f"{self.path}: a row of {table.split()[0]}"):
            return {contents.an(str, row[0], "id") for row in rows}

    async def reasons(self) -> Counter[Failure | None]:
        """How many samples failed for each reason, and with None how many finished."""
        rows = await self._ask("select reason, count(*) from samples group by reason")
        with contents.reading(f"{self.path}: the end of a sample"):
            return Counter({contents.reason(reason): count for reason, count in rows})

    async def is_begun(self) -> bool:
        """Whether the journal contains anything other than bad lines."""
        return bool((await self._ask(BEGUN, (Failure.BAD_QUESTION.value,)))[0][0])

    async def ended_from(self, position: int) -> list[tuple[str, Failure | None]]:
        """The samples that ended at a position or after it: ids, and why they failed."""
        rows = await self._ask("select id, reason from samples where position >= ?", (position,))
        with contents.reading(f"{self.path}: a sample that ended"):
            return [(contents.an(str, name, "id"), contents.reason(why)) for name, why in rows]

    async def unfinished(self) -> set[str]:
        """The ids of all samples that were started and have not ended."""
        rows = await self._ask("select distinct id from turns")
        with contents.reading(f"{self.path}: a sample under way"):
            return {contents.an(str, name, "id") for (name,) in rows}

    async def positions(self) -> NDArray[np.int64]:
        """The positions of the samples that `ended`, ascending."""
        rows = await self._ask(
            f"select position from samples where not {WAITING} order by position"
        )
        with contents.reading(f"{self.path}: the position of a sample"):
            return np.fromiter((contents.a_count(row[0], "position") for row in rows), np.int64)

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

    async def write_again(self, reasons: Collection[Failure], end: int) -> None:
        """Have failures written again with other seeds; each stays until its sample ends again.

        Args:
            reasons: Those with one of these reasons.
            end: Those before this position.
        """
        again = {"change": self._change, "end": end, "reasons": [each.value for each in reasons]}
        await self.set_mark(Mark.AGAIN, orjson.dumps(again).decode())

    async def waiting(self, end: int) -> Counter[Failure]:
        """Failures before a position that are to be written again, by reason."""
        rows = await self._ask(
            f"select reason, count(*) from samples where {WAITING} and position < ?"
            " group by reason",
            (end,),
        )
        with contents.reading(f"{self.path}: the end of a sample"):
            return Counter({Failure(reason): count for reason, count in rows})

    async def failures(self, sample_ids: Collection[str]) -> Counter[str]:
        """How often some samples failed before they are written now, by id."""
        rows = await self._ask(
            "with asked as (select value as id from json_each(?))"
            " select id, failed from attempts where id in asked"
            f" union all select id, 1 from samples where id in asked and {WAITING}",
            (orjson.dumps(list(sample_ids)).decode(),),
        )
        found = Counter[str]()
        with contents.reading(f"{self.path}: the table of attempts"):
            for sample_id, failed in rows:
                found[contents.an(str, sample_id, "id")] += contents.a_count(failed, "failed")
        return found

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
        change = self._next_change()
        packed = [
            (sample_id, batch, pack([[*key, *entry] for key, entry in entries]), *rest, change)
            for sample_id, batch, entries, *rest in rows
        ]
        self._transaction("insert into turns values (?, ?, ?, ?, ?, ?)", packed)

    def _write_endings(self, endings: list[Ending]) -> None:
        change = self._next_change()
        rows = [
            (
                ending.position,
                ending.id,
                ending.failure,
                dumps(ending.record),
                pack(ending.trace),
                ending.seconds,
                ending.requests,
                change,
            )
            for ending in endings
        ]
        ids = [(ending.id,) for ending in endings]
        self._transaction(
            f"insert into attempts select id, 1, ? from samples where id = ? and {WAITING}"
            " on conflict (id) do update set failed = failed + 1, change = excluded.change",
            [(change, *each) for each in ids],
            f"insert into marks select ?, {TOKENS} from samples where id = ? and {WAITING}"
            " on conflict (name) do update"
            " set value = cast(cast(value as integer) + excluded.value as text)",
            [(Mark.REPLACED_TOKENS.value, *each) for each in ids],
            f"delete from samples where id = ? and {WAITING}",
            ids,
            "insert into samples values (?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
            "delete from turns where id = ?",
            ids,
        )

    def _next_change(self) -> int:
        self._change += 1
        return self._change

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
            raise journal_error(self.path, error) from error


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
