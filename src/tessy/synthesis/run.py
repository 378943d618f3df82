"""The whole job: questions in, data set out.

    questions    read and checked, all of them, before any model is touched
    folder       locked, and begun or gone on with
    models.open  both models, probed
    pool         writes what has not ended yet
    crew         has several processes write it, with `workers`
    journal      keeps it; dataset.jsonl and failures.jsonl are written from it at every stop

None of them imports this module.
"""

from __future__ import annotations

import asyncio
import datetime
import signal
from collections import Counter
from collections.abc import Collection, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessy._version import __version__
from tessy.boundary.batcher import Judge
from tessy.boundary.protocol import Predictor
from tessy.config import Config, load
from tessy.data import questions, record
from tessy.errors import ConfigError, InputError
from tessy.event_loop import run_loop
from tessy.method.trajectory import Failure, Role, Trajectory
from tessy.models.open import Pair, check, open_pair
from tessy.models.templates import Messages
from tessy.runs.counters import RunResult
from tessy.runs.folder import RunFolder
from tessy.runs.journal import Ending, Journal
from tessy.runs.plan import Plan, plan
from tessy.runs.progress import Progress, Show
from tessy.runs.reader import export
from tessy.synthesis.crew import Crew, places, share
from tessy.synthesis.methods import method_of, teacher_only
from tessy.synthesis.methods.method import Method
from tessy.synthesis.scheduler import OwnDesk, Pool
from tessy.synthesis.talk import Begin
from tessy.synthesis.tools import check_columns, predictors_of, verifier_of
from tessy.verifiers.protocol import Verifier

Faults = dict[str, dict[str, int]]
"""What was met on the way, by role and kind."""


def synthesize(
    source: str | Path,
    *,
    out: str | Path,
    config: Config | str | Path | None = None,
    limit: int | None = None,
    skip_bad: bool = False,
    retry_failed: bool | Collection[Failure] = False,
    progress: Progress | None = None,
    **settings: Any,
) -> RunResult:
    """Write a data set in which student and teacher think together.

    Args:
        source: Questions: a `.jsonl` or `.parquet` file, or a Hugging Face data set.
        out: The run's folder; an unfinished run in it goes on.
        config: Settings, or a TOML file with settings.
        limit: Take only the first lines of the questions.
        skip_bad: Record bad lines as failures instead of refusing to start.
        retry_failed: Write samples anew that failed at an earlier start; all of them, or those that
            failed for one of these reasons.
        progress: How to show what goes on; by default nothing is shown.
        **settings: Settings put over `config`, with `__` for the dot: `student__model="…"`.

    Returns:
        What the run came to.

    Raises:
        InputError: Something that was given can't be used; no model was called.
        TessyError: The leaf that says why the run could not start, or had to stop.
    """
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        raise InputError(
            "tessy.synthesize was called where an event loop is running, as in a notebook",
            hint="await tessy.asynthesize(…), with the same arguments",
        )
    return run_loop(
        asynthesize(
            source,
            out=out,
            config=config,
            limit=limit,
            skip_bad=skip_bad,
            retry_failed=retry_failed,
            progress=progress,
            **settings,
        )
    )


async def asynthesize(
    source: str | Path,
    *,
    out: str | Path,
    config: Config | str | Path | None = None,
    limit: int | None = None,
    skip_bad: bool = False,
    retry_failed: bool | Collection[Failure] = False,
    progress: Progress | None = None,
    **settings: Any,
) -> RunResult:
    """As `synthesize`, for code that has an event loop already."""
    chosen = _settings(config, settings)
    progress = progress or Progress(Show.QUIET)
    method = method_of(chosen)
    check(chosen, method.needs(chosen))
    async with verifier_of(chosen) as verifier:
        read = await asyncio.to_thread(questions.read, source, limit=limit, skip_bad=skip_bad)
        if verifier is not None:
            check_columns(verifier, read)
        means = Means(chosen, method, predictors_of(chosen, method), verifier, progress)
        folder = RunFolder(Path(out))
        with folder.locked():
            async with Journal(folder.journal) as journal:
                retry = _reasons(retry_failed)
                return await _run(means, str(source), read, folder, journal, retry)


def _reasons(retry_failed: bool | Collection[Failure]) -> Collection[Failure]:
    if isinstance(retry_failed, bool):
        return tuple(Failure) if retry_failed else ()
    return retry_failed


@dataclass(frozen=True, slots=True)
class Means:
    """What a run is written with, besides its models."""

    config: Config
    method: Method
    predictors: dict[Role, Predictor]
    verifier: Verifier | None
    progress: Progress


async def _run(
    means: Means,
    source: str,
    read: questions.Questions,
    folder: RunFolder,
    journal: Journal,
    retry: Collection[Failure],
) -> RunResult:
    """Write what has not ended yet, and the data set."""
    config = means.config
    begun = await journal.is_begun()
    date = folder.begin(config, source, read.digest, __version__, begun=begun)
    if not begun:
        await journal.clear()
    ended, attempts = await journal.ended(), await journal.attempts()
    todo = plan(read, config, ended, attempts, retry=retry)
    await _record_bad_lines(todo, config, journal)
    try:
        stopped: bool = False
        faults: Faults = {}
        if todo.jobs:
            stopped, faults = await _write(means, date, folder, journal, todo)
    finally:
        await asyncio.to_thread(export, folder)
    reasons = Counter((await journal.ended()).values())
    finished = reasons.pop(None, 0)
    verdicts = await journal.verdicts() if means.verifier is not None else {}
    return RunResult(
        folder=folder.path,
        total=todo.tally.total,
        finished=finished,
        failed={reason: count for reason, count in reasons.items() if reason is not None},
        stopped=stopped,
        seconds=todo.tally.seconds,
        tally=todo.tally,
        faults=faults,
        verdicts=verdicts,
    )


async def _write(
    means: Means, date: datetime.date, folder: RunFolder, journal: Journal, todo: Plan
) -> tuple[bool, Faults]:
    """Open the models and write the samples; returns whether the user stopped it."""
    config, method, say = means.config, means.method, means.progress.say
    roles = method.needs(config)
    async with open_pair(config, date=date, say=say, roles=roles, judged=method.judged) as pair:
        folder.same_models({role.value: model.name for role, model in pair.models.items()})
        _check_conversations(todo, pair, config)
        await _begin(pair, journal, todo, means.progress)
        if config.workers > 1:
            return await _by_crew(config, pair, date, journal, todo, means.progress)
        return await _by_itself(means, pair, journal, todo)


def _settings(config: Config | str | Path | None, settings: dict[str, Any]) -> Config:
    overrides = {key.replace("__", "."): value for key, value in settings.items()}
    if isinstance(config, Config):
        if overrides:
            raise ConfigError(
                "both a Config and single settings are given",
                hint="config.model_copy(update=…), or a TOML file with single settings",
            )
        return config
    return load(Path(config) if config is not None else None, overrides)


async def _record_bad_lines(todo: Plan, config: Config, journal: Journal) -> None:
    for line in todo.bad:
        reason = Failure.BAD_QUESTION
        made = record.failed(line.id, None, Trajectory(), reason, line.reason, line=line)
        position = line.number * config.samples_per_question
        await journal.end(
            Ending(position, line.id, reason, made, record.trace(Trajectory()), 0.0, 0)
        )
        todo.tally.end(reason)


def _check_conversations(todo: Plan, pair: Pair, config: Config) -> None:
    """Make sure that both chat formats take every kind of conversation, before any work.

    Raises:
        ConfigError: A chat template refuses a question's messages.
    """
    kinds = {tuple(m["role"] for m in job.question.messages): job for job in todo.jobs}
    for job in kinds.values():
        for role, model in pair.models.items():
            messages: Messages = list(job.question.messages)
            if role is Role.TEACHER:
                messages = teacher_only.told(config, messages)
            try:
                model.format.opening(model.conversation(messages))
            except ConfigError as error:
                raise ConfigError(f"question {job.question.id}, {role}: {error}") from None


async def _begin(pair: Pair, journal: Journal, todo: Plan, progress: Progress) -> None:
    """What has to be done and said before the first sample."""
    if todo.again:
        await journal.forget(todo.again)
        progress.say(f"{len(todo.again):,} failed samples are written anew")
    for note in pair.notes:
        progress.say(note)


async def _by_itself(means: Means, pair: Pair, journal: Journal, todo: Plan) -> tuple[bool, Faults]:
    """Write the samples in this process; returns whether the user stopped it."""
    servers = {role: model.servers for role, model in pair.models.items()}
    desk = OwnDesk(
        todo.jobs,
        await journal.unfinished(),
        journal,
        todo.tally,
        lambda: sum(each.requests for each in servers.values()),
    )
    async with Judge(means.predictors) as judge, means.progress.watching(todo.tally):
        pool = Pool(means.config, pair.models, pair.streamed, judge, desk, means.verifier)
        stopped = await _until_stopped(pool.run())
    return stopped, {role.value: each.traffic.faults for role, each in servers.items()}


async def _by_crew(
    config: Config,
    pair: Pair,
    date: datetime.date,
    journal: Journal,
    todo: Plan,
    progress: Progress,
) -> tuple[bool, Faults]:
    """Write the samples in several processes; returns as `_by_itself` does."""
    models = {
        role.value: model.settings.model_copy(
            update={
                "model": ",".join(
                    f"{replica.client.base_url}#{replica.client.served_name}"
                    for replica in model.servers.replicas
                )
            }
        )
        for role, model in pair.models.items()
    }
    served, count = config.model_copy(update=models), places(config, pair.models)
    begins = [
        Begin(
            config=share(served, place, count).model_dump_json(),
            date=date.isoformat(),
            names={role.value: model.name for role, model in pair.models.items()},
            streamed=pair.streamed,
        )
        for place in range(count)
    ]
    crew = Crew(begins, todo.jobs, await journal.unfinished(), journal, todo.tally)
    async with progress.watching(todo.tally):
        stopped = await _until_stopped(crew.run())
    return stopped, crew.faults


async def _until_stopped(work: Coroutine[Any, Any, None]) -> bool:
    """Do something until it is done or the user stops it; returns whether that was so."""
    writing = asyncio.create_task(work)
    with _stopping(writing) as asked:
        try:
            await writing
        except asyncio.CancelledError:
            if not asked:
                raise
            return True
    return False


@contextmanager
def _stopping(task: asyncio.Task[None]) -> Iterator[list[int]]:
    """Cancel a task at Ctrl-C or SIGTERM, where signals can be caught (the main thread)."""
    loop = asyncio.get_running_loop()
    asked: list[int] = []

    def stop(number: int) -> None:
        asked.append(number)
        task.cancel()

    caught = []
    with suppress(NotImplementedError, RuntimeError, ValueError):
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number)
            caught.append(number)
    try:
        yield asked
    finally:
        for number in caught:
            loop.remove_signal_handler(number)
