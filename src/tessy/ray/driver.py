"""Runs the shards of a run on a Ray cluster (`tessy synth --on ray`).

A shard whose node died is written on another one, from its journal. Ray's own retries are off, so
that each of them is counted and shown here.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tessy.config import Config
from tessy.data.remote import absolute, is_url
from tessy.errors import Outage, RunLocked, TessyError, error_of
from tessy.event_loop import run_loop
from tessy.method.trajectory import Failure
from tessy.models.open import check, check_formats
from tessy.ray.board import Board
from tessy.ray.cluster import check_nodes, connected, slots
from tessy.ray.task import ShardTask, write_shard
from tessy.runs.counters import Counters, RunResult
from tessy.runs.folder import RunFolder
from tessy.runs.journal import EmptyJournal
from tessy.runs.merge import merge
from tessy.runs.progress import Progress
from tessy.runs.reader import JournalReader, ShardReader
from tessy.runs.remote import known_copy, writing
from tessy.runs.shards import dataset_files
from tessy.synthesis.begin import begin, refuse_strangers
from tessy.synthesis.methods import method_of
from tessy.synthesis.signals import until_stopped
from tessy.synthesis.verification import open_verifier, read_verifiable

_SHARDS_A_SLOT = 4
_LOOK_S = 0.5
_BOARD_S = 5.0
_MOST_DEATHS = 5
"""How often tasks may die in a row, if no sample ends in between."""
_LOCKED_S = 60.0
"""How long the process of a dead node may hold its shard's lock."""
_END_S = 60.0
"""How long tasks may take to stop."""


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
    config, method = run.config, method_of(run.config)
    check(config, method.needs(config))
    folder, remote = writing(absolute(run.out), every_s=config.upload_s, say=progress.say)
    async with AsyncExitStack() as stack:
        verifier = await stack.enter_async_context(open_verifier(config))
        read = await asyncio.to_thread(
            read_verifiable,
            verifier,
            run.source,
            limit=run.limit,
            skip_bad=run.skip_bad,
            column=run.column,
            config=config,
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
        identity = folder.identity()
        await asyncio.to_thread(refuse_strangers, folder, identity)
        progress.say("checking the nodes of the cluster")
        seen = None if remote is not None else identity
        await check_nodes(ray, run.cpus, str(folder.path), seen)
        copy = RunFolder(await asyncio.to_thread(known_copy, absolute(run.out)))
        before = await asyncio.to_thread(_before, copy)
        counters = Counters(total=len(read) * config.samples_per_question + len(read.bad))
        add_up(counters, before, {})
        counters.ended_before = counters.ended
        progress.say(f"{count:,} shards on {room:,} places of the cluster")
        stack.enter_context(_messages_in(folder.path / "ray.log"))
        tasks = _Tasks(ray, _shard_task(run, count), run, before, counters, progress)
        try:
            async with progress.watching(counters):
                stopped = await until_stopped(tasks.write(), catch_signals=True)
        finally:
            folder.check_there(lock)
            with suppress(EmptyJournal):
                if config.rows_per_file is None:
                    await asyncio.to_thread(merge, absolute(run.out), partial=True)
        return await asyncio.to_thread(_result, run, counters, stopped=stopped)


@contextmanager
def _messages_in(path: Path) -> Iterator[None]:
    """Have Ray's messages, which it prints to standard output, in a file."""
    with path.open("a", encoding="utf-8") as file, redirect_stdout(file):
        yield


def _before(folder: RunFolder) -> dict[int, dict[str, Any]]:
    """The counts of the shards that earlier starts wrote, as their tasks would report them."""
    found = {}
    for shard in folder.started_shards():
        with suppress(EmptyJournal), ShardReader(shard) as reader:
            reasons = reader.reasons()
            counters = Counters(total=0, finished=reasons.pop(None, 0))
            counters.failed.update({why: n for why, n in reasons.items() if why is not None})
            found[shard.number] = counters.as_json()
    return found


def add_up(
    counters: Counters,
    before: Mapping[int, dict[str, Any]],
    reports: Mapping[tuple[int, int], dict[str, Any]],
    running: Collection[tuple[int, int]] = (),
) -> None:
    """Add up what the tasks of a run report. Pure, but for the counters.

    Samples that ended are those of a shard's last report; tokens and requests are added up over
    all of its tasks, also those that died.

    Args:
        counters: Are updated.
        before: The counts of earlier starts, by shard.
        reports: The last counts of each task, by shard and attempt.
        running: The tasks that are running.
    """
    last = {shard: attempt for shard, attempt in sorted(reports)}
    parts = [counts for shard, counts in before.items() if shard not in last]
    for (shard, attempt), counts in reports.items():
        part = dict(counts)
        if last[shard] != attempt:
            part |= {"finished": 0, "failed": {}}
        if (shard, attempt) not in running:
            part |= {"running": 0, "paused": 0}
        parts.append(part)
    counters.add_up(parts, 0, Counter())


def _result(run: ClusterRun, counters: Counters, *, stopped: bool) -> RunResult:
    folder = RunFolder(known_copy(absolute(run.out)))
    reasons, verdicts, teachers = Counter[Failure | None](), dict[str, int](), dict[str, int]()
    with suppress(EmptyJournal), JournalReader(folder) as reader:  # stopped before any task began
        reasons, verdicts = reader.reasons(), dict(reader.verdicts())
        teachers = dict(reader.teachers()) if run.config.route is not None else {}
    finished = reasons.pop(None, 0)
    return RunResult(
        folder=folder.path,
        total=max(counters.total, finished + reasons.total()),
        finished=finished,
        failed={reason: n for reason, n in reasons.items() if reason is not None},
        stopped=stopped,
        seconds=counters.seconds,
        counters=counters,
        dataset=dataset_files(folder, run.config, None),
        verdicts=verdicts,
        teachers=teachers,
        url=str(run.out) if is_url(run.out) else None,
    )


class _Tasks:
    """The tasks of a run.

    Args:
        ray: The package.
        model: A task, of which those of all shards are made.
        run: The run.
        before: The counts of earlier starts, by shard.
        counters: Are updated.
        progress: Says which tasks died.
    """

    def __init__(
        self,
        ray: Any,
        model: ShardTask,
        run: ClusterRun,
        before: Mapping[int, dict[str, Any]],
        counters: Counters,
        progress: Progress,
    ) -> None:
        self._ray = ray
        self._model = model
        self._retry = tuple(reason.value for reason in run.retry)
        self._before = before
        self._counters = counters
        self._progress = progress
        self._board = ray.remote(Board).options(num_cpus=0, max_restarts=-1).remote()
        self._task = ray.remote(write_shard).options(
            num_cpus=run.cpus, max_retries=0, scheduling_strategy="SPREAD"
        )
        self._running: dict[Any, ShardTask] = {}
        self._reports: dict[tuple[int, int], dict[str, Any]] = {}
        self._results: dict[tuple[int, int], dict[str, Any]] = {}
        self._deaths = 0
        self._ended = counters.ended  # when a task last died
        self._locked_since: dict[int, float] = {}

    async def write(self) -> None:
        """Write all shards.

        Raises:
            Outage: Tasks die repeatedly.
            TessyError: The error of a shard.
        """
        for number in range(self._model.shards):
            self._submit(replace(self._model, shard=number, retry=self._retry))
        try:
            while self._running:
                await self._step()
        finally:
            await self._end()

    def _submit(self, task: ShardTask) -> None:
        self._running[self._task.remote(task, self._board)] = task

    def _again(self, task: ShardTask) -> None:
        self._submit(replace(task, attempt=task.attempt + 1, retry=()))

    async def _step(self) -> None:
        done, _ = await asyncio.to_thread(
            self._ray.wait, list(self._running), num_returns=1, timeout=_LOOK_S
        )
        await self._read_board()
        for ref in done:
            task = self._running.pop(ref)
            try:
                said = await asyncio.to_thread(self._ray.get, ref)
            except self._ray.exceptions.RayError as error:
                self._died(task, error)
                continue
            if "kind" in said:
                await self._failed(task, error_of(said))
            else:
                self._results[task.shard, task.attempt] = said
                self._add_up()

    def _died(self, task: ShardTask, error: Exception) -> None:
        """A task died with its node, or by itself: its shard is written again from its journal."""
        ended = self._counters.ended
        self._deaths = 1 if ended > self._ended else self._deaths + 1
        self._ended = ended
        self._locked_since.pop(task.shard, None)
        why = _cause(error)
        if self._deaths > _MOST_DEATHS:
            raise Outage(
                f"tasks die again and again; the last was of shard {task.shard}: {why}",
                hint="the same command goes on; ray status and ray's logs say more",
            )
        self._progress.say(
            f"shard {task.shard}: its node or process died; another takes it ({why})"
        )
        self._again(task)

    async def _failed(self, task: ShardTask, error: TessyError) -> None:
        """A task raised an error."""
        now = asyncio.get_running_loop().time()
        since = self._locked_since.setdefault(task.shard, now)
        if not isinstance(error, RunLocked) or now - since > _LOCKED_S:
            raise error
        await asyncio.sleep(_LOOK_S)  # the process of a dead node is about to end
        self._again(task)

    async def _read_board(self) -> None:
        """Update the counters by what the tasks reported."""
        with _silence(self._ray):
            read = self._board.read.remote()
            self._reports = await asyncio.to_thread(self._ray.get, read, timeout=_BOARD_S)
        self._add_up()

    def _add_up(self) -> None:
        running = {(task.shard, task.attempt) for task in self._running.values()}
        add_up(self._counters, self._before, self._reports | self._results, running)

    async def _end(self) -> None:
        """Have all tasks stop at a checkpoint; those that have not begun are cancelled."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _END_S
        await self._read_board()
        for ref, task in self._running.items():
            if (task.shard, task.attempt) not in self._reports:
                with _silence(self._ray):
                    self._ray.cancel(ref)
        left = list(self._running)
        while left and loop.time() < deadline:
            with _silence(self._ray):
                self._board.stop.remote()
            _, left = await asyncio.to_thread(
                self._ray.wait, left, num_returns=len(left), timeout=_LOOK_S
            )
        for ref in left:
            with _silence(self._ray):
                self._ray.cancel(ref, force=True)
        await self._read_board()


def _cause(error: Exception) -> str:
    """What killed a task, in a line: of an exception that it raised, its own last line."""
    lines = str(error).strip().splitlines() if type(error).__name__.startswith("RayTask") else []
    return ": ".join([type(error).__name__, *lines[-1:]])


def _silence(ray: Any) -> suppress:
    """Ignore that the cluster does not answer for a moment."""
    return suppress(ray.exceptions.RayError, ConnectionError)


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
        retry=(),
        folder=str(Path.cwd()),
        environment={name: os.environ[name] for name in names if name and name in os.environ},
    )
