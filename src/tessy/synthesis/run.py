"""A run: questions in, data set out.

questions    all are read and checked before any model is called
folder       is locked, and the run in it is started or resumed
open         opens and probes the models
shards       the journals are created; then shard by shard, the samples that have not ended
scheduler    writes them; with `workers`, several processes take shards
reader       at every stop, writes dataset.jsonl and failures.jsonl from the journals
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack, closing, suppress
from pathlib import Path
from typing import Any

from tessy.boundary.batcher import PredictorBatcher
from tessy.boundary.registry import load_all
from tessy.config import Config, load
from tessy.data.given import Given, as_source
from tessy.display import Say
from tessy.errors import (
    ConfigError,
    InputError,
    JournalError,
    Outage,
    RemoteError,
    RunLocked,
)
from tessy.event_loop import run_loop
from tessy.method.trajectory import Failure, Role
from tessy.models.checks import check, check_formats
from tessy.models.open import open_models
from tessy.runs.counters import Counters, RunResult
from tessy.runs.dataset import told, write_dataset, write_part
from tessy.runs.folder import RunFolder, ShardFolder
from tessy.runs.plan import WRITTEN_AGAIN
from tessy.runs.progress import Progress, Show
from tessy.runs.reader import JournalReader
from tessy.runs.remote import named_by_url, writing
from tessy.runs.rows import remove_ordered, write_parts
from tessy.runs.shard_reader import ShardReader
from tessy.runs.shards import ShardNumber, dataset_files
from tessy.runs.totals import EndedTotals
from tessy.synthesis.begin import begin, refuse_strangers
from tessy.synthesis.context import RunContext
from tessy.synthesis.conversations import check_conversations
from tessy.synthesis.methods import method_of
from tessy.synthesis.scheduler import write_shards
from tessy.synthesis.shards import ShardPlan, ShardQueue
from tessy.synthesis.shares import worker_count
from tessy.synthesis.signals import until_stopped
from tessy.synthesis.verification import open_verifier, read_verifiable
from tessy.tracking.log import RunLog


def synthesize(
    source: Given,
    *,
    out: str | Path,
    config: Config | str | Path | None = None,
    limit: int | None = None,
    skip_bad: bool = False,
    question_column: str | None = None,
    retry_failed: bool | Collection[Failure] = False,
    shard: str | ShardNumber | None = None,
    log_to: str | Sequence[str] = (),
    progress: Progress | None = None,
    **settings: Any,
) -> RunResult:
    """Write a data set in which student and teacher think together.

    Args:
        source: Questions: a file, a folder of shards, a glob, `-` for standard input, or a Hugging
            Face data set, see `tessy.data.questions`; or a list of prompts or rows, a data set, a
            table of pandas.
        out: The run's folder, or its URL (docs/remote.md); an unfinished run in it is resumed.
        config: Settings, or the path of a TOML file.
        limit: Use only the first `limit` lines.
        skip_bad: Record bad lines, and questions that can't be verified, as failures instead of
            refusing to start.
        question_column: The column of the question; by default the one that is there.
        retry_failed: Write samples again that failed at an earlier start: all of them, or only
            those with one of the given reasons.
        shard: Write only this shard of the run, `I/N` counted from 0, while other processes may
            write others; `tessy.merge` then writes the data set.
        log_to: Trackers for the run's figures: `wandb`, `mlflow` or `tensorboard`, each with a
            place of its own after a `:` (docs/commands.md).
        progress: Shows the progress; by default nothing is shown.
        **settings: Override single settings, with `__` for the dot: `limits__answer_tokens=500`;
            `student` and `teacher` may be addresses: `student="http://localhost:8000/v1"`.

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
            shard=shard,
            log_to=log_to,
            progress=progress,
            catch_signals=True,
            **settings,
        )
    )


async def asynthesize(
    source: Given,
    *,
    out: str | Path,
    config: Config | str | Path | None = None,
    limit: int | None = None,
    skip_bad: bool = False,
    question_column: str | None = None,
    retry_failed: bool | Collection[Failure] = False,
    shard: str | ShardNumber | None = None,
    log_to: str | Sequence[str] = (),
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
        shard: Write only this shard.
        log_to: Trackers for the run's figures.
        progress: Shows the progress.
        catch_signals: Ctrl-C, SIGTERM and SIGHUP stop the run, as in `synthesize`; otherwise they
            are left to the program around this call, which can cancel it.
        **settings: Override single settings.
    """
    source = await asyncio.to_thread(as_source, source)
    chosen = chosen_settings(config, settings)
    own = _own_shard(shard, chosen)
    progress = progress or Progress(Show.QUIET)
    log = RunLog(log_to, progress.say)
    if own is not None and (chosen.workers or 1) > 1:
        progress.say(f"a shard is written by one process: workers = {chosen.workers} is not used")
    method = method_of(chosen)
    check(chosen, method.needs(chosen))
    predictors = load_all({role: chosen.predictor_of(role) for role in Role if method.judged})
    folder, remote = writing(out, every_s=chosen.upload_s, say=progress.say)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(log)
        stack.enter_context(named_by_url(remote))
        verifier = await stack.enter_async_context(open_verifier(chosen))
        read = await asyncio.to_thread(
            read_verifiable,
            verifier,
            source,
            limit=limit,
            skip_bad=skip_bad,
            column=question_column,
            config=chosen,
            say=progress.say,
        )
        check_formats(chosen, method.needs(chosen))
        # In a thread: it may wait for another process.
        locking = folder.locked(shared=own is not None)
        lock = await asyncio.to_thread(stack.enter_context, locking)
        date, count = await asyncio.to_thread(
            begin, stack, folder, chosen, source, read, own, remote=remote
        )
        numbers = tuple(range(count)) if own is None else (own.number,)
        identity = folder.run_toml.identity()
        plan = ShardPlan(folder, chosen, read, numbers, count, identity, own is not None, remote)
        reasons = WRITTEN_AGAIN if retry_failed is True else retry_failed or ()
        retry = [reason for reason in WRITTEN_AGAIN if reason in reasons]
        await asyncio.to_thread(refuse_strangers, folder, identity)
        counters, again = await plan.prepare(retry)
        if again:
            verb = "sample is" if again == 1 else "samples are"
            progress.say(f"{again:,} failed {verb} written again")
        stopped = False
        try:
            if counters.ended < counters.total:
                opening = open_models(
                    chosen,
                    date=date,
                    say=progress.say,
                    roles=method.needs(chosen),
                    judged=method.judged,
                    schemas=method.schema is not None,
                )
                models, notes = await stack.enter_async_context(opening)
                batcher = stack.enter_context(closing(PredictorBatcher(predictors)))
                context = RunContext.of(chosen, models, batcher, counters, verifier)
                await asyncio.to_thread(folder.run_toml.same_models, context.served)
                if remote is not None:
                    await asyncio.to_thread(remote.publish)
                await asyncio.to_thread(
                    check_conversations, read, read.numbers(), models, chosen, skip_bad=skip_bad
                )
                for note in notes:
                    progress.say(note)
                number = str(own) if own else None
                await asyncio.to_thread(log.open, out, folder.settings, shard=number)
                workers = worker_count(chosen, len(numbers), models)
                if workers == 1:
                    work = write_shards(context, ShardQueue(plan))
                else:
                    from tessy.synthesis.workers import write_with_workers

                    asked = (str(source), question_column)
                    work = write_with_workers(context, plan, *asked, date, lock)
                async with progress.watching(counters), log.following(counters):
                    stopped = await until_stopped(work, catch_signals=catch_signals)
                if workers == 1:
                    context.snapshot()
        except BaseException as error:
            with suppress(JournalError, RemoteError, RunLocked):  # what stopped the run says more
                await _write_dataset(plan, lock, counters, progress.say)
                if isinstance(error, Outage):
                    progress.summarise(await _result(plan, counters, own, stopped=True))
            raise
        await _write_dataset(plan, lock, counters, progress.say)
        result = await _result(plan, counters, own, stopped=stopped)
        log.end(result.figures(), counters.ended, stopped=stopped)
        return result


def _own_shard(shard: str | ShardNumber | None, config: Config) -> ShardNumber | None:
    """The shard that this process writes; None for all.

    Raises:
        InputError: There is no such shard.
    """
    own = ShardNumber.parse(shard) if isinstance(shard, str) else shard
    if own is not None and config.shards not in (None, own.count):
        raise InputError(
            f"shard {own} is one of {own.count:,}, but --shards is {config.shards:,}",
            hint="leave --shards out",
        )
    return own


async def _write_dataset(plan: ShardPlan, lock: int, counters: Counters, say: Say) -> None:
    folder = plan.folder
    folder.check_there(lock)
    rows, files = plan.config.rows_per_file, list[Path]()
    place: RunFolder | ShardFolder = folder
    if plan.locked:
        place = part = folder.shard(plan.numbers[0])
        kept = await asyncio.to_thread(write_part, part, finished=rows is None)
    else:
        kept = await asyncio.to_thread(write_dataset, folder, finished=rows is None)
    if rows is not None:
        for number in plan.numbers:
            files += await asyncio.to_thread(write_parts, folder.shard(number), rows, rest=True)
        if counters.ended > counters.ended_before:
            kept = await asyncio.to_thread(remove_ordered, folder)
            if plan.remote is not None:
                await asyncio.to_thread(plan.remote.remove_ordered)
    if kept is not None:
        say(told(kept))
    if plan.remote is not None:
        await plan.remote.finish(
            plan.numbers, (*files, place.dataset, place.failures), locked=plan.locked
        )


def chosen_settings(config: Config | str | Path | None, settings: dict[str, Any]) -> Config:
    """The settings of a run, as the Python API takes them.

    Args:
        config: Settings, or the path of a TOML file.
        settings: Single settings that override it, with `__` for the dot.

    Raises:
        ConfigError: They can't be used, or both a `Config` and single settings are given.
    """
    overrides = {key.replace("__", "."): value for key, value in settings.items()}
    for role in Role:
        if isinstance(overrides.get(role.value), str):
            if f"{role}.model" in overrides:
                raise ConfigError(f"the {role} is given twice: {role} and {role}__model")
            overrides[f"{role}.model"] = overrides.pop(role.value)
    if isinstance(config, Config):
        if overrides:
            raise ConfigError(
                "both a Config and single settings are given",
                hint="config.model_copy(update=…), or a TOML file with single settings",
            )
        return config
    return load(Path(config) if config is not None else None, overrides)


async def _result(
    plan: ShardPlan, counters: Counters, shard: ShardNumber | None, *, stopped: bool
) -> RunResult:
    folder, remote = plan.folder, plan.remote
    ended, total, left_out = await asyncio.to_thread(_ended, folder, shard)
    return RunResult(
        folder=folder.path,
        total=counters.total,
        ended=ended,
        stopped=stopped,
        seconds=counters.seconds,
        counters=counters,
        dataset=dataset_files(folder, plan.config, shard),
        url=str(remote.there) if remote is not None else None,
        failed_uploads=remote.failed_uploads if remote is not None else 0,
        left_out=left_out,
        begun_beyond=max(0, (total or 0) - counters.total),
    )


def _ended(folder: RunFolder, shard: ShardNumber | None) -> tuple[EndedTotals, int | None, int]:
    """What the samples that ended come to, how many there are, and lines that a limit left out."""
    opened = JournalReader(folder) if shard is None else ShardReader(folder.shard(shard.number))
    with opened as reader:
        return reader.totals(), reader.total(), reader.left_out()
