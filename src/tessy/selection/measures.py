"""What was measured of each question: rates of right answers, or the scores of a judge.

They are read from the journals of a run, sample by sample. So a run that is under way or was
stopped can be used: a question counts as measured when all of its samples have ended, since short
responses end first, and are right more often. A question whose text has changed since is not
measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from tessy.config import STUDENT_ONLY
from tessy.data.fetched import local_file
from tessy.data.remote import is_url, shown_url
from tessy.display import count_of
from tessy.errors import ConfigError, DataError
from tessy.evaluation.evaluate import RESULTS, outcome_in
from tessy.evaluation.measure import EvalOutcome
from tessy.method.trajectory import Failure
from tessy.runs.folder import RunFolder
from tessy.runs.identity import read_settings
from tessy.runs.missing import no_run
from tessy.runs.plan import question_of
from tessy.runs.reader import JournalReader
from tessy.runs.records import run_in
from tessy.runs.shard_reader import EndedSample
from tessy.selection.asked import AskedQuestions, text_hash
from tessy.selection.conditions import NAME
from tessy.selection.settings import JUDGE
from tessy.synthesis.methods.judge import rating_in
from tessy.synthesis.methods.prompts import HIGHEST
from tessy.verifiers.responses import answer_of

_EVALUATE = "tessy eval QUESTIONS --model MODEL --out RUN measures a model"


class Missing(IntEnum):
    """Why a question is not measured."""

    MEASURED = 0
    """It is."""
    NOT_THERE = 1
    """The run does not have it."""
    CHANGED = 2
    """The run has another question with its id."""
    NOT_ENDED = 3
    """Not all of its samples have ended."""
    FAILED = 4
    """No sample says anything: calls failed, the judge gave no score, or there is no reference."""


_OF_ONE_MODEL = (STUDENT_ONLY, "teacher-only")
"""Methods by which one model writes all of an answer."""
_WHY = {
    Missing.NOT_THERE: "not in {run}, or bad there",
    Missing.CHANGED: "another text than was measured in {run}",
    Missing.NOT_ENDED: "not all samples in {run} have ended",
    Missing.FAILED: "no result in {run}: calls failed, or there is no score or reference",
}


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """What was measured of each question; arrays have an item for each row.

    Attributes:
        name: What it is called in conditions.
        run: What it was read from.
        model: The name of the model.
        most: The largest number that there can be: 1 for rates, 10 for scores.
        values: Rate or mean score; nan where it is not measured.
        samples: Samples that it is measured by.
        missing: A `Missing`.
    """

    name: str
    run: str
    model: str
    most: float
    values: NDArray[np.float64]
    samples: NDArray[np.int32]
    missing: NDArray[np.uint8]

    def summary(self, good: NDArray[np.bool_]) -> str:
        """How many questions were measured, and why others were not.

        Args:
            good: Whether a row is a question.
        """
        counts = np.bincount(self.missing[good], minlength=len(Missing))
        said = f"{self.name}: {counts[0]:,} of {counts.sum():,} questions are measured"
        if self.model:
            said += f", of {self.model}"
        return "; ".join([said, *_causes(counts, self.run)])

    def told(self, row: int) -> str:
        """What was measured of a question, or why nothing was."""
        missing = Missing(int(self.missing[row]))
        if missing is not Missing.MEASURED:
            return f"{self.name}: {_WHY[missing].format(run=self.run)}"
        value, samples = float(self.values[row]), int(self.samples[row])
        if self.most != 1:
            return f"{self.name} {value:g}"
        return f"{self.name} {value:g} ({round(value * samples)} of {samples} right)"


def _causes(counts: NDArray[np.int64], run: str) -> list[str]:
    """Why questions are not measured, with how many."""
    return [
        f"{count_of(int(counts[why]), 'question')}: {text.format(run=run)}"
        for why, text in _WHY.items()
        if counts[why]
    ]


def named_runs(given: tuple[str, ...]) -> dict[str, str]:
    """The names and runs of `NAME=RUN`.

    Raises:
        ConfigError: One has no name, or a name is there twice.
    """
    found: dict[str, str] = {}
    for each in given:
        name, sign, run = each.partition("=")
        if not sign or not run or not NAME.fullmatch(name):
            raise ConfigError(
                f"--by {each!r} is not NAME=RUN", hint="--by student=runs/eval-student"
            )
        if name in found:
            raise ConfigError(
                f"--by {name}= is given twice: {found[name]} and {run}",
                hint="each needs a name of its own",
            )
        found[name] = run
    return found


def measured(name: str, run: str, asked: AskedQuestions) -> Measures:
    """Read what a run measured.

    Args:
        name: What it is called in conditions.
        run: A run's folder or its URL, or an `evaluation.json`.
        asked: The questions.

    Raises:
        ConfigError: It is no evaluation, and no run of a judge.
        DataError: There is no such file, or it does not have any of the questions.
        JournalError: A journal can't be read.
    """
    shown = shown_url(run)
    if run.endswith(".json"):
        table = _Sums(name, shown, asked)
        model = _add_results(table, run)
    else:
        folder = _folder(run, shown)
        settings = read_settings(folder.settings)
        table = _Sums(name, shown, asked, is_judge=settings.get("method") == JUDGE)
        _refuse_unverified(settings, shown, is_judge=table.is_judge)
        several = settings.get("samples_per_question", 1)
        table.samples_per_question = several if isinstance(several, int) else 1
        with JournalReader(folder) as reader:
            for entry in reader.ended():
                table.add(entry)
        model = next(iter(folder.run_toml.models().values()), "")
    return table.measures(model)


def _folder(run: str, shown: str) -> RunFolder:
    """The folder of a run.

    Raises:
        DataError: There is none.
    """
    if (found := run_in(run)) is not None:
        return found
    what, hint = (f"{shown} is no run", None) if is_url(run) else no_run(Path(run))
    name_one = f"name the folder of a run, or its {RESULTS}; {_EVALUATE}"
    raise DataError(f"--by: {what}", hint=hint or name_one)


def _refuse_unverified(settings: dict[str, Any], shown: str, *, is_judge: bool) -> None:
    """Refuse runs that don't say how many answers of a model are right.

    Raises:
        ConfigError: It is such a run.
    """
    if is_judge:
        return
    if not settings.get("verify"):
        raise ConfigError(f"{shown}: no answer of this run was verified", hint=_EVALUATE)
    if (method := settings.get("method", STUDENT_ONLY)) not in _OF_ONE_MODEL:
        raise ConfigError(
            f"{shown} was written with the method {method}, by two models: its rates are not those "
            "of one",
            hint=_EVALUATE,
        )
    if settings.get("attempts", 1) != 1:
        raise ConfigError(
            f"{shown} was written with attempts = {settings['attempts']}: its rates are not those "
            "of single answers",
            hint=_EVALUATE,
        )


@dataclass(slots=True, eq=False)
class _Sums:
    """Sums up samples by question.

    Attributes:
        name: What it is called in conditions.
        run: What is read.
        asked: The questions.
        is_judge: The samples are ratings of a judge.
        samples_per_question: Samples that a question has when all have ended.
        others: Samples of questions that were not asked.
    """

    name: str
    run: str
    asked: AskedQuestions
    is_judge: bool = False
    samples_per_question: int = 1
    others: int = 0
    _sums: NDArray[np.float64] = field(init=False)
    _samples: NDArray[np.int32] = field(init=False)
    _ended: NDArray[np.int32] = field(init=False)
    _changed: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        rows = len(self.asked.good)
        self._sums, self._changed = np.zeros(rows), np.zeros(rows, bool)
        self._samples, self._ended = np.zeros(rows, np.int32), np.zeros(rows, np.int32)

    def add(self, entry: EndedSample) -> None:
        """Add a sample."""
        if entry.failure is Failure.BAD_QUESTION:
            return
        row = self.asked.find(question_of(entry.id, self.samples_per_question))
        if row is None:
            self.others += 1
            return
        messages = entry.record["messages"]
        asked = messages if entry.failure is not None else messages[:-1]
        if self.asked.texts[row] != text_hash(asked):
            self._changed[row] = True
            return
        self._ended[row] += 1
        if (value := self._value(entry)) is not None:
            self._sums[row] += value
            self._samples[row] += 1

    def add_counts(self, question_id: str, right: int, samples: int) -> None:
        """Add how many samples of a question are right, of those that were measured."""
        row = self.asked.find(question_id)
        if row is None:
            self.others += 1
            return
        self._sums[row], self._samples[row], self._ended[row] = right, samples, 1

    def _value(self, entry: EndedSample) -> float | None:
        """The judge's score, or whether the answer is right; None if that is not known."""
        if not self.is_judge:
            outcome = outcome_in(entry)
            return (
                None if outcome is EvalOutcome.UNMEASURED else float(outcome is EvalOutcome.RIGHT)
            )
        if entry.failure is not None:
            return None
        return rating_in(answer_of(entry.record["messages"][-1]["content"], entry.record["spans"]))

    def measures(self, model: str) -> Measures:
        """What was measured.

        Raises:
            DataError: None of the questions was measured.
        """
        missing = np.full(len(self._ended), Missing.MEASURED, np.uint8)
        missing[self._samples == 0] = Missing.FAILED
        missing[self._ended < self.samples_per_question] = Missing.NOT_ENDED
        missing[self._ended == 0] = Missing.NOT_THERE
        missing[self._changed] = Missing.CHANGED
        is_measured = missing == Missing.MEASURED
        if not is_measured.any():
            raise self._nothing(missing)
        values = np.full(len(missing), np.nan)
        np.divide(self._sums, self._samples, out=values, where=is_measured)
        return Measures(
            self.name,
            self.run,
            model,
            HIGHEST if self.is_judge else 1.0,
            values,
            np.where(is_measured, self._samples, 0).astype(np.int32),
            missing,
        )

    def _nothing(self, missing: NDArray[np.uint8]) -> DataError:
        said = _causes(np.bincount(missing[self.asked.good], minlength=len(Missing)), self.run)
        if self.others:
            said.append(f"it has {count_of(self.others, 'sample')} of other questions")
        hint = "name the run that evaluated these questions; those without an `id` are told apart "
        hint += "by their row, so they must be in the same order"
        if (missing == Missing.FAILED).any():
            hint = "its failures.jsonl says why; --retry-failed asks again"
        return DataError(
            f"{self.name}: {self.run} has measured none of the questions\n  " + "\n  ".join(said),
            hint=hint,
        )


def _add_results(table: _Sums, path: str) -> str:
    """Add the counts of an `evaluation.json`; returns the name of the model.

    Raises:
        DataError: It is none.
    """
    try:
        tree = orjson.loads(Path(local_file(path)).read_bytes())
    except FileNotFoundError:
        raise DataError(f"--by: {table.run}: no such file", hint=_EVALUATE) from None
    except (OSError, orjson.JSONDecodeError) as error:
        raise DataError(f"--by: {table.run} can't be read: {error}") from None
    counts = list(_counts(tree, table.run))
    # The file does not say how many samples a question has; where some have more, others have not
    # ended, and what ends first is the short ones.
    every = max((samples for *_, samples in counts), default=0)
    for question_id, right, samples in counts:
        if samples == every:
            table.add_counts(question_id, right, samples)
    return str(tree["model"])


def _counts(tree: Any, shown: str) -> Iterator[tuple[str, int, int]]:
    """Id, right samples and samples of each question.

    Raises:
        DataError: It is no `evaluation.json`.
    """
    found = tree.get("right") if isinstance(tree, dict) and "model" in tree else None
    if not isinstance(found, dict):
        raise DataError(
            f"--by: {shown} is no {RESULTS} of tessy: it has no `model` and `right`", hint=_EVALUATE
        )
    for question_id, counts in found.items():
        match counts:
            case [int(right), int(samples)] if 0 <= right <= samples and samples > 0:
                yield question_id, right, samples
            case _:
                raise DataError(f"--by: {shown}: right.{question_id} is {counts!r:.80}")
