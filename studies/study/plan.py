"""The jobs of a study, and the folder of each. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from studies.study.settings import ALONE, FOREIGN, Condition, StudySettings, split_arm
from tessy.errors import TessyError

SETTINGS = "study.toml"
"""The study's settings, in its folder."""
DONE = "job.json"
"""The results of a job, in its folder; written last, so a job that has it is done."""


class StudyError(TessyError):
    """A job of a study failed, or is missing."""


@dataclass(frozen=True, slots=True)
class StudyTeacher:
    """A teacher, and where the data is that it has a part in.

    Attributes:
        model: Its address.
        condition: The condition whose own teacher it is; empty for the study's.
    """

    model: str
    condition: str = ""

    def home(self, seed: int) -> str:
        """The folder of its data."""
        return f"seed-{seed}/{self.condition}" if self.condition else f"seed-{seed}"


@dataclass(frozen=True, slots=True)
class StudyJob:
    """One job: an `Untouched`, `Write`, `Train` or `Compare`.

    Attributes:
        seed: Of the questions, the tests, and all that is random.
    """

    seed: int

    @property
    def name(self) -> str:
        """Its folder, relative to the study's."""
        raise NotImplementedError

    @property
    def needs(self) -> tuple[StudyJob, ...]:
        """The jobs that come before."""
        return ()


@dataclass(frozen=True, slots=True)
class Untouched(StudyJob):
    """Measure a model as it is.

    Attributes:
        teacher: Which teacher; None for the student.
    """

    teacher: StudyTeacher | None = None

    @property
    def name(self) -> str:
        """See `StudyJob.name`."""
        if self.teacher is None:
            return f"seed-{self.seed}/untouched/student"
        return f"{self.teacher.home(self.seed)}/untouched/teacher"


@dataclass(frozen=True, slots=True)
class Write(StudyJob):
    """Write data with a method.

    Attributes:
        method: One of `METHODS`.
        teacher: Which one takes part.
    """

    method: str
    teacher: StudyTeacher

    @property
    def name(self) -> str:
        """See `StudyJob.name`."""
        return f"{self.teacher.home(self.seed)}/data/{self.method}"


@dataclass(frozen=True, slots=True)
class Train(StudyJob):
    """Train the student on data, and measure each epoch.

    Attributes:
        condition: How.
        arm: On whose data.
        teacher: The teacher of that data.
    """

    condition: Condition
    arm: str
    teacher: StudyTeacher

    @property
    def name(self) -> str:
        """See `StudyJob.name`."""
        return f"seed-{self.seed}/{self.condition.name}/{self.arm}"

    @property
    def needs(self) -> tuple[Write, ...]:
        """The jobs that write its data: the method's, then Teacher-Only's if it has a share."""
        method, percent = split_arm(self.arm)
        methods = (method, FOREIGN) if percent else (method,)
        return tuple(Write(self.seed, method, self.teacher) for method in methods)


@dataclass(frozen=True, slots=True)
class Compare(StudyJob):
    """Compare what the methods wrote with what the student writes by itself.

    Attributes:
        teacher: The teacher of the data.
        writes: The jobs that write it.
    """

    teacher: StudyTeacher
    writes: tuple[Write, ...]

    @property
    def name(self) -> str:
        """See `StudyJob.name`."""
        return f"{self.teacher.home(self.seed)}/compared"

    @property
    def needs(self) -> tuple[Write, ...]:
        """The jobs that write the data."""
        return self.writes


def teacher_of(settings: StudySettings, condition: Condition) -> StudyTeacher:
    """The teacher of a condition: its own if it has one, else the study's."""
    if condition.teacher is None:
        return StudyTeacher(settings.teacher)
    return StudyTeacher(condition.teacher, condition.name)


def jobs(settings: StudySettings) -> list[StudyJob]:
    """Every job once, after those that it needs: condition by condition, seed by seed.

    So a study that is stopped early has the main condition of as many seeds as there was time for.
    """
    planned: dict[StudyJob, None] = {}
    for condition in settings.conditions:
        teacher = teacher_of(settings, condition)
        for seed in condition.seeds:
            planned |= dict.fromkeys([Untouched(seed), Untouched(seed, teacher)])
            for arm in condition.arms:
                train = Train(seed, condition, arm, teacher)
                planned |= dict.fromkeys([*train.needs, train])
    writes = [job for job in planned if isinstance(job, Write)]
    return [*planned, *_compares(settings, writes)]


def _compares(settings: StudySettings, writes: list[Write]) -> list[Compare]:
    """What the student writes by itself is the same for any teacher, and compared with each.

    Where it is not written, only the likelihood of the study's own data can be measured.
    """
    usual = teacher_of(settings, settings.main)
    found = []
    for teacher in dict.fromkeys(write.teacher for write in writes):
        for seed in settings.main.seeds:
            own = [write for write in writes if (write.seed, write.teacher) == (seed, teacher)]
            alone = Write(seed, ALONE, usual)
            if own and teacher == usual:
                found.append(Compare(seed, teacher, tuple(own)))
            elif own and alone in writes:
                found.append(Compare(seed, teacher, (alone, *own)))
    return found


def extends(larger: StudySettings, smaller: StudySettings) -> bool:
    """Whether one study is the other with conditions added, and all that was done still counts."""
    return (
        smaller.model_copy(update={"conditions": larger.conditions}) == larger
        and larger.main == smaller.main
        and larger.questions == smaller.questions
        and set(jobs(smaller)) <= set(jobs(larger))
    )


def is_foreign(position: int, percent: int) -> bool:
    """Whether the sample at a position is Teacher-Only's: a percentage of them, evenly spread."""
    return (position + 1) * percent // 100 > position * percent // 100


def is_done(root: Path, job: StudyJob) -> bool:
    """Whether a job of the study in a folder is done."""
    return (root / job.name / DONE).is_file()
