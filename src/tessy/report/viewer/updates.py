"""Keeps the index up to date with the journal, and wakes those who wait for a change.

The rows of all samples come first, since lists and most filters need no more; then their words.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tessy.errors import TessyError
from tessy.report.viewer.index import Index
from tessy.runs.folder import RunFolder
from tessy.runs.reader import JournalReader

_ROWS_AT_ONCE = 250
_WORDS_AT_ONCE = 100
_LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class IndexState:
    """How far the run and its index are.

    Attributes:
        ended: Samples that ended, by the journal.
        running: Samples under way.
        listed: Samples in the index.
        searched: Samples in the index whose words are there, too.
        total: Samples that the run will have; None if that is not known.
        shards_left: Shards of the run that were not begun.
        left_out: Lines of the questions that a limit left out.
        again: Samples that were written again after a failure.
        waiting: Failed samples that are still to be written again.
        replaced_tokens: Tokens of failures that were written again and ended.
        written: A process is writing the run.
        journal: A number that changes whenever the run writes something.
        trouble: Why the index is no longer updated; None if it is.
    """

    ended: int = 0
    running: int = 0
    listed: int = 0
    searched: int = 0
    total: int | None = None
    shards_left: int = 0
    left_out: int = 0
    again: int = 0
    waiting: int = 0
    replaced_tokens: int = 0
    written: bool = False
    journal: int = -1
    trouble: str | None = None

    @property
    def known(self) -> bool:
        """Whether the journal was read at all."""
        return self.journal >= 0

    @property
    def begun(self) -> bool:
        """Whether a sample was begun: not if a server was missing when the run started."""
        return self.ended + self.running > 0

    @property
    def changes(self) -> bool:
        """Whether it will change by itself: the run is written, or not all of it is listed."""
        return self.trouble is None and (self.written or self.listed < self.ended or not self.known)

    @property
    def stopped(self) -> bool:
        """No process is writing the run, and it is not complete."""
        missing = self.total is not None and self.ended < self.total
        left = missing or self.waiting > 0 or self.shards_left > 0 or self.running > 0
        return not self.written and left


class IndexUpdater:
    """Updates the index of a run while it goes on.

    Args:
        folder: The run's.
        remote: It is a copy of a run at a URL, whose locks are elsewhere.

    Attributes:
        state: How far the run and its index are.
        closed: No more updates come.

    Raises:
        JournalError: There is no run.
        ViewError: The index can't be kept.
    """

    def __init__(self, folder: RunFolder, *, remote: bool = False) -> None:
        with JournalReader(folder):
            pass  # it is a run
        self.state = IndexState()
        self.closed = False
        self._folder = folder
        self._remote = remote
        self._index = Index(folder)
        self._behind = True
        self._stop = asyncio.Event()
        self._changed = asyncio.Condition()

    @property
    def index_path(self) -> Path:
        """Where the index is."""
        return self._index.path

    async def start(self, *, at_once: bool = True) -> None:
        """Go on in a task.

        Args:
            at_once: First take a step, so that the first page has rows.
        """
        if at_once:
            try:
                self.state = await asyncio.to_thread(self._step)
            except BaseException:
                self._index.close()
                raise
        self._task = asyncio.create_task(self._update())

    async def close(self) -> None:
        """Stop, and wake all who wait for a change."""
        self._stop.set()
        try:
            await self._task  # not cancelled: its thread uses the index
        finally:
            self._index.close()
            self.closed = True
            async with self._changed:
                self._changed.notify_all()

    async def change(self, known: IndexState | None, patience_s: float) -> IndexState:
        """Wait until the state differs from a known one, or the time is over.

        Args:
            known: What the caller has; None for nothing.
            patience_s: Seconds to wait at most.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s), self._changed:
                await self._changed.wait_for(lambda: self.closed or self.state != known)
        return self.state

    async def _update(self) -> None:
        while not self._stop.is_set():
            try:
                state = await asyncio.to_thread(self._step)
            except Exception as error:
                await self._publish(replace(self.state, trouble=f"{type(error).__name__}: {error}"))
                if isinstance(error, TessyError):
                    return
                raise
            if state != self.state:
                await self._publish(state)
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), _LOOK_EVERY_S)

    async def _publish(self, state: IndexState) -> None:
        async with self._changed:
            self.state = state
            self._changed.notify_all()

    def _step(self) -> IndexState:
        """See whether the run wrote something, and add a few samples to the index."""
        journals, state = self._index.journals, self.state
        version = journals.version()
        if version != state.journal:
            self._behind = True
            ended, running = journals.counts()
            state = replace(
                state,
                ended=ended,
                running=running,
                total=journals.total(),
                shards_left=journals.shards_left(),
                left_out=journals.left_out(),
                again=journals.again(),
                waiting=journals.waiting(),
                replaced_tokens=journals.replaced_tokens(),
                journal=version,
            )
        if self._behind:
            self._behind = self._index.add(_ROWS_AT_ONCE) == _ROWS_AT_ONCE
        else:
            self._index.add_words(_WORDS_AT_ONCE)
        listed, without_words = self._index.counts()
        return replace(
            state,
            listed=listed,
            searched=listed - without_words,
            written=self._remote or self._folder.is_written(),
            trouble=None,
        )
