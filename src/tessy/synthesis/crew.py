"""A crew: several processes that write the samples of one run (`--workers N`).

    this process   keeps the journal, the plan and the tally, and shows how it goes
    workers        have the calls, the predictors and everything else that costs time

*Exactly once* still holds: there is one journal, and one process that writes to it; a sample is
given to one worker at a time, and to another only when the first is gone. What a worker that died
had under way goes on from the turns that it had reported.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import tempfile
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import IO

from tessy.config import Config
from tessy.errors import Outage
from tessy.method.trajectory import Role
from tessy.runs.counters import Tally
from tessy.runs.journal import Ending, Journal
from tessy.runs.plan import Job
from tessy.synthesis.scheduler import CHECKPOINT_S, assigned, first_of
from tessy.synthesis.talk import Begin, Ended, Failed, Line, NoMore, Stop, Wanted, Written

_MOST_DEATHS = 3
"""Workers that may die without having ended a sample before the run stops."""
_STOP_S = 5.0
_LOG_TAIL = 2000


class Crew:
    """Writes samples with several processes.

    Args:
        begins: What each worker is told first; there are as many workers as of these.
        jobs: What to write.
        begun: Of them, those of which the journal has turns.
        journal: Keeps what is written.
        tally: Counts it.

    Attributes:
        faults: What the workers met, by role and kind.
    """

    def __init__(
        self,
        begins: Sequence[Begin],
        jobs: Iterable[Job],
        begun: set[str],
        journal: Journal,
        tally: Tally,
    ) -> None:
        self._begins = begins
        self._jobs = deque(jobs)
        self._begun = set(begun)
        self._journal = journal
        self._tally = tally
        self._requests: Counter[int] = Counter()
        self._faults: dict[int, dict[str, dict[str, int]]] = {}
        self._number = 0
        self._deaths = 0
        self._broke = asyncio.Event()
        self._error: Exception | None = None  # of a journal that can't be written

    @property
    def faults(self) -> dict[str, dict[str, int]]:
        """Faults that all workers met, by role and kind."""
        total: dict[str, Counter[str]] = {}
        for by_role in self._faults.values():
            for role, kinds in by_role.items():
                total.setdefault(role, Counter()).update(kinds)
        return {role: dict(kinds) for role, kinds in total.items()}

    async def run(self) -> None:
        """Write all samples.

        Raises:
            Outage: A model is gone, or workers die again and again.
            JournalError: The disk is full, or the like.
            TessyError: What a worker raised.
        """
        try:
            async with asyncio.TaskGroup() as group:
                checkpoints = group.create_task(self._checkpoints())
                async with asyncio.TaskGroup() as employed:
                    for begin in self._begins:
                        employed.create_task(self._employ(begin))
                checkpoints.cancel()
        except BaseExceptionGroup as errors:
            raise first_of(errors) from None
        if self._error is not None:  # it came with the last sample
            raise self._error

    async def _checkpoints(self) -> None:
        """Write turns down now and then, until the journal can't be written any more."""
        while self._error is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECKPOINT_S):
                    await self._broke.wait()
            await self._journal.checkpoint()
        raise self._error

    async def _employ(self, begin: Begin) -> None:
        """Have a worker, and another when it dies, until there is nothing left for it."""
        while not await self._worker(begin):
            self._deaths += 1

    async def _worker(self, begin: Begin) -> bool:
        """Have one worker until it ends; returns whether it ended as it should."""
        number = self._number
        self._number += 1
        ours, theirs = socket.socketpair()
        with tempfile.TemporaryFile() as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tessy.synthesis.worker", str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us; workers are told to stop
            )
            theirs.close()
            worker = _Worker(number, await Line.open(ours))
            try:
                worker.line.say(begin)
                await self._serve(worker)
            except asyncio.CancelledError:
                await self._stop(worker, process)
                raise
            except Exception:
                worker.failed = True  # or we did: it waits for what nobody will say
                raise
            finally:
                if process.returncode is None and worker.failed:
                    process.kill()
                code = await process.wait()
                await asyncio.gather(*worker.endings)
                self._take_back(worker)
            if code == 0 and not worker.jobs:
                return True
            self._check_deaths(worker, log)
            return False

    async def _serve(self, worker: _Worker) -> None:
        while (message := await worker.line.hear()) is not None:
            await self._take(worker, message)

    async def _take(self, worker: _Worker, message: object) -> None:
        match message:
            case Wanted():
                if self._jobs:
                    job = self._jobs.popleft()
                    worker.jobs[job.id] = job
                    self._tally.running += 1
                    worker.line.say(await assigned(job, self._begun, self._journal))
                else:
                    worker.line.say(NoMore())
            case Written(turns, requests, faults):
                for sample_id, (new, seconds, calls) in turns.items():
                    for turn in new:
                        self._tally.turn(turn)
                        self._journal.note(sample_id, turn, seconds, calls)
                self._requests[worker.number] = requests
                self._tally.requests = self._requests.total()
                self._faults[worker.number] = faults
            case Ended(ending):
                del worker.jobs[ending.id]
                worker.ended += 1
                task = asyncio.create_task(self._end(ending))
                worker.endings.add(task)
                task.add_done_callback(worker.endings.discard)
            case Failed(error):
                raise error

    async def _end(self, ending: Ending) -> None:
        try:
            await self._journal.end(ending)
        except Exception as error:  # no worker may go on writing what nobody can keep
            self._error = self._error or error
            self._broke.set()
            return
        self._tally.running -= 1
        self._tally.end(ending.failure)

    async def _stop(self, worker: _Worker, process: asyncio.subprocess.Process) -> None:
        """Have a worker say what it has, and end."""
        worker.line.say(Stop())
        try:
            async with asyncio.timeout(_STOP_S):
                await self._serve(worker)
        except Exception:
            process.kill()

    def _take_back(self, worker: _Worker) -> None:
        """What a worker did not end goes to another, with the turns that it reported."""
        self._tally.running -= len(worker.jobs)
        self._jobs.extendleft(reversed(worker.jobs.values()))
        self._begun |= worker.jobs.keys()

    def _check_deaths(self, worker: _Worker, log: IO[bytes]) -> None:
        if worker.ended:
            self._deaths = 0
        if self._deaths >= _MOST_DEATHS:
            log.seek(0)
            said = log.read()[-_LOG_TAIL:].decode("utf-8", "replace").strip()
            raise Outage(
                f"workers die again and again: {said or 'no word'}",
                hint="--workers 1 shows what happens; the same command goes on",
            )


class _Worker:
    """What is known of a worker."""

    def __init__(self, number: int, line: Line) -> None:
        self.number = number
        self.line = line
        self.jobs: dict[str, Job] = {}
        self.endings: set[asyncio.Task[None]] = set()
        self.ended = 0
        self.failed = False


def places(config: Config, roles: Iterable[Role] = Role) -> int:
    """How many workers have something to do: no more than may be under way at once.

    Args:
        config: The run's settings.
        roles: Whose models are called.
    """
    bounds = [config.of(role).concurrency for role in roles]
    return min(config.workers, config.concurrency, *(bound for bound in bounds if bound))


def share(config: Config, place: int, of: int) -> Config:
    """A worker's settings: its share of what goes on at once, of samples and of calls.

    Args:
        config: The run's.
        place: Of the worker, from 0.
        of: How many workers there are; see `places`.
    """

    def own(count: int) -> int:
        return max(1, count // of + (place < count % of))  # 0 only for a model that is not called

    models = {
        role.value: model.model_copy(update={"concurrency": own(model.concurrency)})
        for role in Role
        if (model := config.of(role)).concurrency is not None
    }
    return config.model_copy(update={"concurrency": own(config.concurrency), **models})
