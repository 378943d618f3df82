"""The shards that a process writes, one after the other.

While the last samples of a shard are written, the next free shard is opened, so that as many
samples are written at once as before.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from tessy.config import Config
from tessy.data import record
from tessy.data.questions import BadLine, Questions, shard_of
from tessy.method.trajectory import Failure, Role, Trajectory
from tessy.runs.counters import Counters
from tessy.runs.folder import RunFolder, ShardFolder, moved, refuse_lost
from tessy.runs.journal import Journal
from tessy.runs.keeper import ShardKeeper
from tessy.runs.locks import held_if_free
from tessy.runs.plan import Job, jobs, question_of
from tessy.runs.remote import RemoteRun, keeping
from tessy.runs.rows import write_parts
from tessy.runs.schema import Mark
from tessy.runs.written import Ending, Written

_AT_ONCE = 200
"""Samples that are looked up in the journal at once."""


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """Which samples a process writes.

    Attributes:
        folder: The run's folder.
        config: The run's settings.
        questions: All questions of the run.
        numbers: The shards that this process may write, in this order.
        count: The number of shards of the run.
        identity: What all shards of the run share; see `RunToml.identity`.
        locked: This process has the locks of all of them.
        remote: Keeps the run's URL up to date; None for a run in a folder.
    """

    folder: RunFolder
    config: Config
    questions: Questions
    numbers: tuple[int, ...]
    count: int
    identity: str
    locked: bool = False
    remote: RemoteRun | None = None

    @property
    def samples(self) -> dict[int, int]:
        """How many samples each of the shards has, ended or not, with its bad lines."""
        several, sizes = self.config.samples_per_question, self.questions.shard_sizes(self.count)
        bad = [0] * self.count
        for line in self.questions.bad:
            bad[shard_of(line.id, self.count)] += 1
        return {number: sizes[number] * several + bad[number] for number in self.numbers}

    @property
    def end(self) -> int:
        """The position after the last question that is used: a limit may leave out others."""
        return len(self.questions.row_hashes) * self.config.samples_per_question

    def left(self, shard: int, ended: NDArray[np.int64]) -> NDArray[np.int64]:
        """The numbers of a shard's questions that have samples left to write, ascending.

        Args:
            shard: The number of the shard.
            ended: The positions of its samples that ended.
        """
        questions, counts = np.unique(ended // self.config.samples_per_question, return_counts=True)
        over = questions[counts >= self.config.samples_per_question]
        return np.setdiff1d(self.questions.numbers(shard, self.count), over, assume_unique=True)

    async def _beyond(self, journal: Journal) -> tuple[int, int, int]:
        """What a journal has of questions beyond the limit, which an earlier start began.

        Returns:
            How many samples of them ended, how many samples they have, and how many they are.
        """
        if not self.questions.beyond:
            return 0, 0, 0
        several = self.config.samples_per_question
        ended = await journal.ended_from(self.end)
        good = [name for name, reason in ended if reason is not Failure.BAD_QUESTION]
        begun = {question_of(name, several) for name in await journal.unfinished()}
        questions = {question_of(name, several) for name in good}
        questions |= begun - self.questions.among(begun)
        bad = len(ended) - len(good)
        return len(ended), several * len(questions) + bad, len(questions) + bad

    async def prepare(self, retry: Collection[Failure]) -> tuple[Counters, int]:
        """Create the journals of the shards, and record bad lines in them.

        Args:
            retry: Samples that failed for these reasons are written again, but for those of
                questions beyond a limit.

        Returns:
            The counts of these shards, and how many failed samples are written again, those that an
            earlier start left included.

        Raises:
            RunMismatch: The part that a shard has written has more samples than its journal.
            RunLocked: Another process writes one of them.
            JournalError: A journal can't be written.
        """
        called = {role: self.config.called(role).removeprefix("the ") for role in Role}
        counters, again, left_out = Counters(total=0, called=called), 0, self.questions.beyond
        samples = self.samples
        bad: dict[int, list[BadLine]] = {number: [] for number in self.numbers}
        for line in self.questions.bad:
            bad.get(shard_of(line.id, self.count), []).append(line)
        if self.remote is not None:
            await asyncio.to_thread(self.remote.look, self.numbers)
        for number in self.numbers:
            shard = self.folder.shard(number)
            async with AsyncExitStack() as stack:
                if not self.locked:
                    await asyncio.to_thread(stack.enter_context, shard.locked())
                await stack.enter_async_context(keeping(self.remote, shard))
                journal = await stack.enter_async_context(await _journal(shard, create=True))
                if self.locked:
                    finished = (await journal.reasons())[None]
                    await asyncio.to_thread(refuse_lost, shard, finished)
                await journal.set_mark(Mark.IDENTITY, self.identity)
                if retry:
                    await journal.write_again(retry, self.end)
                waiting = await journal.waiting(self.end)
                again += waiting.total()
                ended, beyond, lines = await self._beyond(journal)
                reasons = await journal.reasons()
                reasons.subtract(waiting)
                await journal.set_mark(Mark.SAMPLES, str(samples[number] + beyond))
                await journal.set_mark(Mark.QUESTIONS, str(len(self.questions.row_hashes)))
                left_out = max(0, left_out - lines)
                await journal.set_mark(Mark.LEFT_OUT, str(left_out))
                await journal.set_mark(Mark.UNVERIFIABLE, str(self.questions.unverifiable))
                counters.finished += reasons.pop(None, 0)
                counters.failed.update({why: n for why, n in reasons.items() if why and n})
                counters.total += samples[number] + ended
                await _record_bad_lines(journal, bad[number], self.config, counters)
        counters.ended_before = counters.ended
        return counters, again


async def _journal(shard: ShardFolder, *, create: bool) -> Journal:
    return await asyncio.to_thread(Journal, shard, create=create)


async def _record_bad_lines(
    journal: Journal, lines: Iterable[BadLine], config: Config, counters: Counters
) -> None:
    over = await journal.ended([line.id for line in lines])
    reason = Failure.BAD_QUESTION
    endings = []
    for line in lines:
        if line.id in over:
            continue
        made = record.failed(line.id, None, Trajectory(), reason, line.reason, line=line)
        position, trace = line.number * config.samples_per_question, record.trace(Trajectory())
        endings.append(Ending(position, line.id, reason, made, trace, 0.0, 0))
        counters.end(reason)
    await asyncio.gather(*(journal.end(ending) for ending in endings))


@dataclass(slots=True)
class OpenShard:
    """A shard that is being written: locked, with its journal open.

    Attributes:
        folder: The shard's folder.
        journal: The journal.
        keeper: Uploads it; None for a run in a folder.
        rows: Samples of a Parquet file of the data set; None for no such files.
        running: Samples being written.
        taken: No more samples are to be started.
    """

    folder: ShardFolder
    journal: Journal
    keeper: ShardKeeper | None
    rows: int | None
    _jobs: Iterator[Job]
    _stack: AsyncExitStack
    running: int = 0
    taken: bool = False
    _next: deque[tuple[Job, Written]] = field(default_factory=deque)

    async def next(self) -> tuple[Job, Written] | None:
        """The next sample that has not ended, and what was written of it; None at the end."""
        while not self._next:
            batch = await asyncio.to_thread(lambda: list(islice(self._jobs, _AT_ONCE)))
            if not batch:
                self.taken = True
                return None
            ids = [job.id for job in batch]
            ended, begun = await self.journal.ended(ids), await self.journal.begun(ids)
            failures = await self.journal.failures(ids)
            for job in batch:
                if job.id not in ended:
                    written = await self.journal.resume(job.id) if job.id in begun else Written()
                    self._next.append((replace(job, failures=failures[job.id]), written))
        return self._next.popleft()

    async def checkpoint(self) -> None:
        """Write to disk what is not there yet.

        Raises:
            RunLocked: Another process has taken the shard.
            JournalError: It can't be written.
        """
        if self.keeper is not None:
            self.keeper.check()
        await self.journal.checkpoint()
        if self.rows is not None:
            await asyncio.to_thread(write_parts, self.folder, self.rows)

    async def close(self) -> None:
        """Close the journal and release the lock."""
        await self._stack.aclose()


class ShardQueue:
    """The samples that a process writes, shard by shard.

    Args:
        plan: The shards.
    """

    def __init__(self, plan: ShardPlan) -> None:
        self._plan = plan
        self._numbers = iter(plan.numbers)
        self._lock = asyncio.Lock()
        self._current: OpenShard | None = None
        self.open: list[OpenShard] = []

    async def take(self) -> tuple[OpenShard, Job, Written] | None:
        """The next sample to write; None if there is none that no other process writes."""
        async with self._lock:
            while True:
                if self._current is None:
                    self._current = await self._open_next()
                    if self._current is None:
                        return None
                shard = self._current
                if (found := await shard.next()) is not None:
                    shard.running += 1
                    return shard, *found
                self._current = None
                await self._close_if_over(shard)

    async def leave(self, shard: OpenShard) -> None:
        """A sample of a shard ended; with the last one, the shard is closed."""
        shard.running -= 1
        await self._close_if_over(shard)

    async def close(self) -> None:
        """Close all shards that are open, even if one can't be written any more."""
        async with AsyncExitStack() as stack:
            for shard in self.open:
                stack.push_async_callback(shard.close)
            self.open = []

    async def _close_if_over(self, shard: OpenShard) -> None:
        if shard.taken and not shard.running and shard in self.open:
            self.open.remove(shard)
            await shard.close()

    async def _open_next(self) -> OpenShard | None:
        for number in self._numbers:
            folder = self._plan.folder.shard(number)
            async with AsyncExitStack() as stack:
                if not (self._plan.locked or self._is_free(folder, stack)):
                    continue
                keeper = await stack.enter_async_context(keeping(self._plan.remote, folder))
                journal = await stack.enter_async_context(await _journal(folder, create=False))
                if await journal.mark(Mark.IDENTITY) != self._plan.identity:
                    raise moved(self._plan.folder.path)
                ended = await journal.positions()
                left = await asyncio.to_thread(self._plan.left, number, ended)
                if not len(left):
                    continue
                found = OpenShard(
                    folder,
                    journal,
                    keeper,
                    self._plan.config.rows_per_file,
                    self._jobs(left),
                    stack.pop_all(),
                )
                self.open.append(found)
                return found
        return None

    def _is_free(self, folder: ShardFolder, stack: AsyncExitStack) -> bool:
        try:
            return stack.enter_context(held_if_free(folder.path))
        except FileNotFoundError:
            raise moved(self._plan.folder.path) from None

    def _jobs(self, left: NDArray[np.int64]) -> Iterator[Job]:
        plan = self._plan
        return jobs(plan.questions.take(left), plan.config)
