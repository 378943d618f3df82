"""The results of a study: numbers by seed, read from its jobs, and their means.

Nothing is left out: every seed and every arm of the settings is in the results. A study that is not
finished is refused.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from scipy.special import stdtrit

from studies.lab.families import FAMILIES, OTHERS, TARGET
from studies.study import plan
from studies.study.plan import (
    DONE,
    SETTINGS,
    Compare,
    StudyError,
    StudyTeacher,
    Train,
    Untouched,
    Write,
)
from studies.study.settings import FOREIGN, Condition, StudySettings, load, split_arm


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

    @property
    def half(self) -> float:
        """Half the width of its 95% interval, by Student's t; nan for one seed."""
        n = len(self.values)
        if n < 2:
            return math.nan
        return float(stdtrit(n - 1, 0.975)) * statistics.stdev(self.values) / math.sqrt(n)

    def of(self, places: Iterable[int]) -> Mean:
        """The mean over some of the seeds, by their places."""
        return Mean(tuple(self.values[place] for place in places))

    def __sub__(self, other: Mean) -> Mean:
        """The difference, seed by seed."""
        return over(a - b for a, b in zip(self.values, other.values, strict=True))


def over(values: Iterable[float | None]) -> Mean:
    """The mean of one value per seed; None is not a number."""
    return Mean(tuple(math.nan if value is None else float(value) for value in values))


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How many test questions are answered right; shares, by seed.

    Attributes:
        families: Of each family.
        unanswered: Of the target's questions, those whose response never comes to an answer: it
            does not end, repeats itself, or breaks its format.
    """

    families: Mapping[str, Mean]
    unanswered: Mean

    @property
    def target(self) -> Mean:
        """Of the target."""
        return self.families[TARGET]

    @property
    def elsewhere(self) -> Mean:
        """The mean of the other families, each counted once."""
        columns = zip(*(self.families[name].values for name in OTHERS), strict=True)
        return over(statistics.fmean(column) for column in columns)


@dataclass(frozen=True, slots=True)
class MethodData:
    """What a method's data is like.

    Attributes:
        finished: Samples.
        failed: Failures by reason, of all seeds.
        right: Share of the samples whose answer is right.
        teacher_share: The teacher's share of the tokens.
        tokens: Of a response.
        hand_overs: In a sample.
        discarded: Share of the generated tokens that was discarded, with rejected drafts.
        similarity: To the student's own texts on the same questions, 0 to 1 (Fig. 14).
        nll: Nats per token under the untouched student: `all`, and thinking by author.
        sample: The first record of the first seed, if there is one.
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
    sample: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class OtherTeacher:
    """The teacher of one condition, and the data that was written with it.

    Attributes:
        teacher: How good it is.
        data: By method.
    """

    teacher: Accuracy
    data: Mapping[str, MethodData]


@dataclass(frozen=True, slots=True)
class TrainedStudent:
    """The student after training on an arm's data.

    Attributes:
        samples: That it was trained on.
        first_loss: On the first batch, before the weights change.
        losses: Of each step, a list per seed.
        curve: Accuracy after each epoch.
    """

    samples: Mean
    first_loss: Mean
    losses: Sequence[Sequence[float]]
    curve: Sequence[Accuracy]

    @property
    def last(self) -> Accuracy:
        """Accuracy after the last epoch."""
        return self.curve[-1]


@dataclass(frozen=True, slots=True)
class Results:
    """All of a study.

    Attributes:
        settings: How large it was.
        student: Untouched.
        teacher: Untouched.
        data: By method.
        others: Of each condition with its own teacher.
        trained: By condition and arm.
        seconds: In which any job was running; pauses do not count.
        machines: That did them.
    """

    settings: StudySettings
    student: Accuracy
    teacher: Accuracy
    data: Mapping[str, MethodData]
    others: Mapping[str, OtherTeacher]
    trained: Mapping[str, Mapping[str, TrainedStudent]]
    seconds: float
    machines: Sequence[str]

    @property
    def main(self) -> Mapping[str, TrainedStudent]:
        """Of the main condition, by arm."""
        return self.trained[self.settings.main.name]

    @property
    def shares(self) -> Condition | None:
        """The condition whose arms have Teacher-Only's samples in various shares, if any."""
        conditions = self.settings.conditions
        return next((each for each in conditions if any("+" in arm for arm in each.arms)), None)

    def by_share(self) -> list[tuple[int, Accuracy]]:
        """How good the student is after data with more and more of Teacher-Only's samples in it.

        Returns:
            The percentage of questions whose sample is Teacher-Only's instead of TESSY's, and the
            accuracy after the last epoch; empty without a condition with such arms.
        """
        if self.shares is None:
            return []
        found = {}
        for arm, trained in self.trained[self.shares.name].items():
            method, percent = split_arm(arm)
            if arm == FOREIGN:
                found[100] = trained.last
            elif method == "tessy":
                found[percent] = trained.last
        return sorted(found.items())


def read(root: Path) -> Results:
    """Read a finished study.

    Raises:
        StudyError: Jobs of it are missing.
        ConfigError: There is none.
    """
    settings = load(root / SETTINGS)
    planned = plan.jobs(settings)
    if missing := [job for job in planned if not plan.is_done(root, job)]:
        raise StudyError(
            f"{root}: {len(missing)} jobs are missing, such as {missing[0].name}",
            hint="the same command resumes the study",
        )
    done = {job.name: orjson.loads((root / job.name / DONE).read_bytes()) for job in planned}

    def data(teacher: StudyTeacher) -> dict[str, MethodData]:
        writes = [job for job in planned if isinstance(job, Write) and job.teacher == teacher]
        compares = [job for job in planned if isinstance(job, Compare) and job.teacher == teacher]
        return {
            method: _data(
                [done[job.name] for job in writes if job.method == method],
                [each[method] for job in compares if method in (each := done[job.name]["methods"])],
            )
            for method in dict.fromkeys(job.method for job in writes)
        }

    def taught_by(teacher: StudyTeacher, seeds: Iterable[int]) -> Accuracy:
        return accuracy(done[Untouched(seed, teacher).name] for seed in seeds)

    main = settings.main
    usual = plan.teacher_of(settings, main)
    others = {}
    trained = {}
    for condition in settings.conditions:
        teacher = plan.teacher_of(settings, condition)
        if teacher != usual:
            others[condition.name] = OtherTeacher(
                taught_by(teacher, condition.seeds), data(teacher)
            )
        trained[condition.name] = {
            arm: _trained(
                [done[Train(seed, condition, arm, teacher).name] for seed in condition.seeds]
            )
            for arm in condition.arms
        }
    return Results(
        settings=settings,
        student=accuracy(done[Untouched(seed).name] for seed in main.seeds),
        teacher=taught_by(usual, main.seeds),
        data=data(usual),
        others=others,
        trained=trained,
        seconds=clock((found["began"], found["seconds"]) for found in done.values()),
        machines=sorted({found["machine"] for found in done.values()}),
    )


def accuracy(found: Iterable[Mapping[str, Any]]) -> Accuracy:
    """From `jobs.scores`, one per seed."""
    seeds = list(found)
    return Accuracy(
        {name: over(seed["right"][name] for seed in seeds) for name in FAMILIES},
        unanswered=over(seed["unanswered"] for seed in seeds),
    )


def clock(stretches: Iterable[tuple[float, float]]) -> float:
    """How long at least one of some stretches of time lasted.

    Args:
        stretches: When each began, and how long it lasted; seconds.
    """
    total, end = 0.0, -math.inf
    for began, lasted in sorted(stretches):
        total += max(0.0, began + lasted - max(began, end))
        end = max(end, began + lasted)
    return total


def _data(written: list[dict[str, Any]], compared: list[dict[str, Any]]) -> MethodData:
    def mean(name: str) -> Mean:
        return over(seed.get(name) for seed in written)

    return MethodData(
        finished=mean("finished"),
        failed=sum((Counter(seed["failed"]) for seed in written), Counter()),
        right=mean("right"),
        teacher_share=mean("teacher_share"),
        tokens=mean("tokens"),
        hand_overs=mean("hand_overs"),
        discarded=mean("discarded"),
        similarity=over(seed["similarity"] for seed in compared),
        nll={
            author: over(seed["nll"].get(author) for seed in compared)
            for author in ("all", "student", "teacher")
        },
        sample=written[0]["sample"],
    )


def _trained(found: list[dict[str, Any]]) -> TrainedStudent:
    return TrainedStudent(
        samples=over(seed["samples"] for seed in found),
        first_loss=over(seed["first_loss"] for seed in found),
        losses=[seed["losses"] for seed in found],
        curve=[accuracy(epochs) for epochs in zip(*(seed["curve"] for seed in found), strict=True)],
    )
