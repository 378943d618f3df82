"""Runs the shards of a run on a Ray cluster (`tessy synth --on ray`).

A shard whose node died is written on another one, from its journal. Ray's own retries are off, so
that each of them is counted and shown here.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tessy.config import Config
from tessy.data.remote import absolute, is_url
from tessy.display import count_of
from tessy.event_loop import run_loop
from tessy.method.trajectory import Failure
from tessy.models.checks import check, check_formats
from tessy.ray.cluster import check_nodes, connected, slots
from tessy.ray.recovery import add_up
from tessy.ray.task import ShardTask
from tessy.ray.tasks import ShardTasks
from tessy.runs.counters import Counters, RunResult
from tessy.runs.folder import RunFolder
from tessy.runs.merge import merge
from tessy.runs.progress import Progress
from tessy.runs.reader import JournalReader
from tessy.runs.remote import known_copy, named_by_url, writing
from tessy.runs.schema import EmptyJournal
from tessy.runs.shard_reader import ShardReader
from tessy.runs.shards import dataset_files
from tessy.runs.totals import EndedTotals
from tessy.synthesis.begin import begin, refuse_strangers
from tessy.synthesis.methods import method_of
from tessy.synthesis.signals import until_stopped
from tessy.synthesis.verification import open_verifier, read_verifiable
from tessy.tracking.log import RunLog

_SHARDS_A_SLOT = 4


@dataclass(frozen=True, slots=True)
class ClusterRun:
    """A run on a cluster, as the command line says it.

    Attributes:
        address: `ray`, or `ray://HOST:PORT`.
        source: The questions.
        out: The run's folder, which all nodes see; or its URL.
        config: The settings; `concurrency` is that of each shard.
        cpus: The cores that a shard takes.
        limit: Use only the first `limit` lines.
        skip_bad: Record bad lines as failures.
        column: The column of the question.
        retry: Write samples again that failed at an earlier start for one of these reasons.
        log_to: Trackers for the figures of all shards together.
    """

    address: str
    source: str
    out: str | Path
    config: Config
    cpus: float = 1.0
    limit: int | None = None
    skip_bad: bool = False
    column: str | None = None
    retry: Collection[Failure] = ()
    log_to: Sequence[str] = ()


def synthesize_on(run: ClusterRun, progress: Progress) -> RunResult:
    """Write a data set on a Ray cluster.

    Args:
        run: What to write, and where.
        progress: Shows the progress of all shards in one view.

    Raises:
        InputError: A setting or a question can't be used, or a node can't take part.
        Outage: The cluster or a model's server is gone.
        TessyError: The subclass says why the run had to stop.
    """
    return run_loop(_synthesize(run, progress))


async def _synthesize(run: ClusterRun, progress: Progress) -> RunResult:
    log = RunLog(run.log_to, progress.say)
    config, method = run.config, method_of(run.config)
    check(config, method.needs(config))
    folder, remote = writing(absolute(run.out), every_s=config.upload_s, say=progress.say)
    if (config.workers or 1) > 1:
        progress.say(f"the cluster has the places: workers = {config.workers} is not used")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(log)
        stack.enter_context(named_by_url(remote))
        verifier = await stack.enter_async_context(open_verifier(config))
        read = await asyncio.to_thread(
            read_verifiable,
            verifier,
            run.source,
            limit=run.limit,
            skip_bad=run.skip_bad,
            column=run.column,
            config=config,
            say=progress.say,
        )
        check_formats(config, method.needs(config))
        ray = await asyncio.to_thread(stack.enter_context, connected(run.address))
        room = slots(ray, run.cpus)
        lock = await asyncio.to_thread(stack.enter_context, folder.locked(shared=True))
        wanted = room * _SHARDS_A_SLOT
        asked = (stack, folder, config, run.source, read, None)
        _, count = await asyncio.to_thread(partial(begin, *asked, shards=wanted, remote=remote))
        if remote is not None:
            await asyncio.to_thread(remote.publish)
        identity = folder.run_toml.identity()
        await asyncio.to_thread(refuse_strangers, folder, identity)
        progress.say("checking the nodes of the cluster")
        seen = None if remote is not None else identity
        await check_nodes(ray, run.cpus, str(folder.path), seen)
        copy = RunFolder(await asyncio.to_thread(known_copy, absolute(run.out)))
        before = await asyncio.to_thread(_before, copy, run.retry)
        counters = Counters(total=len(read) * config.samples_per_question + len(read.bad))
        add_up(counters, before, {})
        counters.ended_before = counters.ended
        progress.say(f"{count_of(count, 'shard')} on {room:,} places of the cluster")
        stack.enter_context(_messages_in(folder.path / "ray.log"))
        tasks = ShardTasks(ray, _shard_task(run, count), run.cpus, before, counters, progress)
        await asyncio.to_thread(log.open, absolute(run.out), folder.settings)
        try:
            async with progress.watching(counters), log.following(counters):
                stopped = await until_stopped(tasks.write(), catch_signals=True)
        finally:
            folder.check_there(lock)
            with suppress(EmptyJournal):
                if config.rows_per_file is None:
                    await asyncio.to_thread(merge, absolute(run.out), partial=True)
        result = await asyncio.to_thread(_result, run, counters, stopped=stopped)
        log.end(result.figures(), counters.ended, stopped=stopped)
        return result


@contextmanager
def _messages_in(path: Path) -> Iterator[None]:
    """Have Ray's messages, which it prints to standard output, in a file."""
    with path.open("a", encoding="utf-8") as file, redirect_stdout(file):
        yield


def _before(folder: RunFolder, retry: Collection[Failure]) -> dict[int, dict[str, Any]]:
    """The counts of the shards that earlier starts wrote, as their tasks would report them."""
    found = {}
    for shard in folder.started_shards():
        with suppress(EmptyJournal), ShardReader(shard) as reader:
            reasons = reader.reasons()
            counters = Counters(total=0, finished=reasons.pop(None, 0))
            lost = {why: n for why, n in reasons.items() if why is not None and why not in retry}
            counters.failed.update(lost)
            found[shard.number] = counters.as_json()
    return found


def _result(run: ClusterRun, counters: Counters, *, stopped: bool) -> RunResult:
    folder = RunFolder(known_copy(absolute(run.out)))
    ended, left_out = EndedTotals(), 0
    with suppress(EmptyJournal), JournalReader(folder) as reader:  # stopped before any task began
        ended, left_out = reader.totals(), reader.left_out()
    return RunResult(
        folder=folder.path,
        total=max(counters.total, ended.finished + ended.failed.total()),
        ended=ended,
        stopped=stopped,
        seconds=counters.seconds,
        counters=counters,
        dataset=dataset_files(folder, run.config, None),
        url=str(run.out) if is_url(run.out) else None,
        left_out=left_out,
    )


def _shard_task(run: ClusterRun, count: int) -> ShardTask:
    names = [run.config.of(model).api_key_env for model in run.config.models()]
    return ShardTask(
        source=run.source,
        out=absolute(run.out),
        config=run.config.model_dump(mode="json"),
        limit=run.limit,
        column=run.column,
        skip_bad=run.skip_bad,
        shard=0,
        attempt=0,
        shards=count,
        retry=tuple(reason.value for reason in run.retry),
        folder=str(Path.cwd()),
        environment={name: os.environ[name] for name in names if name and name in os.environ},
    )
