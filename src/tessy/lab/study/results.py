"""What came out of a study: numbers by seed, read from its folder, and their means.

Nothing is left out: every seed and every arm of the settings is in the table, or the study is not
over and says what is missing.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tessy.errors import StudyError
from tessy.evaluation.measure import EvalOutcome
from tessy.lab.families import FAMILIES
from tessy.lab.study import plan
from tessy.lab.study.job import DONE, SETTINGS
from tessy.lab.study.plan import Compare, Job, Train, Untouched, Write
from tessy.lab.study.settings import Condition, StudySettings, load
from tessy.runs.folder import RunFolder

TARGET = next(name for name, family in FAMILIES.items() if family.target)
OTHERS = tuple(name for name, family in FAMILIES.items() if not family.target)
ANSWERED = (EvalOutcome.RIGHT.value, EvalOutcome.WRONG.value)
"""What may become of a response that comes to an answer."""

_T95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
"""Student's t for 95% intervals, by degrees of freedom; beyond, the normal's 1.96."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over seeds.

    Attributes:
        values: One for each seed.
    """

    values: tuple[float, ...]

    @property
    def value(self) -> float:
        """The mean."""
        return statistics.fmean(self.values) if self.values else math.nan

    def of(self, places: Iterable[int]) -> Mean:
        """The mean over some of the seeds, by their places."""
        return Mean(tuple(self.values[place] for place in places))

    @property
    def half(self) -> float:
        """Half the width of its 95% interval, by Student's t; nan of one seed."""
        n = len(self.values)
        if n < 2:
            return math.nan
        return _T95.get(n - 1, 1.96) * statistics.stdev(self.values) / math.sqrt(n)


def over(values: Iterable[float]) -> Mean:
    """The mean of one value a seed."""
    return Mean(tuple(values))


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How many test questions are answered rightly; shares, by seed.

    Attributes:
        families: Each family's.
        unanswered: Of the target's questions, those whose response never comes to an answer: it
            does not end, repeats itself or breaks its format.
    """

    families: Mapping[str, Mean]
    unanswered: Mean

    @property
    def target(self) -> Mean:
        """Of the target."""
        return self.families[TARGET]

    @property
    def elsewhere(self) -> Mean:
        """The mean of the other families."""
        columns = zip(*(self.families[name].values for name in OTHERS), strict=True)
        return over(statistics.fmean(column) for column in columns)


@dataclass(frozen=True, slots=True)
class Data:
    """What a method's data is like.

    Attributes:
        finished: Samples.
        failed: Failures, of all seeds, by reason.
        right: Share of the samples whose answer is right.
        teacher_share: The teacher's share of the tokens.
        tokens: Of a response.
        hand_overs: In a sample.
        discarded: Share of the generated tokens that was discarded, drafts set aside included.
        similarity: To the student's own texts on the same questions, 0 to 1 (Fig. 14).
        nll: Nats per token under the untouched student: `all`, and thinking by author.
        sample: The content of one sample, and its spans.
    """

    finished: Mean
    failed: Mapping[str, int]
    right: Mean
    teacher_share: Mean
    tokens: Mean
    hand_overs: Mean
    discarded: Mean
    similarity: Mean
    nll: Mapping[str, Mean]
    sample: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OtherTeacher:
    """Another teacher, of one condition, and the data that was written with it.

    Attributes:
        teacher: How good it is.
        data: By method.
    """

    teacher: Accuracy
    data: Mapping[str, Data]


@dataclass(frozen=True, slots=True)
class Trained:
    """What became of the student on an arm's data.

    Attributes:
        samples: That it was trained on.
        first_loss: On the first batch, before the weights change.
        losses: Of each step, a list a seed.
        curve: Accuracy after each epoch.
    """

    samples: Mean
    first_loss: Mean
    losses: Sequence[Sequence[float]]
    curve: Sequence[Accuracy]


@dataclass(frozen=True, slots=True)
class Results:
    """All of a study.

    Attributes:
        settings: How large it was.
        student: Untouched.
        teacher: Untouched.
        data: By method.
        apart: By condition, of those with a teacher of their own.
        trained: By condition and arm.
        seconds: Of all jobs together.
        clock: Seconds by the clock in which any job was at work; pauses do not count.
        machines: That did them.
    """

    settings: StudySettings
    student: Accuracy
    teacher: Accuracy
    data: Mapping[str, Data]
    apart: Mapping[str, OtherTeacher]
    trained: Mapping[str, Mapping[str, Trained]]
    seconds: float
    clock: float
    machines: Sequence[str]


def read(root: Path) -> Results:
    """Read a study that is over.

    Raises:
        StudyError: Jobs of it are missing.
        ConfigError: There is none.
    """
    settings = load(root / SETTINGS)
    done: dict[str, Any] = {}
    missing = []
    for job in plan.jobs(settings):
        path = plan.folder(root, job) / DONE
        if path.is_file():
            done[job.name] = orjson.loads(path.read_bytes())
        else:
            missing.append(job)
    if missing:
        raise StudyError(
            f"{root}: {len(missing)} jobs are missing, such as {missing[0].name}",
            hint="`tessy lab study` goes on with it",
        )
    every = list(plan.jobs(settings))
    conditions = [each for each in settings.conditions if plan.data_of(each) is not None]
    return Results(
        settings=settings,
        student=_untouched(settings.seeds, done, "student"),
        teacher=_untouched(settings.seeds, done, "teacher"),
        data=_all_data(root, every, done),
        apart={
            condition.name: OtherTeacher(
                teacher=_untouched(condition.seeds, done, "teacher", condition),
                data=_all_data(root, every, done, condition),
            )
            for condition in conditions
        },
        trained={
            condition.name: {arm: _trained(condition, done, arm) for arm in condition.arms}
            for condition in settings.conditions
        },
        seconds=sum(found["seconds"] for found in done.values()),
        clock=clock((found["began"], found["seconds"]) for found in done.values()),
        machines=sorted({found["machine"] for found in done.values()}),
    )


def of_shares(results: Results) -> Condition | None:
    """The condition whose arms have Teacher-Only's samples in various shares, if there is one."""
    conditions = results.settings.conditions
    return next((each for each in conditions if any("+" in arm for arm in each.arms)), None)


def by_share(results: Results) -> list[tuple[int, Accuracy]]:
    """How good the student is after data with more and more of Teacher-Only's samples in it.

    Returns:
        The percentage of questions whose sample is Teacher-Only's in the place of TESSY's, and the
        accuracy after the last epoch; empty if no condition has such arms.
    """
    if (condition := of_shares(results)) is None:
        return []
    found = [
        (100 if arm == plan.FOREIGN else plan.shared(arm)[1], trained.curve[-1])
        for arm, trained in results.trained[condition.name].items()
        if arm == plan.FOREIGN or plan.shared(arm)[0] == "tessy"
    ]
    return sorted(found, key=lambda each: each[0])


def clock(stretches: Iterable[tuple[float, float]]) -> float:
    """How long at least one of some stretches of time lasted.

    Args:
        stretches: When each began, and for how long it lasted; seconds.
    """
    total, end = 0.0, -math.inf
    for began, lasted in sorted(stretches):
        total += max(0.0, began + lasted - max(began, end))
        end = max(end, began + lasted)
    return total


def _untouched(
    seeds: Sequence[int], done: Mapping[str, Any], role: str, apart: Condition | None = None
) -> Accuracy:
    names = [Untouched(seed, role, apart).name for seed in seeds]
    return accuracy([done[name]["evaluation"] for name in names])


def accuracy(evaluations: Sequence[Mapping[str, Any]]) -> Accuracy:
    """Of evaluations as `evaluation.json` has them, one a seed, each with a group a family."""

    def share(found: Mapping[str, Any], family: str) -> float:
        value = found["groups"][family]["pass_at"]["1"]["value"]
        return math.nan if value is None else float(value)

    def unanswered(found: Mapping[str, Any]) -> float:
        group = found["groups"][TARGET]
        answered = sum(group["outcomes"].get(outcome, 0) for outcome in ANSWERED)
        return 1 - int(answered) / int(group["samples"])

    return Accuracy(
        {name: over(share(e, name) for e in evaluations) for name in FAMILIES},
        unanswered=over(map(unanswered, evaluations)),
    )


def _trained(condition: Condition, done: Mapping[str, Any], arm: str) -> Trained:
    found = [done[Train(seed, condition, arm).name] for seed in condition.seeds]
    return Trained(
        samples=over(each["samples"] for each in found),
        first_loss=over(each["first_loss"] for each in found),
        losses=[each["losses"] for each in found],
        curve=[
            accuracy([each["curve"][epoch]["evaluation"] for each in found])
            for epoch in range(condition.epochs)
        ],
    )


def _all_data(
    root: Path, every: Sequence[Job], done: Mapping[str, Any], apart: Condition | None = None
) -> dict[str, Data]:
    """The data of every method, with the study's teacher or that of a condition."""
    writes = [job for job in every if isinstance(job, Write) and job.apart == apart]
    compares = [job for job in every if isinstance(job, Compare) and job.apart == apart]
    return {
        method: _data(
            root,
            [job for job in writes if job.method == method],
            [done[job.name]["methods"][method] for job in compares if method in job.methods],
        )
        for method in dict.fromkeys(job.method for job in writes)
    }


def _data(root: Path, jobs: Sequence[Write], compared: Sequence[Mapping[str, Any]]) -> Data:
    runs = [RunFolder(plan.folder(root, job) / "run") for job in jobs]
    records = [[orjson.loads(line) for line in run.dataset.open("rb")] for run in runs]
    failed: dict[str, int] = {}
    for run in runs:
        for line in run.failures.open("rb"):
            reason = orjson.loads(line)["reason"]
            failed[reason] = failed.get(reason, 0) + 1

    def each(of_seed: Callable[[list[dict[str, Any]]], float]) -> Mean:
        return over(of_seed(rows) if rows else math.nan for rows in records)

    return Data(
        finished=over(len(rows) for rows in records),
        failed=failed,
        right=each(lambda rows: _mean(row["verdict"]["outcome"] == "right" for row in rows)),
        teacher_share=each(
            lambda rows: _ratio(rows, ("teacher_tokens",), ("student_tokens", "teacher_tokens"))
        ),
        tokens=each(
            lambda rows: _mean(
                row["stats"]["student_tokens"] + row["stats"]["teacher_tokens"] for row in rows
            )
        ),
        hand_overs=each(lambda rows: _mean(row["stats"]["hand_overs"] for row in rows)),
        discarded=each(lambda rows: _ratio(rows, _DISCARDED, (*_DISCARDED, *_KEPT))),
        similarity=over(_number(found["similarity"]) for found in compared),
        nll={
            author: over(_number(found["nll"].get(author)) for found in compared)
            for author in ("all", "student", "teacher")
        },
        sample=records[0][0] if records[0] else {},
    )


_DISCARDED = ("student_discarded_tokens", "teacher_discarded_tokens")
_KEPT = ("student_tokens", "teacher_tokens")


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _mean(values: Iterable[float]) -> float:
    return statistics.fmean(map(float, values))


def _ratio(rows: Sequence[dict[str, Any]], part: Sequence[str], whole: Sequence[str]) -> float:
    def total(names: Sequence[str]) -> int:
        return sum(row["stats"][name] for row in rows for name in names)

    return total(part) / total(whole) if total(whole) else math.nan
