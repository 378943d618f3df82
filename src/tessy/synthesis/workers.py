"""Several processes that write the samples of one run (`--workers N`).

    the run's process   opens the models, starts the workers, shows the progress
    a worker            writes its share of the samples to the run's journal

A hash of a sample's id decides which worker writes it. *Exactly once* holds as in one process: the
journal accepts the end of each sample once. A worker that dies is started again and resumes from
its last checkpoint. Workers inherit the lock of the run's folder, and exit when the run's process
exits.

    python -m tessy.synthesis.workers   runs a worker; its first line of input is its `Assignment`
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import hashlib
import os
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import orjson

from tessy import errors
from tessy.boundary.batcher import PredictorBatcher
from tessy.boundary.registry import load_all
from tessy.config import Config
from tessy.data.sources import STDIN, from_stdin
from tessy.errors import Outage, TessyError
from tessy.event_loop import run_loop
from tessy.method.chunks import ChunkSizes
from tessy.method.trajectory import Role
from tessy.models.open import open_models
from tessy.models.session import Model
from tessy.runs.counters import Counters
from tessy.runs.journal import Journal
from tessy.runs.plan import plan
from tessy.synthesis.context import RunContext
from tessy.synthesis.methods import method_of
from tessy.synthesis.scheduler import first_of, write_samples
from tessy.synthesis.signals import until_stopped
from tessy.synthesis.verification import open_verifier, read_verifiable

_MOST_DEATHS = 3
"""How many workers may die before the run stops, if no sample ends in between."""
_POLL_S = 0.5
_STOP_S = 5.0
_LOG_TAIL = 2000


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker needs to write its share.

    Attributes:
        source: The questions.
        limit: Use only the first `limit` lines; None for all.
        column: The column of the question; None for the one that is there.
        journal: The path of the run's journal.
        inode: Device and inode of the journal.
        config: The worker's settings, as JSON; local servers are URLs in it.
        date: The run's date, as ISO text.
        names: The models' names in records, by role.
        streamed: Roles whose thinking is streamed.
        number: The number of the process, different at each start.
        share: The number of its share, from 0.
        shares: The number of shares.
    """

    source: str
    limit: int | None
    column: str | None
    journal: str
    inode: tuple[int, ...]
    config: dict[str, Any]
    date: str
    names: dict[str, str]
    streamed: list[str]
    number: int
    share: int
    shares: int


async def write_with_workers(
    context: RunContext,
    source: str,
    limit: int | None,
    column: str | None,
    date: datetime.date,
    lock: int,
) -> None:
    """Write all samples that have not ended, in several processes.

    Args:
        context: The run's context; its counters add up those of all workers.
        source: The questions.
        limit: Use only the first `limit` lines; None for all.
        column: The column of the question; None for the one that is there.
        date: The run's date.
        lock: File descriptor of the run's lock, which the workers inherit.

    Raises:
        Outage: A server is down, or workers die repeatedly.
        TessyError: The error that a worker raised.
    """
    shares = share_count(context.config, context.models)
    await context.journal.forget_workers()
    workers = _Workers(context, lock)
    assignments = [
        Assignment(
            source=str(from_stdin()) if source == STDIN else source,
            limit=limit,
            column=column,
            journal=str(context.journal.path.absolute()),
            inode=context.journal.inode or (),
            config=share_of(_served(context), share, shares).model_dump(mode="json"),
            date=date.isoformat(),
            names={role.value: model.name for role, model in context.models.items()},
            streamed=[role for role, model in context.models.items() if model.streamed],
            number=0,
            share=share,
            shares=shares,
        )
        for share in range(shares)
    ]
    try:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(workers.watch())
            async with asyncio.TaskGroup() as running:
                for assignment in assignments:
                    running.create_task(workers.run(assignment))
            watching.cancel()
    except BaseExceptionGroup as found:
        raise first_of(found) from None
    finally:
        await workers.collect()


class _Workers:
    """Starts workers, and starts them again when they die."""

    def __init__(self, context: RunContext, lock: int) -> None:
        self._context = context
        self._lock = lock
        self._finished = context.counters.finished  # before this start
        self._failed = context.counters.failed.copy()
        self._started = 0
        self._deaths = 0
        self._ended = 0  # samples that had ended when a worker last died

    async def watch(self) -> None:
        """Update the counters repeatedly."""
        while True:
            await asyncio.sleep(_POLL_S)
            await self.collect()

    async def collect(self) -> None:
        """Add up the counts of all workers."""
        counters = self._context.counters
        counters.add_up(await self._context.journal.counted(), self._finished, self._failed)

    async def run(self, assignment: Assignment) -> None:
        """Run the worker of a share, again if it dies, until its share is written."""
        while not await self._one(assignment):
            await self.collect()
            ended = self._context.counters.ended
            self._deaths = 1 if ended > self._ended else self._deaths + 1
            self._ended = ended

    async def _one(self, assignment: Assignment) -> bool:
        """Run a worker process until it exits; returns whether it wrote all of its share."""
        number = self._started
        self._started += 1
        with tempfile.TemporaryFile() as log:
            async with _process(assignment, number, log, self._lock) as process:
                assert process.stdout is not None
                said = await process.stdout.read()
                code = await process.wait()
            if code == 0:
                return True
            if said:
                raise _error(orjson.loads(said))
            self._check_deaths(log)
        return False

    def _check_deaths(self, log: IO[bytes]) -> None:
        if self._deaths >= _MOST_DEATHS:
            log.seek(0)
            said = log.read()[-_LOG_TAIL:].decode("utf-8", "replace").strip()
            raise Outage(
                f"workers die again and again: {said or 'they print nothing'}",
                hint="the same command with --workers 1 shows what happens",
            )


@asynccontextmanager
async def _process(
    assignment: Assignment, number: int, log: IO[bytes], lock: int
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker process; it is stopped at the end of the context."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tessy.synthesis.workers",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=log,
        pass_fds=[lock],
        start_new_session=True,  # Ctrl-C reaches only the run's process, which stops the workers
    )
    try:
        assert process.stdin is not None
        process.stdin.write(orjson.dumps({**_fields(assignment), "number": number}) + b"\n")
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(_STOP_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


def _fields(assignment: Assignment) -> dict[str, Any]:
    return {name: getattr(assignment, name) for name in Assignment.__slots__}


def _served(context: RunContext) -> Config:
    """The settings, with the URLs of local servers."""
    models = {
        role.value: model.settings.model_copy(
            update={
                "model": ",".join(
                    f"{replica.client.base_url}#{replica.client.served_name}"
                    for replica in model.servers.replicas
                )
            }
        )
        for role, model in context.models.items()
    }
    return context.config.model_copy(update=models)


def share_count(config: Config, roles: Iterable[Role] = Role) -> int:
    """How many workers to start: no more than concurrent samples or calls.

    Args:
        config: The run's settings.
        roles: The roles whose models are called.
    """
    bounds = [config.of(role).concurrency for role in roles]
    return min(config.workers, config.concurrency, *(bound for bound in bounds if bound))


def share_of(config: Config, share: int, shares: int) -> Config:
    """The settings of one worker, with its share of concurrent samples and calls.

    Args:
        config: The run's settings.
        share: The number of the share, from 0.
        shares: The number of shares; see `share_count`.
    """

    def own(count: int) -> int:
        return max(1, count // shares + (share < count % shares))

    models = {
        role.value: model.model_copy(update={"concurrency": own(model.concurrency)})
        for role in Role
        if (model := config.of(role)).concurrency is not None
    }
    return config.model_copy(update={"concurrency": own(config.concurrency), **models})


def belongs_to(sample_id: str, share: int, shares: int) -> bool:
    """Whether a sample belongs to a share; this depends only on its id."""
    digest = hashlib.blake2b(sample_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest) % shares == share


def _error(said: dict[str, Any]) -> TessyError:
    kind = getattr(errors, said["kind"], TessyError)
    error: TessyError = kind(said["message"], hint=said["hint"])
    return error


# --- A worker -----------------------------------------------------------------------------------


async def _work(assignment: Assignment) -> int:
    """Write one share; returns the exit code."""
    config = Config.model_validate(assignment.config)
    method, date = method_of(config), datetime.date.fromisoformat(assignment.date)
    predictors = load_all({role: config.predictor_of(role) for role in Role if method.judged})
    async with (
        open_verifier(config) as verifier,
        open_models(
            config,
            date=date,
            roles=method.needs(config),
            streamed=frozenset(Role(role) for role in assignment.streamed),
        ) as (opened, _),
        Journal(Path(assignment.journal), assignment.inode) as journal,
    ):
        models: dict[Role, Model] = {
            role: replace(model, name=assignment.names[role.value])
            for role, model in opened.items()
        }
        read = read_verifiable(
            verifier,
            assignment.source,
            limit=assignment.limit,
            skip_bad=True,
            column=assignment.column,
        )
        todo = plan(read, config, await journal.ended(), await journal.failures(), retry=())
        jobs = [job for job in todo.jobs if belongs_to(job.id, assignment.share, assignment.shares)]
        sizes = ChunkSizes({role: config.of(role).chunk for role in Role})
        with closing(PredictorBatcher(predictors)) as batcher:
            context = RunContext(
                config, models, batcher, journal, Counters(total=0), sizes, verifier
            )
            try:
                work = write_samples(context, jobs, worker=assignment.number)
                stopped = await until_stopped(work, catch_signals=True)
            finally:
                await journal.checkpoint()
                await journal.count(assignment.number, context.snapshot())
    return 1 if stopped else 0


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)  # the run's process has exited


def main() -> None:
    """Run a worker."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # anything that a library prints goes to the log
    assignment = Assignment(**orjson.loads(sys.stdin.buffer.readline()))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        code = run_loop(_work(assignment))
    except TessyError as error:
        said = {"kind": type(error).__name__, "message": str(error), "hint": error.hint}
        answer.write(orjson.dumps(said))
        answer.flush()
        code = 2
    os._exit(code)  # don't wait for the thread that reads standard input


if __name__ == "__main__":
    main()
