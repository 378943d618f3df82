"""Does all jobs of a study, several at once, each in a process of its own; can be resumed."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from pathlib import Path

from studies.study import plan
from studies.study.jobs import write_questions
from studies.study.plan import SETTINGS, StudyError, StudyJob
from studies.study.settings import load
from tessy.data.files import write_atomically
from tessy.display import Say
from tessy.errors import ConfigError

_LOG = "job.log"
_TAIL = 1500
"""Characters of a job's log that are shown if it fails."""
_STOP_S = 10.0


async def conduct(settings: Path, out: Path, *, at_once: int, say: Say) -> None:
    """Do all jobs that are not done yet.

    Args:
        settings: A TOML file.
        out: The study's folder. One that was begun with the same settings is resumed, also if
            conditions were added to them since.
        at_once: Jobs at the same time; each takes about a core.
        say: Called with a line about the progress.

    Raises:
        ConfigError: The settings can't be used, or the folder holds something else.
        StudyError: A job failed; the others were ended.
        MissingExtra: reasoning-gym is not installed.
    """
    begin(settings, out)
    write_questions(out, load(settings))
    jobs = plan.jobs(load(settings))
    done = {job for job in jobs if plan.is_done(out, job)}
    todo = [job for job in jobs if job not in done]
    count, ended, began = len(todo), 0, time.monotonic()
    say(f"{len(jobs)} jobs, {len(done)} of them done")
    running: dict[asyncio.Task[None], StudyJob] = {}
    try:
        while todo or running:
            for job in [job for job in todo if done.issuperset(job.needs)]:
                if len(running) < at_once:
                    todo.remove(job)
                    running[asyncio.create_task(_in_a_process(out, job))] = job
            finished, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in finished:
                job = running.pop(task)
                task.result()  # raises what it raised
                done.add(job)
                ended += 1
                passed = (time.monotonic() - began) / 60
                left = passed / ended * (count - ended)
                say(
                    f"{ended} of {count}: {job.name} "
                    f"({passed:.0f} min passed, about {left:.0f} to go)"
                )
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def begin(settings: Path, out: Path) -> None:
    """Make a study's folder, or check that it belongs to the same study.

    Raises:
        ConfigError: The settings can't be used, or the folder holds something else.
    """
    wanted, own = load(settings), out / SETTINGS
    if own.is_file():
        if not plan.extends(wanted, load(own)):
            raise ConfigError(
                f"{out} holds a study with other settings",
                hint="give another --out; conditions may be added, for data that exists",
            )
        write_atomically(own, settings.read_bytes())
        return
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} holds something else", hint="give a new folder")
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(settings, own)


async def _in_a_process(out: Path, job: StudyJob) -> None:
    """Do a job in a process.

    Raises:
        StudyError: It failed.
    """
    folder = out / job.name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOG).open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "studies.study.jobs", str(out), job.name),
            stdin=asyncio.subprocess.PIPE,  # it ends when we do, however we end
            stdout=log,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
            start_new_session=True,  # Ctrl-C is for us; we end the job
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
    if code or not plan.is_done(out, job):
        text = (folder / _LOG).read_text("utf-8", "replace")[-_TAIL:].strip()
        raise StudyError(
            f"{job.name} failed ({folder / _LOG}): {text}",
            hint="fix it, then run the same command: what is done stays done",
        )
