"""Uploads a shard while it is written: what was added, every minute and at its end."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tessy.data.remote import RemotePath, persistently
from tessy.errors import RemoteError, RunLocked
from tessy.runs import lease
from tessy.runs.folder import ShardFolder
from tessy.runs.lease import LeaseWatch, ShardLease, wait_for_lease
from tessy.runs.parts import copy_state, make_part, new_writer, note_part, note_writer
from tessy.runs.restore import PARTS, parts_at, restore
from tessy.runs.rows import full_parts, number_of, part_files
from tessy.runs.shard_reader import ShardReader


@dataclass(slots=True)
class ShardKeeper:
    """Keeps what is at a URL up to a shard; a context, within which the shard is written.

    At its start the shard's journal is made what was uploaded, by whomever; at its end the rest is
    uploaded. An upload that fails is tried again a minute later, and stops nothing.

    Args:
        shard: The shard on this machine, locked by this process.
        there: The shard at the URL.
        every_s: Seconds between uploads.
        say: Called with lines about what is waited for and what failed.
        everything: Also upload a journal that holds no more than bad lines: the run has begun, so
            its settings can't change any more.
        waits: Wait for another process that writes the shard.
        watch: What was seen of its lease before, so that several are waited for at once.

    Attributes:
        failed: Uploads that failed.
        pending: The last upload failed.
    """

    shard: ShardFolder
    there: RemotePath
    every_s: float
    say: Callable[[str], None]
    everything: bool = False
    waits: bool = True
    watch: LeaseWatch | None = None
    failed: int = 0
    pending: bool = False
    _lease: ShardLease | None = None
    _cancelled: threading.Event = field(default_factory=threading.Event)
    _sent: set[str] = field(default_factory=set)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _uploading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __aenter__(self) -> Self:
        try:
            self._lease = await asyncio.to_thread(self._take)
        except asyncio.CancelledError:
            self._cancelled.set()  # or its thread would wait on
            raise
        self._tasks = [asyncio.create_task(self._beats())]
        try:
            await asyncio.to_thread(self._restore)
        except BaseException:
            await self._stop()
            await asyncio.to_thread(self._release)
            raise
        self._tasks.append(asyncio.create_task(self._uploads()))
        return self

    async def __aexit__(self, kind: Any, error: Any, _: object) -> None:
        # The journal was closed before, so all is on disk.
        self._tasks[1].cancel()
        async with self._uploading:
            if not self._lost:
                await self._upload()
        await self._stop()
        if not self.pending:
            await asyncio.to_thread(self._release)
        if error is None:
            self.check()

    def check(self) -> None:
        """Make sure that the shard is still this process's.

        Raises:
            RunLocked: Another process has taken it.
        """
        if self._lost:
            assert self._lease is not None
            self._lease.check()

    @property
    def _lost(self) -> bool:
        return self._lease is not None and self._lease.lost

    def _take(self) -> ShardLease:
        known = copy_state(self.shard.journal)
        own = [known.writer] if known and known.writer else []
        watch = self.watch or LeaseWatch(patience_s=lease.PATIENCE_S)
        watch.own = own
        say = self.say if self.waits else None
        found = wait_for_lease(self.there, watch, say, sleep=self._pause)
        others = [part.writer for part in parts_at(self.there)]
        others += [found.writer] if found else []
        taken = ShardLease(self.there, new_writer([*others, *own]))
        persistently(taken.take, say=self.say)
        return taken

    def _pause(self, seconds: float) -> None:
        if self._cancelled.wait(seconds):
            raise RunLocked(f"{self.there}: stopped while another process writes this shard")

    def _restore(self) -> None:
        assert self._lease is not None
        if restore(self.shard, self.there, parts_at(self.there)):
            self.say(f"{self.there}: another process went on with this shard: going on from there")
        note_writer(self.shard.journal, self._lease.writer)
        full = full_parts(self.shard.journal)
        for name in persistently(self.there.names):
            if (number := number_of(name)) is not None and number < full:
                self._sent.add(name)
            elif number is not None and number > full:  # of a process whose parts are not used
                (self.there / name).remove()

    async def _beats(self) -> None:
        assert self._lease is not None
        while not self._lost:
            await asyncio.sleep(lease.BEAT_S)
            with contextlib.suppress(RemoteError, RunLocked):  # `check` says so
                await asyncio.to_thread(self._lease.beat)

    async def _uploads(self) -> None:
        while not self._lost:
            await asyncio.sleep(self.every_s)
            async with self._uploading:
                await self._upload(attempts=1)

    async def _upload(self, *, attempts: int = 5) -> None:
        """Upload what is new, if there is anything; a failure is said."""
        work = asyncio.create_task(asyncio.to_thread(self._send, attempts))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait([work])
            raise

    def _send(self, attempts: int) -> None:
        try:
            if not (self.everything or self._is_begun()):
                return
            with tempfile.TemporaryDirectory(prefix="tessy-part-") as folder:
                self._send_part(Path(folder) / "part.sqlite.gz", attempts)
            self.pending = False
        except RunLocked:
            pass  # `check` says so
        except (RemoteError, OSError) as error:
            self.failed += 1
            self.pending = True
            said = getattr(error, "message", error)
            self.say(f"upload {self.failed} failed, and is tried again: {said}")

    def _send_part(self, file: Path, attempts: int) -> None:
        assert self._lease is not None
        mine, journal = self._lease, self.shard.journal
        made = make_part(journal, mine.writer, file)
        self._send_rows(attempts)  # before the journal says that they are there
        if made is not None:
            self._put(file, f"{PARTS}/{made.name}", attempts)
            note_part(journal, made)

    def _send_rows(self, attempts: int) -> None:
        """Upload parts of the data set that are not there; full ones never change."""
        full = full_parts(self.shard.journal)
        for path in part_files(self.shard):
            if path.name not in self._sent:
                self._put(path, path.name, attempts)
                if (number_of(path.name) or 0) < full:
                    self._sent.add(path.name)

    def _put(self, file: Path, name: str, attempts: int) -> None:
        assert self._lease is not None
        mine = self._lease

        def upload() -> None:
            mine.check()
            (self.there / name).put(file)

        persistently(upload, say=self.say, attempts=attempts)

    def _is_begun(self) -> bool:
        with ShardReader(self.shard) as reader:
            return reader.is_begun()

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _release(self) -> None:
        assert self._lease is not None
        with contextlib.suppress(RemoteError):
            self._lease.release()
