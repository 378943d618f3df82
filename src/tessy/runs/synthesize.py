"""The whole job: questions in, data set out.

    questions    read and checked, all of them, before any model is touched
    folder       locked, and begun or gone on with
    models.open  both models, probed
    pool         writes what has not ended yet
    journal      keeps it; dataset.jsonl and failures.jsonl are written from it at every stop

None of them imports this module.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tessy import questions, record
from tessy._version import __version__
from tessy.boundary.judge import Judge
from tessy.boundary.protocol import Predictor
from tessy.boundary.registry import load as load_predictor
from tessy.config import Config, load
from tessy.errors import ConfigError, InputError
from tessy.loop import run_loop
from tessy.methods import METHODS
from tessy.models.open import Pair, check, open_pair
from tessy.runs.folder import RunFolder
from tessy.runs.journal import Ending, Journal
from tessy.runs.plan import Plan, plan
from tessy.runs.pool import Pool
from tessy.runs.progress import Progress, Show
from tessy.runs.reader import export
from tessy.runs.tally import RunResult
from tessy.trajectory import Failure, Role, Trajectory


def synthesize(
    source: str | Path,
    *,
    out: str | Path,
    config: Config | str | Path | None = None,
    limit: int | None = None,
    skip_bad: bool = False,
    retry_failed: bool = False,
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
        retry_failed: Write samples anew that failed at an earlier start.
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
    retry_failed: bool = False,
    progress: Progress | None = None,
    **settings: Any,
) -> RunResult:
    """As `synthesize`, for code that has an event loop already."""
    chosen = _settings(config, settings)
    progress = progress or Progress(Show.QUIET)
    if chosen.method not in METHODS:
        raise ConfigError(f"method = {chosen.method!r}", hint=f"one of {', '.join(METHODS)}")
    check(chosen)
    read = await asyncio.to_thread(questions.read, source, limit=limit, skip_bad=skip_bad)
    predictors = _load_predictors(chosen)
    folder = RunFolder(Path(out))
    with folder.locked():
        async with Journal(folder.journal) as journal:
            begun = await journal.is_begun()
            date = folder.begin(chosen, str(source), read.digest, __version__, begun=begun)
            if not begun:
                await journal.clear()
            todo = plan(
                read,
                chosen,
                await journal.ended(),
                await journal.attempts(),
                retry_failed=retry_failed,
            )
            await _record_bad_lines(todo, chosen, journal)
            try:
                stopped, pair = False, None
                if todo.jobs:
                    async with open_pair(chosen, date=date, say=progress.say) as pair:
                        folder.same_models({r.value: m.name for r, m in pair.models.items()})
                        _check_conversations(todo, pair)
                        stopped = await _write(chosen, pair, predictors, journal, todo, progress)
            finally:
                await asyncio.to_thread(export, folder)
            reasons = Counter((await journal.ended()).values())
    tally = todo.tally
    finished = reasons.pop(None, 0)
    return RunResult(
        folder=folder.path,
        total=tally.total,
        finished=finished,
        failed={reason: count for reason, count in reasons.items() if reason is not None},
        stopped=stopped,
        seconds=tally.seconds,
        tally=tally,
        faults=_faults(pair),
    )


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


def _load_predictors(config: Config) -> dict[Role, Predictor]:
    """The predictors by role; one that serves both is loaded once."""
    names = {role: config.predictor_of(role) for role in Role}
    loaded = {name: load_predictor(name) for name in dict.fromkeys(names.values())}
    return {role: loaded[name] for role, name in names.items()}


async def _record_bad_lines(todo: Plan, config: Config, journal: Journal) -> None:
    for line in todo.bad:
        reason = Failure.BAD_QUESTION
        made = record.failed(line.id, None, Trajectory(), reason, line.reason, line=line)
        position = line.number * config.samples_per_question
        await journal.end(Ending(position, line.id, reason, made, {"discards": []}, 0.0, 0))
        todo.tally.end(reason)


def _check_conversations(todo: Plan, pair: Pair) -> None:
    """Make sure that both chat formats take every kind of conversation, before any work.

    Raises:
        ConfigError: A chat template refuses a question's messages.
    """
    kinds = {tuple(m["role"] for m in job.question.messages): job for job in todo.jobs}
    for job in kinds.values():
        for role, model in pair.models.items():
            try:
                model.format.opening(model.conversation(job.question.messages))
            except ConfigError as error:
                raise ConfigError(f"question {job.question.id}, {role}: {error}") from None


async def _write(
    config: Config,
    pair: Pair,
    predictors: dict[Role, Predictor],
    journal: Journal,
    todo: Plan,
    progress: Progress,
) -> bool:
    """Write the samples; returns whether the user stopped it."""
    if todo.again:
        await journal.forget(todo.again)
        progress.say(f"{len(todo.again):,} failed samples are written anew")
    begun = await journal.unfinished()
    for note in pair.notes:
        progress.say(note)
    async with Judge(predictors) as judge, progress.watching(todo.tally):
        pool = Pool(config, pair.models, pair.streamed, judge, journal, todo.tally)
        writing = asyncio.create_task(pool.run(todo.jobs, begun))
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


def _faults(pair: Pair | None) -> dict[str, dict[str, int]]:
    if pair is None:
        return {}
    return {role.value: dict(model.client.traffic.faults) for role, model in pair.models.items()}
