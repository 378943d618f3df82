"""What runs on a node of a Ray cluster: it writes one shard of a run."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessy._version import __version__
from tessy.config import Config
from tessy.errors import TessyError
from tessy.event_loop import run_loop
from tessy.method.trajectory import Failure
from tessy.runs.counters import Counters
from tessy.runs.folder import RunFolder
from tessy.runs.progress import Progress, Show
from tessy.runs.shards import ShardNumber
from tessy.synthesis.run import asynthesize

_REPORT_S = 1.0


@dataclass(frozen=True, slots=True)
class ShardTask:
    """What a node needs to write a shard.

    Attributes:
        source: The questions.
        out: The run's folder.
        config: The settings, as JSON.
        limit: Use only the first `limit` lines; None for all.
        column: The column of the question; None for the one that is there.
        skip_bad: Record bad lines as failures.
        shard: The number of the shard.
        attempt: How many tasks of this shard there were before.
        shards: The number of shards of the run.
        retry: Write samples again that failed at an earlier start for one of these reasons.
        folder: The driver's working directory, for relative paths.
        environment: Variables of the driver that the settings name: keys of servers.
    """

    source: str
    out: str
    config: dict[str, Any]
    limit: int | None
    column: str | None
    skip_bad: bool
    shard: int
    attempt: int
    shards: int
    retry: tuple[str, ...]
    folder: str
    environment: dict[str, str]


def write_shard(task: ShardTask, board: Any) -> dict[str, Any]:
    """Write a shard.

    Args:
        task: The shard.
        board: The actor to report to.

    Returns:
        Its counts, or the error that stopped it (`TessyError.as_json`).
    """
    if os.path.isdir(task.folder):  # noqa: PTH112
        os.chdir(task.folder)
    os.environ.update(task.environment)
    try:
        return run_loop(_write(task, board))
    except TessyError as error:
        return dict(error.as_json())


async def _write(task: ShardTask, board: Any) -> dict[str, Any]:
    reports = _Reports(board, task)
    writing = asyncio.create_task(
        asynthesize(
            task.source,
            out=task.out,
            config=Config.model_validate(task.config),
            limit=task.limit,
            skip_bad=task.skip_bad,
            question_column=task.column,
            retry_failed=[Failure(reason) for reason in task.retry],
            shard=ShardNumber(task.shard, task.shards),
            progress=reports,
        )
    )
    reports.stop = writing.cancel
    result = await writing
    counts: dict[str, Any] = result.counters.as_json()
    return counts


class _Reports(Progress):
    """Reports the counts of a shard to the board, and stops its task when the board says so."""

    def __init__(self, board: Any, task: ShardTask) -> None:
        super().__init__(Show.QUIET)
        self._board = board
        self._task = (task.shard, task.attempt)
        self.stop: Callable[[], object] = lambda: None

    @asynccontextmanager
    async def watching(self, counters: Counters) -> AsyncIterator[None]:
        reporting = asyncio.create_task(self._repeat(counters))
        try:
            yield
        finally:
            reporting.cancel()

    async def _repeat(self, counters: Counters) -> None:
        import ray

        while True:
            with contextlib.suppress(ray.exceptions.RayError):  # the board is being restarted
                if await self._board.report.remote(*self._task, counters.as_json()):
                    self.stop()
                    return
            await asyncio.sleep(_REPORT_S)


def examine_node(out: str, identity: str | None) -> dict[str, Any]:
    """What the driver has to know of a node before any work.

    Args:
        out: The run's folder.
        identity: What its `run.toml` must say; None if the folder need not be seen.

    Returns:
        tessy's version there, and whether the run's folder is seen there.
    """
    seen = True
    if identity is not None:
        try:
            seen = RunFolder(Path(out)).run_toml.identity() == identity
        except TessyError:
            seen = False
    return {"version": __version__, "seen": seen}
