"""All jobs of a study, so many at once, each in a process of its own; the same command goes on."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from tessy.display import Say
from tessy.errors import ConfigError, StudyError
from tessy.lab.study import plan
from tessy.lab.study.job import DONE, SETTINGS
from tessy.lab.study.plan import Job
from tessy.lab.study.settings import load
from tessy.runs.folder import write_atomically

_LOG = "job.log"
_TAIL = 1500
_STOP_S = 10.0


async def conduct(settings: Path, out: Path, *, at_once: int, say: Say) -> None:
    """Do whatever is not done yet.

    Args:
        settings: A TOML file.
        out: The study's folder; one that was begun with the same settings goes on, also if
            conditions were added to them since.
        at_once: Jobs at the same time; each takes about a core.
        say: Told what is going on, in a line.

    Raises:
        ConfigError: The settings can't be used, or are not those of the study that is there.
        StudyError: A job failed; the others under way were ended.
    """
    every = list(plan.jobs(load(settings)))
    _begin(settings, out)
    todo = [job for job in every if not is_done(out, job)]
    say(f"{len(every)} jobs, {len(every) - len(todo)} of them done")
    await _Conductor(out, todo, {job.name for job in every} - {job.name for job in todo}, say).run(
        at_once
    )


def is_done(out: Path, job: Job) -> bool:
    """Whether a job has come to its end."""
    return (plan.folder(out, job) / DONE).is_file()


def _begin(settings: Path, out: Path) -> None:
    own = out / SETTINGS
    if own.is_file():
        if not plan.extends(load(settings), load(own)):
            raise ConfigError(
                f"{out} holds a study with other settings",
                hint="give another --out; conditions may be added, for data that is there",
            )
        write_atomically(own, settings.read_bytes())
        return
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} holds something else", hint="give a new folder")
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(settings, own)


class _Conductor:
    """Gives jobs to processes, each when those that it needs are done."""

    def __init__(self, out: Path, todo: Iterable[Job], done: set[str], say: Say) -> None:
        self._out, self._todo, self._done, self._say = out, list(todo), done, say
        self._changed = asyncio.Condition()
        self._total = len(self._todo)
        self._ended = 0
        self._began = time.monotonic()

    async def run(self, at_once: int) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(at_once):
                    group.create_task(self._work())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _work(self) -> None:
        while (job := await self._next()) is not None:
            await _do(self._out, job)
            self._ended += 1
            gone = time.monotonic() - self._began
            to_go = gone / self._ended * (self._total - self._ended)
            self._say(
                f"{self._ended} of {self._total}: {job.name} "
                f"({gone / 60:.0f} min gone, about {to_go / 60:.0f} to go)"
            )
            async with self._changed:
                self._done.add(job.name)
                self._changed.notify_all()

    async def _next(self) -> Job | None:
        """The first job whose needs are met; waits for one."""
        async with self._changed:
            while self._todo:
                for job in self._todo:
                    if self._done.issuperset(job.needs):
                        self._todo.remove(job)
                        return job
                await self._changed.wait()
            return None


async def _do(out: Path, job: Job) -> None:
    """Have a process do a job.

    Raises:
        StudyError: It failed.
    """
    where = plan.folder(out, job)
    where.mkdir(parents=True, exist_ok=True)
    with (where / _LOG).open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tessy.lab.study.job", str(out), job.name),
            stdin=asyncio.subprocess.PIPE,  # it ends with us, however we end
            stdout=log,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
            start_new_session=True,  # Ctrl-C is for us; a job that is ended goes on later
        )
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _STOP_S)
            except TimeoutError:
                process.kill()
            raise
    if code or not is_done(out, job):
        said = (where / _LOG).read_text("utf-8", "replace")[-_TAIL:].strip()
        raise StudyError(
            f"{job.name} failed ({where / _LOG}): {said}",
            hint="mend it, then the same command: what is done stays done",
        )
