"""A run: questions in, data set out.

questions    all are read and checked before any model is called
folder       is locked, and the run in it is started or resumed
open         opens and probes the models
scheduler    writes the samples that have not ended; with `workers`, in several processes
journal      stores them; at every stop, dataset.jsonl and failures.jsonl are written from it
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection
from contextlib import AsyncExitStack, closing, suppress
from pathlib import Path
from typing import Any

import numpy as np

from tessy._version import __version__
from tessy.boundary.batcher import PredictorBatcher
from tessy.boundary.registry import load_all
from tessy.config import Config, load
from tessy.data import record
from tessy.data.sources import name_of
from tessy.errors import ConfigError, InputError, JournalError, Outage
from tessy.event_loop import run_loop
from tessy.method.chunks import ChunkSizes
from tessy.method.trajectory import Failure, Role, Trajectory
from tessy.models.open import check, check_formats, open_models
from tessy.runs.counters import RunResult
from tessy.runs.folder import RunFolder
from tessy.runs.journal import Ending, Journal
from tessy.runs.plan import Plan, plan
from tessy.runs.progress import Progress, Show
from tessy.runs.reader import write_dataset
from tessy.synthesis.context import RunContext
from tessy.synthesis.conversations import check_conversations
from tessy.synthesis.methods import method_of
from tessy.synthesis.scheduler import write_samples
from tessy.synthesis.signals import until_stopped
from tessy.synthesis.verification import open_verifier, read_verifiable


def synthesize(
    source: str | Path,
    *,
    out: str | Path,
    config: Config | str | Path | None = None,
    limit: int | None = None,
    skip_bad: bool = False,
    question_column: str | None = None,
    retry_failed: bool | Collection[Failure] = False,
    progress: Progress | None = None,
    **settings: Any,
) -> RunResult:
    """Write a data set in which student and teacher think together.

    Args:
        source: Questions: a file, a folder of shards, a glob, `-` for standard input, or a Hugging
            Face data set; see `tessy.data.questions`.
        out: The run's folder; an unfinished run in it is resumed.
        config: Settings, or the path of a TOML file.
        limit: Use only the first `limit` lines.
        skip_bad: Record bad lines, and questions that can't be verified, as failures instead of
            refusing to start.
        question_column: The column of the question; by default the one that is there.
        retry_failed: Write samples again that failed at an earlier start: all of them, or only
            those with one of the given reasons.
        progress: Shows the progress; by default nothing is shown.
        **settings: Override single settings, with `__` for the dot: `student__model="…"`.

    Returns:
        The counts of the run, and its folder.

    Raises:
        InputError: An argument, a setting or a question can't be used; no sample was written.
        TessyError: The run could not start or had to stop; the subclass says why.
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
            question_column=question_column,
            retry_failed=retry_failed,
            progress=progress,
            catch_signals=True,
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
    question_column: str | None = None,
    retry_failed: bool | Collection[Failure] = False,
    progress: Progress | None = None,
    catch_signals: bool = False,
    **settings: Any,
) -> RunResult:
    """Like `synthesize`, for code that already runs in an event loop.

    Args:
        source: As for `synthesize`, as all but the last.
        out: The run's folder.
        config: Settings.
        limit: Use only the first lines.
        skip_bad: Record bad lines as failures.
        question_column: The column of the question.
        retry_failed: Write failed samples again.
        progress: Shows the progress.
        catch_signals: Ctrl-C, SIGTERM and SIGHUP stop the run, as in `synthesize`; otherwise they
            are left to the program around this call, which can cancel it.
        **settings: Override single settings.
    """
    chosen = _settings(config, settings)
    progress = progress or Progress(Show.QUIET)
    method = method_of(chosen)
    check(chosen, method.needs(chosen))
    predictors = load_all({role: chosen.predictor_of(role) for role in Role if method.judged})
    folder = RunFolder(Path(out))
    async with AsyncExitStack() as stack:
        verifier = await stack.enter_async_context(open_verifier(chosen))
        read = await asyncio.to_thread(
            read_verifiable,
            verifier,
            source,
            limit=limit,
            skip_bad=skip_bad,
            column=question_column,
        )
        check_formats(chosen, method.needs(chosen))
        # In threads: both may wait for another process.
        lock = await asyncio.to_thread(stack.enter_context, folder.locked())
        journal = await asyncio.to_thread(Journal, folder.journal)
        await stack.enter_async_context(journal)
        begun = await journal.is_begun()
        date = folder.begin(chosen, name_of(source), read.digest, __version__, begun=begun)
        if not begun:
            await journal.clear()
        retry = tuple(Failure) if retry_failed is True else retry_failed or ()
        ended, failures = await journal.ended(), await journal.failures()
        finished = sum(reason is None for reason in ended.values())
        await asyncio.to_thread(folder.refuse_lost_journal, finished)
        todo = plan(read, chosen, ended, failures, retry=retry)
        await _record_bad_lines(todo, chosen, journal)
        stopped = False
        try:
            if todo.jobs:
                opening = open_models(
                    chosen,
                    date=date,
                    say=progress.say,
                    roles=method.needs(chosen),
                    judged=method.judged,
                )
                models, notes = await stack.enter_async_context(opening)
                folder.same_models({role.value: model.name for role, model in models.items()})
                numbers = np.unique([job.question.number for job in todo.jobs])
                await asyncio.to_thread(
                    check_conversations, read, numbers, models, chosen, skip_bad=skip_bad
                )
                if todo.again:
                    await journal.forget(todo.again)
                    progress.say(f"{len(todo.again):,} failed samples are written again")
                for note in notes:
                    progress.say(note)
                context = RunContext(
                    config=chosen,
                    models=models,
                    batcher=stack.enter_context(closing(PredictorBatcher(predictors))),
                    journal=journal,
                    counters=todo.counters,
                    sizes=ChunkSizes({role: chosen.of(role).chunk for role in Role}),
                    verifier=verifier,
                )
                if chosen.workers == 1:
                    work = write_samples(context, todo.jobs)
                else:
                    from tessy.synthesis.workers import write_with_workers

                    asked = (str(source), limit, question_column)
                    work = write_with_workers(context, *asked, date, lock)
                async with progress.watching(todo.counters):
                    stopped = await until_stopped(work, catch_signals=catch_signals)
                if chosen.workers == 1:
                    context.snapshot()
        except BaseException as error:
            with suppress(JournalError):  # what stopped the run says more
                await _write_dataset(folder, journal)
                if isinstance(error, Outage):
                    progress.summarise(await _result(folder, journal, todo, stopped=True))
            raise
        await _write_dataset(folder, journal)
        return await _result(folder, journal, todo, stopped=stopped)


async def _write_dataset(folder: RunFolder, journal: Journal) -> None:
    journal.check_place()
    await asyncio.to_thread(write_dataset, folder)


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
    reason = Failure.BAD_QUESTION
    endings = []
    for line in todo.bad:
        made = record.failed(line.id, None, Trajectory(), reason, line.reason, line=line)
        position = line.number * config.samples_per_question
        trace = record.trace(Trajectory())
        endings.append(Ending(position, line.id, reason, made, trace, 0.0, 0))
        todo.counters.end(reason)
    await asyncio.gather(*(journal.end(ending) for ending in endings))


async def _result(folder: RunFolder, journal: Journal, todo: Plan, *, stopped: bool) -> RunResult:
    reasons = Counter((await journal.ended()).values())
    finished = reasons.pop(None, 0)
    return RunResult(
        folder=folder.path,
        total=todo.counters.total,
        finished=finished,
        failed={reason: count for reason, count in reasons.items() if reason is not None},
        stopped=stopped,
        seconds=todo.counters.seconds,
        counters=todo.counters,
        verdicts=await journal.verdicts(),
    )
