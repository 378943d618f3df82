"""Which jobs a study is made of, and where each lies. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tessy.errors import ConfigError
from tessy.lab.study.settings import METHODS, Condition, StudySettings

ALONE = "student-only"
"""How the student writes by itself."""
FOREIGN = "teacher-only"
"""Whose samples take the place of TESSY's in an arm such as `tessy+25`."""


@dataclass(frozen=True, slots=True)
class Untouched:
    """Measure a model as it is, on the tests of a seed.

    Attributes:
        seed: Whose tests.
        role: `student` or `teacher`.
        apart: The condition whose own teacher it is; None for the study's models.
    """

    seed: int
    role: str
    apart: Condition | None = None

    @property
    def name(self) -> str:
        """Its folder."""
        return f"{_home(self.seed, self.apart)}/untouched/{self.role}"

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the jobs that come before."""
        return ()


@dataclass(frozen=True, slots=True)
class Write:
    """Have a method write data.

    Attributes:
        seed: Of questions and synthesis.
        method: One of `METHODS`.
        apart: The condition whose own teacher takes part; None for the study's.
    """

    seed: int
    method: str
    apart: Condition | None = None

    @property
    def name(self) -> str:
        """Its folder."""
        return f"{_home(self.seed, self.apart)}/data/{self.method}"

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the jobs that come before."""
        return ()


@dataclass(frozen=True, slots=True)
class Train:
    """Train the student on data, and measure each epoch.

    Attributes:
        seed: Of questions, tests and the order of training.
        condition: How.
        arm: On whose data.
    """

    seed: int
    condition: Condition
    arm: str

    @property
    def name(self) -> str:
        """Its folder."""
        return f"seed-{self.seed}/{self.condition.name}/{self.arm}"

    def data(self, method: str) -> Write:
        """The job that writes a method's data for it."""
        return Write(self.seed, method, data_of(self.condition))

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the jobs that come before."""
        return tuple(self.data(method).name for method in methods_of(self.arm))


@dataclass(frozen=True, slots=True)
class Compare:
    """Hold what the methods wrote against what the student writes by itself.

    Attributes:
        seed: Whose data.
        methods: That wrote it.
        apart: The condition with whose own teacher they did; None for the study's.
    """

    seed: int
    methods: tuple[str, ...]
    apart: Condition | None = None

    @property
    def name(self) -> str:
        """Its folder."""
        return f"{_home(self.seed, self.apart)}/compared"

    @property
    def writes(self) -> tuple[Write, ...]:
        """The jobs that wrote it. What the student writes by itself is the same for any teacher."""
        written = tuple(Write(self.seed, method, self.apart) for method in self.methods)
        return written if self.apart is None else (Write(self.seed, ALONE), *written)

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the jobs that come before."""
        return tuple(job.name for job in self.writes)


Job = Untouched | Write | Train | Compare


def jobs(settings: StudySettings) -> Iterator[Job]:
    """Every job, each behind those that it needs: condition by condition, seed by seed.

    So a study that is stopped early has the main condition of as many seeds as there was time for.

    Raises:
        ConfigError: An arm means nothing.
    """
    measured: set[int] = set()
    written: dict[int, list[Write]] = {seed: [] for seed in settings.seeds}
    for condition in settings.conditions:
        own = data_of(condition)
        for seed in condition.seeds:
            if seed not in measured:
                measured.add(seed)
                yield Untouched(seed, "student")
                yield Untouched(seed, "teacher")
            if own is not None:
                yield Untouched(seed, "teacher", own)
            for arm in condition.arms:
                train = Train(seed, condition, arm)
                for method in methods_of(arm):
                    write = train.data(method)
                    if write not in written[seed]:
                        written[seed].append(write)
                        yield write
                yield train
    for seed, writes in written.items():
        yield Compare(seed, tuple(job.method for job in writes if job.apart is None))
    for condition in settings.conditions:
        if data_of(condition) is not None:
            yield from _compared_apart(condition, written)


def _compared_apart(condition: Condition, written: Mapping[int, list[Write]]) -> Iterator[Compare]:
    """What a condition's own teacher wrote; if it is known what the student writes by itself."""
    for seed in condition.seeds:
        if Write(seed, ALONE) in written[seed]:
            methods = tuple(job.method for job in written[seed] if job.apart == condition)
            yield Compare(seed, methods, condition)


def data_of(condition: Condition) -> Condition | None:
    """Where a condition's data is: with itself if it has a teacher of its own, else the study's."""
    return condition if condition.teacher is not None else None


def _home(seed: int, apart: Condition | None) -> str:
    return f"seed-{seed}" if apart is None else f"seed-{seed}/{apart.name}"


def extends(larger: StudySettings, smaller: StudySettings) -> bool:
    """Whether a study is another one with conditions added, and all that was done still stands."""
    fields = {"conditions": larger.conditions}
    return (
        smaller.model_copy(update=fields) == larger
        and larger.conditions[:1] == smaller.conditions[:1]
        and larger.questions == smaller.questions
        and set(jobs(smaller)) <= set(jobs(larger))
    )


def methods_of(arm: str) -> tuple[str, ...]:
    """The methods whose data an arm is trained on.

    Raises:
        ConfigError: The arm means nothing.
    """
    method, share = shared(arm)
    return (method, FOREIGN) if share else (method,)


def shared(arm: str) -> tuple[str, int]:
    """An arm's method, and the percentage of questions that are Teacher-Only's instead.

    Raises:
        ConfigError: The arm means nothing.
    """
    method, plus, percent = arm.partition("+")
    if method not in METHODS or (plus and not (percent.isdecimal() and 0 < int(percent) < 100)):
        raise ConfigError(
            f"{arm!r} is no arm of a study", hint=f"one of {', '.join(METHODS)}, or tessy+25"
        )
    return method, int(percent or 0)


def is_foreign(position: int, percent: int) -> bool:
    """Whether the sample at a place is Teacher-Only's: so many of a hundred, evenly spread."""
    return (position + 1) * percent // 100 > position * percent // 100


def folder(root: Path, job: Job) -> Path:
    """Where a job lies."""
    return root / job.name
