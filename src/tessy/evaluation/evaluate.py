"""The job: a run in which one model writes everything, and its scores.

An evaluation is a run of synthesis by one model whose answers are verified and always kept. It has
the same client, scheduler and journal, so it is as fast, and a stopped one resumes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from tessy.config import Config
from tessy.data.columns import bad_line_number
from tessy.data.files import write_atomically
from tessy.data.given import Given, as_source
from tessy.data.outputs import upload
from tessy.data.questions import Question, Questions
from tessy.data.remote import RemotePath, is_url
from tessy.errors import ConfigError, InputError, meant
from tessy.evaluation.measure import (
    EvalOutcome,
    EvalSample,
    ModelScores,
    measure,
    outcome_of,
)
from tessy.evaluation.settings import load
from tessy.event_loop import run_anywhere
from tessy.method.trajectory import UNMEASURED, Failure, Role
from tessy.runs.contents import reading
from tessy.runs.counters import RunResult
from tessy.runs.folder import RunFolder
from tessy.runs.plan import question_of
from tessy.runs.progress import Progress
from tessy.runs.reader import JournalReader
from tessy.runs.shard_reader import EndedSample
from tessy.synthesis.run import asynthesize
from tessy.synthesis.verification import open_verifier, read_verifiable
from tessy.verifiers.protocol import VerdictOutcome

RESULTS = "evaluation.json"
_OUTCOMES = {
    VerdictOutcome.RIGHT: EvalOutcome.RIGHT,
    VerdictOutcome.WRONG: EvalOutcome.WRONG,
    VerdictOutcome.NO_ANSWER: EvalOutcome.NO_ANSWER,
    VerdictOutcome.ERROR: EvalOutcome.UNMEASURED,
}


@dataclass(frozen=True, slots=True)
class EvalResult:
    """The result of an evaluation.

    Attributes:
        scores: Of the samples that have ended; all of them, unless the run was stopped.
        run: The run that wrote them.
        unmeasured: Samples of these questions that say nothing about the model, by the reason of
            their failure; bad lines are among them.
    """

    scores: ModelScores
    run: RunResult
    unmeasured: Counter[Failure] = field(default_factory=Counter)

    def __repr__(self) -> str:
        found = self.scores.whole.pass_at.get(1)
        rate = f"pass@1 {found.value:.1%}, " if found and self.scores.whole.samples else ""
        return f"<EvalResult of {self.scores.model}: {rate}{self.run.in_a_line()}>"


def evaluate(
    questions: Given,
    *,
    out: str | Path,
    model: str | None = None,
    config: Config | str | Path | None = None,
    group: str | None = None,
    limit: int | None = None,
    skip_bad: bool = False,
    question_column: str | None = None,
    retry_failed: bool = False,
    progress: Progress | None = None,
    **settings: Any,
) -> EvalResult:
    """Measure how many questions a model answers correctly.

    Args:
        questions: As `tessy.synthesize` takes them, with the columns that their verifier needs.
        out: The run's folder; an unfinished run in it resumes.
        model: The model's address, as `--model` of `tessy eval`.
        config: A TOML file with settings, or the settings as `evaluation.settings.load` returns
            them.
        group: A column of the questions by whose value scores are grouped.
        limit: Take only the first questions.
        skip_bad: Leave out questions that can't be read or verified instead of refusing to start;
            they are failures of the run, and are not measured.
        question_column: The column of the question; by default the one that is there.
        retry_failed: Ask again for samples that could not be measured. Failures of the model count
            as they are: otherwise each retry would be another chance for wrong answers alone.
        progress: How to show progress; by default nothing is shown.
        **settings: Settings that override `config`, with `__` for the dot: `verify="number"`,
            `student__sampling__temperature=0`.

    Returns:
        The scores, and the run that they are from.

    Raises:
        InputError: An argument can't be used; no model was called.
        TessyError: The subclass says why the run could not start, or had to stop.
    """
    questions = as_source(questions)
    chosen = _config(config, {"student__model": model, **settings})
    found = run_anywhere(_readable(questions, chosen, limit, question_column))
    lines, asked = len(found.row_hashes), list(found)
    groups = groups_of(asked, group)
    run = run_anywhere(
        asynthesize(
            questions,
            out=out,
            config=chosen,
            limit=limit,
            skip_bad=skip_bad,
            question_column=question_column,
            retry_failed=UNMEASURED if retry_failed else False,
            progress=progress,
            catch_signals=True,
        )
    )
    folder = RunFolder(run.folder)
    name = folder.run_toml.models().get("student", chosen.address_of(Role.STUDENT))
    several = chosen.samples_per_question
    with JournalReader(folder) as reader:
        scores = measure(name, _samples(reader, asked, groups, several))
        unmeasured = _unmeasured(reader, {each.id for each in asked}, lines, several)
    content = orjson.dumps(scores.as_json(), option=orjson.OPT_INDENT_2)
    write_atomically(folder.path / RESULTS, content)
    if is_url(out):
        upload(folder.path / RESULTS, RemotePath(f"{str(out).rstrip('/')}/{RESULTS}"))
    return EvalResult(scores, run, unmeasured)


async def _readable(
    questions: str | Path, config: Config, limit: int | None, column: str | None
) -> Questions:
    """The questions without those that the run refuses, or records as bad ones."""
    async with open_verifier(config) as verifier:
        return await asyncio.to_thread(
            read_verifiable,
            verifier,
            questions,
            limit=limit,
            skip_bad=True,
            column=column,
            config=config,
        )


def _config(config: Config | str | Path | None, settings: dict[str, Any]) -> Config:
    overrides = {
        name.replace("__", "."): value for name, value in settings.items() if value is not None
    }
    if not isinstance(config, Config):
        return load(Path(config) if config is not None else None, overrides)
    if overrides:
        raise ConfigError(
            "both a Config and single settings are given",
            hint="config.model_copy(update=…), or a TOML file with single settings",
        )
    if config.verify is None:
        raise ConfigError("nothing says which answers are right", hint="verify = 'auto'")
    return config


def groups_of(questions: Iterable[Question], column: str | None) -> dict[str, str]:
    """The group of each question, by its id; empty without a column.

    Raises:
        InputError: A question has no such column.
    """
    if column is None:
        return {}
    asked = list(questions)
    without = [question.id for question in asked if column not in question.extra]
    if without:
        columns = sorted({name for question in asked for name in question.extra})
        raise InputError(
            f"{len(without)} questions have no column {column!r} to group by, such as {without[0]}",
            hint=f"{meant(column, columns)}there are {', '.join(columns) or 'no other columns'}",
        )
    return {question.id: str(question.extra[column]) for question in asked}


def _unmeasured(
    reader: JournalReader, asked: set[str], lines: int, several: int
) -> Counter[Failure]:
    """Samples of these questions, and bad lines among the first ones, by why they failed."""
    found = Counter[Failure]()
    for each in reader.listed():
        if each.failure is Failure.BAD_QUESTION:
            number = bad_line_number(each.id)
            found[each.failure] += number is not None and number < lines
        elif each.failure in UNMEASURED:
            found[each.failure] += question_of(each.id, several) in asked
    return +found


def _samples(
    reader: JournalReader, questions: Iterable[Question], groups: dict[str, str], several: int
) -> Iterator[EvalSample]:
    """Samples of these questions; an earlier start with a larger limit may have written others.

    Args:
        reader: Of the run's journal.
        questions: Those that were asked.
        groups: The group of each question.
        several: How many samples each question has.
    """
    asked = {question.id for question in questions}
    for entry in reader.ended():
        question = question_of(entry.id, several)
        if question not in asked:
            continue
        record = entry.record
        stats = record["stats"]
        lost = stats["student_discarded_tokens"] if entry.failure is not None else 0
        yield EvalSample(
            question=question,
            group=groups.get(question, ""),
            outcome=outcome_in(entry),
            thinking_tokens=stats["thinking_tokens"],
            answer_tokens=stats["answer_tokens"] + lost,
        )


def outcome_in(entry: EndedSample) -> EvalOutcome:
    """How a sample ended that one model wrote; a run may leave some without a verdict.

    Raises:
        JournalError: Its verdict can't be read.
    """
    if entry.failure is not None:
        return outcome_of(entry.failure)
    if entry.record.get("verdict") is None:
        return EvalOutcome.UNMEASURED
    with reading(f"the verdict of {entry.id!r}"):
        return _OUTCOMES[VerdictOutcome(entry.record["verdict"]["outcome"])]
