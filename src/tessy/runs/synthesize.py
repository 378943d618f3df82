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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tessy import __version__, questions, record
from tessy.boundary.judge import Judge
from tessy.boundary.registry import load as load_predictor
from tessy.config import Config, load
from tessy.errors import ConfigError
from tessy.methods import METHODS
from tessy.models.open import Pair, check, open_pair
from tessy.questions import Questions
from tessy.runs.folder import RunFolder
from tessy.runs.journal import Ending, Journal, Reader
from tessy.runs.pool import Job, Pool
from tessy.runs.progress import Progress, Show
from tessy.runs.tally import RunResult, Tally
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
    return asyncio.run(
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
    predictors = {role: load_predictor(chosen.predictor_of(role)) for role in Role}
    folder = RunFolder(Path(out))
    with folder.locked():
        date = folder.begin(chosen, str(source), read.digest, __version__)
        async with Journal(folder.journal) as journal:
            if retry_failed:
                again = await journal.forget_failures()
                progress.say(f"{again:,} failed samples are written anew")
            ended = await journal.ended()
            attempts = await journal.attempts()
            jobs = [job for job in _jobs(read, chosen, attempts) if job.id not in ended]
            tally = _tally(read, chosen, ended)
            await _record_bad_lines(read, chosen, journal, ended, tally)
            try:
                stopped, pair = False, None
                if jobs:
                    begun = await journal.unfinished()
                    async with open_pair(chosen, date=date, say=progress.say) as pair:
                        folder.same_models({r.value: m.name for r, m in pair.models.items()})
                        stopped = await _write(
                            chosen, pair, predictors, journal, tally, jobs, begun, progress
                        )
            finally:
                await asyncio.to_thread(export, folder)
            reasons = Counter((await journal.ended()).values())
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


def _jobs(
    read: Questions, config: Config, attempts: Mapping[str, int] = MappingProxyType({})
) -> Iterator[Job]:
    """Every sample that the run should end, in the order of the questions."""
    several = config.samples_per_question
    for question in read.good:
        for index in range(several):
            sample_id = f"{question.id}#{index}" if several > 1 else question.id
            position = question.number * several + index
            yield Job(position, sample_id, question, attempts.get(sample_id, 0))


def _tally(read: Questions, config: Config, ended: dict[str, Failure | None]) -> Tally:
    failed = Counter(reason for reason in ended.values() if reason is not None)
    total = len(read.good) * config.samples_per_question + len(read.bad)
    wanted = {job.id for job in _jobs(read, config)} | {line.id for line in read.bad}
    total += len(ended.keys() - wanted)  # of an earlier start with a larger --limit
    finished = len(ended) - failed.total()
    return Tally(total, finished=finished, failed=failed, ended_before=len(ended))


async def _record_bad_lines(
    read: Questions,
    config: Config,
    journal: Journal,
    ended: dict[str, Failure | None],
    tally: Tally,
) -> None:
    for line in read.bad:
        if line.id in ended:
            continue
        reason = Failure.BAD_QUESTION
        made = record.failed(line.id, None, Trajectory(), reason, line.reason, line=line)
        position = line.number * config.samples_per_question
        await journal.end(Ending(position, line.id, reason, made, {"discards": []}, 0.0, 0))
        tally.end(reason)
        tally.ended_before += 1


async def _write(
    config: Config,
    pair: Pair,
    predictors: dict[Role, Any],
    journal: Journal,
    tally: Tally,
    jobs: list[Job],
    begun: set[str],
    progress: Progress,
) -> bool:
    """Write the samples; returns whether the user stopped it."""
    for note in pair.notes:
        progress.say(note)
    async with Judge(predictors) as judge, progress.watching(tally):
        pool = Pool(config, pair.models, judge, journal, tally)
        writing = asyncio.create_task(pool.run(jobs, begun))
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


def export(folder: RunFolder) -> None:
    """Write dataset.jsonl and failures.jsonl from the journal, in the order of the questions.

    Raises:
        TessyError: There is no journal.
    """
    with Reader(folder) as reader:
        for path, failed in ((folder.dataset, False), (folder.failures, True)):
            temporary = path.with_name(path.name + ".part")
            with temporary.open("wb") as file:
                for entry in reader.entries(failed=failed):
                    file.write(entry.record + b"\n")
            temporary.replace(path)
