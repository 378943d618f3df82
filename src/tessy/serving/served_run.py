"""What was served, as a run like any other: to be viewed, reported on and exported.

It has one shard. Each choice is a sample, under the id that its response has; what a client left is
a failure, `cancelled`. The same folder again goes on, with the same settings and models.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

from tessy._version import __version__
from tessy.config import Config
from tessy.data import record
from tessy.display import Say
from tessy.errors import JournalError, TessyError
from tessy.method.trajectory import Failure
from tessy.runs.dataset import write_dataset
from tessy.runs.folder import RunFolder
from tessy.runs.journal import Journal
from tessy.runs.reader import is_begun
from tessy.runs.schema import Mark
from tessy.runs.shard_reader import ShardReader
from tessy.runs.written import Ending

_QUESTIONS = "requests"
_CHECKPOINT_S = 2.0


class ServedRun:
    """A run that is being served.

    Args:
        folder: Its folder.
        journal: The journal of its only shard.
        date: The date of its first start, which chat templates show.
        position: The position of the next sample that ends.
    """

    def __init__(
        self, folder: RunFolder, journal: Journal, date: datetime.date, position: int
    ) -> None:
        self.folder = folder
        self.journal = journal
        self.date = date
        self.position = position

    async def end(self, ending: Ending) -> None:
        """Note the end of a sample, behind those that ended before it.

        Raises:
            JournalError: It can't be written.
        """
        position, self.position = self.position, self.position + 1
        await self.journal.end(replace(ending, position=position))

    async def checkpoint(self) -> None:
        """Write to disk what is not there yet.

        Raises:
            JournalError: It can't be written.
        """
        await self.journal.set_mark(Mark.SAMPLES, str(self.position))
        await self.journal.set_mark(Mark.QUESTIONS, str(self.position))
        await self.journal.checkpoint()

    async def checkpoints(self, say: Say) -> None:
        """Write every few seconds, until it is cancelled.

        Args:
            say: Called when that fails, and when it fails otherwise.
        """
        said = ""
        while True:
            await asyncio.sleep(_CHECKPOINT_S)
            try:
                await self.checkpoint()
            except JournalError as error:
                if str(error) != said:
                    said = str(error)
                    say(f"what is served can't be noted: {said}")


@asynccontextmanager
async def served_run(path: Path, config: Config) -> AsyncIterator[ServedRun]:
    """Begin a run in a folder, or go on with the one that is there; at the end, write its data set.

    Args:
        path: The folder.
        config: The server's settings.

    Raises:
        RunMismatch: The folder holds something else, or a run of other settings.
        RunLocked: Another process writes it.
        JournalError: It can't be written.
    """
    folder = RunFolder(path)
    async with AsyncExitStack() as stack:
        stack.enter_context(_its_option())
        lock = await asyncio.to_thread(stack.enter_context, folder.locked())
        date = await asyncio.to_thread(_begin, folder, config)
        shard = folder.shard(0)
        await asyncio.to_thread(stack.enter_context, shard.locked())
        journal = await asyncio.to_thread(Journal, shard, create=True)
        try:
            async with journal:
                await journal.set_mark(Mark.IDENTITY, folder.run_toml.identity())
                positions = await journal.positions()
                position = int(positions[-1]) + 1 if len(positions) else 0
                run = ServedRun(folder, journal, date, position)
                await _end_unfinished(run)
                try:
                    yield run
                finally:
                    await run.checkpoint()
        finally:
            folder.check_there(lock)
            await asyncio.to_thread(write_dataset, folder)  # a changed one is kept


@contextmanager
def _its_option() -> Iterator[None]:
    """Hints name the option that this command has for the folder of a run."""
    try:
        yield
    except TessyError as error:
        hint = (error.hint or "").replace("--out", "--journal")
        error.hint = hint.replace(", or give its questions", "") or None  # it has requests
        raise


def _begin(folder: RunFolder, config: Config) -> datetime.date:
    """Begin the run, or make sure that it is this one; returns the date of its first start."""
    with folder.run_toml.changing():
        if is_begun(folder):
            return folder.run_toml.refuse_other_run(config, _QUESTIONS, _QUESTIONS)
        folder.remove_journals()
        return folder.run_toml.begin(config, _QUESTIONS, _QUESTIONS, __version__, shards=1)


async def _end_unfinished(run: ServedRun) -> None:
    """End what was being written when a server was killed: nobody waits for it any more."""
    with ShardReader(run.folder.shard(0)) as reader:
        left = reader.running()
    for sample_id in left:
        written = await run.journal.resume(sample_id)
        shown, *others = reversed(written.drafts)
        reason, trajectory = Failure.CANCELLED, shown.trajectory
        made = record.failed(
            sample_id, None, trajectory, reason, "the server was killed", others=others
        )
        trace = record.trace(trajectory, others)
        seconds, requests = written.seconds, written.requests
        await run.end(Ending(0, sample_id, reason, made, trace, seconds, requests))
