"""Keeps the index in step with the journal, in a thread of its own, and tells who watches.

Facts of all samples come first, since lists and most filters need no more; then their words.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tessy.errors import TessyError
from tessy.report.viewer.index import Index
from tessy.runs.folder import RunFolder
from tessy.runs.reader import JournalReader

_FACTS_AT_ONCE = 250
_TEXTS_AT_ONCE = 100
_LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class State:
    """How far the run is, and the index behind it.

    Attributes:
        ended: Samples that ended, by the journal.
        running: Samples under way.
        listed: Samples in the index.
        searched: Those of them whose words are there, too.
        journal: A number that changes whenever the run writes something.
        trouble: Why the index is not kept any more; None if it is.
    """

    ended: int = 0
    running: int = 0
    listed: int = 0
    searched: int = 0
    journal: int = -1
    trouble: str | None = None


class Follower:
    """Follows a run.

    Args:
        folder: The run's.

    Raises:
        JournalError: There is no run.
        ViewError: The index can't be kept.
    """

    def __init__(self, folder: RunFolder) -> None:
        with JournalReader(folder):
            pass  # it is a run
        self.state = State()
        self.closed = False
        self._index = Index(folder)
        self._missing: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="index", daemon=True)
        self._changed = asyncio.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def index_path(self) -> Path:
        """Where the index lies."""
        return self._index.path

    async def start(self) -> None:
        """Take the first step, so that the first page has rows; go on in a thread."""
        self._loop = asyncio.get_running_loop()
        try:
            self.state = await asyncio.to_thread(self._step)
        except BaseException:
            self._index.close()
            raise
        self._thread.start()

    async def close(self) -> None:
        """Stop following; whoever waits for a change is woken."""
        self._stop.set()
        await asyncio.to_thread(self._thread.join)
        self._index.close()
        self.closed = True
        async with self._changed:
            self._changed.notify_all()

    async def change(self, known: State | None, patience_s: float) -> State:
        """Wait until the state is another one, or patience ends.

        Args:
            known: What the caller knows; None for nothing.
            patience_s: Seconds to wait at most.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s), self._changed:
                await self._changed.wait_for(lambda: self.closed or self.state != known)
        return self.state

    def _follow(self) -> None:
        while not self._stop.is_set():
            before = self.state
            try:
                self._publish(self._step())
            except Exception as error:
                self._publish(replace(self.state, trouble=f"{type(error).__name__}: {error}"))
                if isinstance(error, TessyError):
                    return
                raise
            if self.state == before:
                self._stop.wait(_LOOK_EVERY_S)

    def _step(self) -> State:
        """Look whether the run wrote something, and take up a few samples."""
        version = self._index.journal_version()
        ended, running = self.state.ended, self.state.running
        if version != self.state.journal:
            self._missing = self._index.missing()
            ended, running = self._index.run_counts()
        if self._missing:
            self._index.add(self._missing[:_FACTS_AT_ONCE])
            del self._missing[:_FACTS_AT_ONCE]
        else:
            self._index.read(_TEXTS_AT_ONCE)
        listed, unread = self._index.counts()
        return State(ended, running, listed, listed - unread, version)

    def _publish(self, state: State) -> None:
        if state == self.state:
            return
        self.state = state
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            asyncio.run_coroutine_threadsafe(self._notify(), self._loop)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
