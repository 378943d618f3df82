"""The tasks that write the shards of a run on a Ray cluster.

Ray's own retries are off, so that each of them is counted and shown here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from tessy.errors import Outage, RunLocked, TessyError, error_of
from tessy.ray.board import Board
from tessy.ray.recovery import Recovery, add_up, cause
from tessy.ray.task import ShardTask, write_shard
from tessy.runs.counters import Counters
from tessy.runs.progress import Progress

_LOOK_S = 0.5
_BOARD_S = 5.0
_END_S = 60.0
"""How long tasks may take to stop."""


class ShardTasks:
    """The tasks of a run: each writes a shard, and is started again when its node dies.

    Args:
        ray: The package.
        model: A task, of which those of all shards are made.
        cpus: The cores that a task takes.
        before: The counts of earlier starts, by shard.
        counters: Are updated.
        progress: Says which tasks died.
    """

    def __init__(
        self,
        ray: Any,
        model: ShardTask,
        cpus: float,
        before: Mapping[int, dict[str, Any]],
        counters: Counters,
        progress: Progress,
    ) -> None:
        self._ray = ray
        self._model = model
        self._before = before
        self._counters = counters
        self._progress = progress
        self._board = ray.remote(Board).options(num_cpus=0, max_restarts=-1).remote()
        self._task = ray.remote(write_shard).options(
            num_cpus=cpus, max_retries=0, scheduling_strategy="SPREAD"
        )
        self._running: dict[Any, ShardTask] = {}
        self._reports: dict[tuple[int, int], dict[str, Any]] = {}
        self._results: dict[tuple[int, int], dict[str, Any]] = {}
        self._recovery = Recovery(ended=counters.ended)

    async def write(self) -> None:
        """Write all shards.

        Raises:
            Outage: Tasks die repeatedly.
            TessyError: The error of a shard.
        """
        for number in range(self._model.shards):
            self._submit(replace(self._model, shard=number))
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
        why = cause(error)
        if not self._recovery.died(task.shard, self._counters.ended):
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
        if not isinstance(error, RunLocked) or not self._recovery.locked(task.shard, now):
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


def _silence(ray: Any) -> suppress:
    """Ignore that the cluster does not answer for a moment."""
    return suppress(ray.exceptions.RayError, ConnectionError)
