"""Several processes on this machine that write the shards of one run (`--workers N`).

    the run's process   opens the models, starts the workers, shows the progress
    a worker            takes a shard that no other process writes, then the next one

A shard's lock decides which worker writes it, so *Exactly once* holds as in one process. A worker
that dies is started again; its shards, whose locks are free then, resume from their last
checkpoint. Workers inherit the lock of the run's folder, and exit when the run's process exits.

    python -m tessy.synthesis.workers   runs a worker; its first line of input is its `Assignment`,
                                        its lines of output are its counts, and its error

Both are objects of JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import orjson

from tessy.boundary.batcher import PredictorBatcher
from tessy.boundary.registry import load_all
from tessy.config import Config
from tessy.data.remote import RemotePath
from tessy.data.sources import STDIN, from_stdin
from tessy.display import Say
from tessy.errors import Outage, TessyError, error_of
from tessy.event_loop import run_loop
from tessy.method.trajectory import Role
from tessy.models.open import open_models
from tessy.runs.counters import Counters
from tessy.runs.folder import RunFolder
from tessy.runs.remote import RemoteRun
from tessy.synthesis.context import RunContext
from tessy.synthesis.methods import method_of
from tessy.synthesis.scheduler import first_of, write_shards
from tessy.synthesis.shards import ShardPlan, ShardQueue
from tessy.synthesis.shares import share_of, worker_count
from tessy.synthesis.signals import until_stopped
from tessy.synthesis.verification import open_verifier, read_verifiable

_MOST_DEATHS = 3
"""How many workers may die before the run stops, if no sample ends in between."""
_COUNT_S = 0.5
_STOP_S = 5.0
_LOG_TAIL = 2000


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker needs to write its share.

    Attributes:
        source: The questions.
        limit: Use only the first `limit` lines.
        column: The column of the question; None for the one that is there.
        out: The run's folder.
        shards: The shards that it may write, in this order.
        count: The number of shards of the run.
        identity: What all shards of the run share.
        config: The worker's settings, as JSON; local servers are URLs in it.
        date: The run's date, as ISO text.
        names: The models' names in records; see `RunContext.served`.
        streamed: Models whose thinking is streamed.
        url: Of the run; None for a run in a folder.
    """

    source: str
    limit: int
    column: str | None
    out: str
    shards: tuple[int, ...]
    count: int
    identity: str
    config: dict[str, Any]
    date: str
    names: dict[str, str]
    streamed: list[str]
    url: str | None = None


async def write_with_workers(
    context: RunContext,
    plan: ShardPlan,
    source: str,
    column: str | None,
    date: datetime.date,
    lock: int,
) -> None:
    """Write all samples that have not ended, in several processes.

    Args:
        context: The run's context; its counters add up those of all workers.
        plan: The run's shards.
        source: The questions.
        column: The column of the question; None for the one that is there.
        date: The run's date.
        lock: File descriptor of the run's lock, which the workers inherit.

    Raises:
        Outage: A server is down, or workers die repeatedly.
        TessyError: The error that a worker raised.
    """
    shares = worker_count(context.config, plan.count, context.opened)
    remote = plan.remote
    workers = _Workers(context, lock, remote.say if remote else lambda _: None)
    assignments = [
        Assignment(
            source=str(from_stdin()) if source == STDIN else source,
            limit=len(plan.questions.row_hashes),
            column=column,
            out=str(plan.folder.path.absolute()),
            shards=_turned(plan.numbers, share * plan.count // shares),
            count=plan.count,
            identity=plan.identity,
            config=share_of(_served(context), share, shares).model_dump(mode="json"),
            date=date.isoformat(),
            names=context.served,
            streamed=[str(each) for each, model in context.opened.items() if model.streamed],
            url=remote.there.url if remote else None,
        )
        for share in range(shares)
    ]
    try:
        async with asyncio.TaskGroup() as running:
            for assignment in assignments:
                running.create_task(workers.run(assignment))
    except BaseExceptionGroup as found:
        raise first_of(found) from None


class _Workers:
    """Starts workers, and starts them again when they die."""

    def __init__(self, context: RunContext, lock: int, say: Say) -> None:
        self._context = context
        self._say = say
        self._lock = lock
        self._finished = context.counters.finished  # before this start
        self._failed = context.counters.failed.copy()
        self._counts: list[dict[str, Any]] = []  # the last of each process
        self._deaths = 0
        self._ended = 0  # samples that had ended when a worker last died

    async def run(self, assignment: Assignment) -> None:
        """Run a worker, again if it dies, until no shard is free."""
        while not await self._one(assignment):
            ended = self._context.counters.ended
            self._deaths = 1 if ended > self._ended else self._deaths + 1
            self._ended = ended

    async def _one(self, assignment: Assignment) -> bool:
        """Run a worker process until it exits; returns whether it wrote all that it could."""
        number = len(self._counts)
        self._counts.append(Counters(total=0).as_json())
        with tempfile.TemporaryFile() as log:
            async with _process(assignment, log, self._lock) as process:
                assert process.stdout is not None
                async for line in process.stdout:
                    said = orjson.loads(line)
                    if "kind" in said:
                        raise error_of(said)
                    if "said" in said:
                        self._say(said["said"])
                        continue
                    self._counts[number] = said
                    self._add_up()
                code = await process.wait()
            self._counts[number] |= {"running": 0, "paused": 0}
            self._add_up()
            if code == 0:
                return True
            self._check_deaths(log)
        return False

    def _add_up(self) -> None:
        self._context.counters.add_up(self._counts, self._finished, self._failed)

    def _check_deaths(self, log: IO[bytes]) -> None:
        if self._deaths >= _MOST_DEATHS:
            log.seek(0)
            said = log.read()[-_LOG_TAIL:].decode("utf-8", "replace").strip()
            raise Outage(
                f"workers die again and again: {said or 'they print nothing'}",
                hint="the same command with --workers 1 shows what happens",
            )


def _turned(numbers: tuple[int, ...], by: int) -> tuple[int, ...]:
    """Some numbers in a circle, begun elsewhere: workers begin with different shards."""
    return numbers[by:] + numbers[:by]


@asynccontextmanager
async def _process(
    assignment: Assignment, log: IO[bytes], lock: int
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
        process.stdin.write(orjson.dumps(assignment) + b"\n")
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


def _served(context: RunContext) -> Config:
    """The settings, with the URLs of local servers."""
    models = {
        each: model.settings.model_copy(
            update={
                "model": ",".join(
                    f"{replica.client.base_url}#{replica.client.served_name}"
                    for replica in model.servers.replicas
                )
            }
        )
        for each, model in context.opened.items()
    }
    return context.config.having(models)


# --- A worker -----------------------------------------------------------------------------------


async def _work(assignment: Assignment, say: Callable[[Any], None]) -> int:
    """Write shards; returns the exit code."""
    config = Config.model_validate(assignment.config)
    method, date = method_of(config), datetime.date.fromisoformat(assignment.date)
    predictors = load_all({role: config.predictor_of(role) for role in Role if method.judged})
    async with (
        open_verifier(config) as verifier,
        open_models(
            config,
            date=date,
            roles=method.needs(config),
            streamed=[m for m in config.models() if str(m) in assignment.streamed],
            schemas=method.schema is not None,
        ) as (opened, _),
    ):
        models = {
            each: replace(model, name=assignment.names[str(each)]) for each, model in opened.items()
        }
        folder, remote = RunFolder(Path(assignment.out)), None
        if assignment.url is not None:
            there = RemotePath(assignment.url)
            remote = RemoteRun(there, folder, config.upload_s, lambda line: say({"said": line}))
        read = read_verifiable(
            verifier,
            assignment.source,
            limit=assignment.limit,
            skip_bad=True,
            column=assignment.column,
            config=config,
        )
        numbers, count = assignment.shards, assignment.count
        plan = ShardPlan(folder, config, read, numbers, count, assignment.identity, remote=remote)
        with closing(PredictorBatcher(predictors)) as batcher:
            context = RunContext.of(config, models, batcher, Counters(total=0), verifier)
            counting = asyncio.create_task(_count(context, say))
            try:
                work = write_shards(context, ShardQueue(plan))
                stopped = await until_stopped(work, catch_signals=True)
            finally:
                counting.cancel()
                say(context.snapshot())
    return 1 if stopped else 0


async def _count(context: RunContext, say: Callable[[Any], None]) -> None:
    while True:
        await asyncio.sleep(_COUNT_S)
        say(context.snapshot())


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)  # the run's process has exited


def main() -> None:
    """Run a worker."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # anything that a library prints goes to the log
    assignment = Assignment(**orjson.loads(sys.stdin.buffer.readline()))
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def say(said: Any) -> None:
        answer.write(orjson.dumps(said) + b"\n")
        answer.flush()

    try:
        code = run_loop(_work(assignment, say))
    except TessyError as error:
        say(error.as_json())
        code = 2
    os._exit(code)  # don't wait for the thread that reads standard input


if __name__ == "__main__":
    main()
