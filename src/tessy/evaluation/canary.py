"""`tessy synth --canary N`: the first samples of a run, beside the teacher alone.

The teacher alone is the strongest that the data can be, and what a run without tessy would write.
If the run's first samples are right as often, the rest may be written.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from tessy.config import Config
from tessy.data.columns import bad_line_number
from tessy.data.questions import read
from tessy.display import count_of, visible_line
from tessy.errors import ConfigError
from tessy.event_loop import run_anywhere
from tessy.method.trajectory import Role
from tessy.models.checks import check, check_formats
from tessy.report.document import decimal, percent
from tessy.report.figures.accounts import Accounts, AccountsCounter
from tessy.report.figures.accuracy import Accuracy, AccuracyCounter
from tessy.report.figures.intervals import Bootstrap, Interval, QuestionSums, right_share
from tessy.report.source import RunSource, open_runs
from tessy.runs.folder import CANARY, RunFolder
from tessy.runs.plan import jobs
from tessy.runs.progress import Progress
from tessy.runs.reader import JournalReader
from tessy.runs.remote import writing
from tessy.synthesis.methods import method_of
from tessy.synthesis.methods.teacher_only import TEACHER_ONLY
from tessy.synthesis.run import asynthesize
from tessy.synthesis.verification import open_verifier, read_verifiable

_FIGURES = {
    "thinking_tokens_a_sample": "thinking, tokens",
    "answer_tokens_a_sample": "answer, tokens",
    "hand_overs_a_sample": "hand-overs",
    "hand_overs_in_1000_words": "hand-overs in 1,000 words",
    "seconds_a_sample": "seconds",
}


@dataclass(frozen=True, slots=True)
class CanarySide:
    """One of the two runs.

    Attributes:
        name: Its method.
        accounts: Of the canary's samples.
        again: How many of the canary's samples were written again after a failure.
        failed: The share of failed ones among the canary's samples.
        accuracy: Of the canary's samples; None if none was verified.
    """

    name: str
    accounts: Accounts
    again: int
    failed: Interval
    accuracy: Accuracy | None


@dataclass(frozen=True, slots=True)
class Canary:
    """The first samples of a run, and the teacher's of the same questions.

    Attributes:
        run: The run's.
        teacher: The teacher's.
        folder: Where the teacher's are.
        verified: Answers were verified.
        bad: Bad lines among the first ones, which no model answered.
        left: Samples of the whole run that have not ended.
    """

    run: CanarySide
    teacher: CanarySide
    folder: Path
    verified: bool
    bad: int
    left: int


def teacher_config(config: Config) -> Config:
    """The settings of the teacher's run: the same, but for the method."""
    return config.model_copy(update={"method": TEACHER_ONLY.name, "answer_by": Role.STUDENT})


def check_canary(
    config: Config, source: str | Path, *, limit: int | None, skip_bad: bool, column: str | None
) -> None:
    """Make sure, before any work, that a run can be compared with the teacher alone, and go on.

    A question that is mended later makes another run, so those after the first ones are checked,
    too.

    Args:
        config: The run's settings.
        source: The run's questions, as those below.
        limit: Use only so many lines for the whole run.
        skip_bad: Bad lines are recorded as failures.
        column: The column of the question.

    Raises:
        ConfigError: It can't be compared.
        DataError: Lines are bad.
    """
    if method_of(config) is TEACHER_ONLY:
        raise ConfigError(
            "--canary compares a method with teacher-only, and this is teacher-only",
            hint="--limit writes the first questions alone",
        )
    alone = teacher_config(config)
    check(alone, TEACHER_ONLY.roles)
    check_formats(alone, TEACHER_ONLY.roles)
    if not skip_bad:
        run_anywhere(_check_questions(config, source, limit, column))


async def _check_questions(
    config: Config, source: str | Path, limit: int | None, column: str | None
) -> None:
    async with open_verifier(config) as verifier:
        await asyncio.to_thread(
            read_verifiable, verifier, source, limit=limit, column=column, config=config
        )


def canary_limit(samples: int, config: Config, limit: int | None) -> int:
    """The questions of a canary: whole ones, so there may be a few samples more."""
    questions = -(-samples // config.samples_per_question)
    return questions if limit is None else min(questions, limit)


def compare(
    source: str | Path,
    *,
    out: str | Path,
    config: Config,
    limit: int,
    most: int | None = None,
    skip_bad: bool = False,
    question_column: str | None = None,
    progress: Progress,
) -> Canary | None:
    """Have the teacher alone write the first questions of a run, and compare the two.

    Args:
        source: The run's questions, as those below.
        out: The run's folder; its samples of these questions have ended.
        config: The run's settings.
        limit: Questions to compare.
        most: Questions of the whole run; None for all.
        skip_bad: Bad lines are left out.
        question_column: The column of the question.
        progress: Shows the progress of the teacher.

    Returns:
        None if the user stopped the teacher.

    Raises:
        TessyError: As `synthesize`.
    """
    folder, alone = f"{out}/{CANARY}", teacher_config(config)
    progress.say(f"canary: the teacher alone, on the same questions, in {folder}")
    result = run_anywhere(
        asynthesize(
            source,
            out=folder,
            config=alone,
            limit=limit,
            skip_bad=skip_bad,
            question_column=question_column,
            progress=progress,
            catch_signals=True,
        )
    )
    if result.stopped:
        return None
    # Bad lines were refused, or are recorded as failures.
    every = read(source, limit=most, skip_bad=True, column=question_column)
    ours_at = writing(out)[0].path  # what this process has just written
    with JournalReader(RunFolder(ours_at)) as journal:
        ended = {sample_id for sample_id, _ in journal.ids(-1)}
    bad = {number for each in ended if (number := bad_line_number(each)) is not None}
    ids, left = set[str](), 0
    for job in jobs(every, config):
        if job.question.number < limit:
            ids.add(job.id)
        # A question that can't be verified ended as a bad line.
        left += job.id not in ended and job.question.number not in bad
    ours, teachers = open_runs([ours_at, result.folder])
    return Canary(
        side_of(ours, ids),
        side_of(teachers, ids),
        result.folder,
        verified=config.verify is not None,
        bad=sum(number < limit for number in bad),
        left=left,
    )


def side_of(source: RunSource, ids: set[str]) -> CanarySide:
    """The samples with these ids of a run, which may have others.

    Args:
        source: The run.
        ids: Of the canary's samples.
    """
    accounts, accuracy = AccountsCounter(), AccuracyCounter(unverifiable=source.unverifiable)
    for sample in source.samples():
        if sample.id in ids:
            accounts.add(sample)
            accuracy.add(sample)
    ended = Counter(accounts.questions)
    each = zip(accounts.questions, accounts.failures, strict=True)
    lost = Counter(question for question, failure in each if failure is not None)
    failed = right_share(QuestionSums.over([lost[key] for key in ended], list(ended.values())))
    with JournalReader(source.folder) as reader:
        again = len(reader.again() & ids)
    return CanarySide(
        source.method, accounts.accounts(Bootstrap()), again, failed, accuracy.accuracy()
    )


def table(found: Canary) -> Table:
    """How the two compare."""
    sides = (found.run, found.teacher)
    title = f"canary: the first {count_of(found.run.accounts.ended, 'sample')}"
    if found.bad:
        title += f", without {count_of(found.bad, 'bad line')}"
    made = Table(title=title, title_justify="left")
    made.add_column("")
    for side in sides:
        made.add_column(visible_line(side.name), justify="right")
    if found.verified:
        rights = [side.accuracy for side in sides]
        made.add_row("right", *map(_right, rights))
        if any(right and right.failed for right in rights):
            made.add_row("right, if what models failed is wrong", *map(_right_of_ended, rights))
    failed = [side.accounts.failed for side in sides]
    ended = [side.accounts.ended for side in sides]
    counts = (sum(each.values()) for each in failed)
    made.add_row("failed", *map(_share, counts, ended, (side.failed for side in sides)))
    for reason in dict.fromkeys(reason for each in failed for reason in each):
        made.add_row(f"  {reason}", *(f"{each.get(reason, 0):,}" for each in failed))
    if any(side.again for side in sides):  # they had another chance
        made.add_row("written again after a failure", *(f"{side.again:,}" for side in sides))
    for name, title in _FIGURES.items():
        made.add_row(title, *(_figure(side.accounts, name) for side in sides))
    discarded = (side.accounts.finished.figures["discarded_share"] for side in sides)
    made.add_row("discarded tokens", *map(percent, discarded))
    made.caption = (
        "Right: of those with a verdict. Means are of finished samples; 95% intervals as in "
        "tessy report. "
        + ("" if found.verified else "No answer was verified: --verify NAME, in a new folder. ")
        + f"The teacher's are in {visible_line(str(found.folder))}, and no part of the data set."
    )
    made.caption_justify = "left"
    return made


def _share(part: int, of: int, share: Interval) -> str:
    return f"{part:,} of {of:,}: {percent(share)}" if of else "–"


def _right(found: Accuracy | None) -> str:
    return f"{found.right:,} of {found.verified:,}: {percent(found.share)}" if found else "–"


def _right_of_ended(found: Accuracy | None) -> str:
    return percent(found.share_of_ended) if found else "–"


def _figure(accounts: Accounts, name: str) -> str:
    figure = accounts.finished.figures[name]
    return decimal(figure, 0 if figure.value >= 100 else 1)
