"""Which jobs a study is made of, and where each lies. Pure."""

from __future__ import annotations

from collections.abc import Iterator
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
    """

    seed: int
    role: str

    @property
    def name(self) -> str:
        """Its folder."""
        return f"seed-{self.seed}/untouched/{self.role}"

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
    """

    seed: int
    method: str

    @property
    def name(self) -> str:
        """Its folder."""
        return f"seed-{self.seed}/data/{self.method}"

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

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the jobs that come before."""
        return tuple(Write(self.seed, method).name for method in methods_of(self.arm))


@dataclass(frozen=True, slots=True)
class Compare:
    """Hold what the methods wrote against what the student writes by itself.

    Attributes:
        seed: Whose data.
        methods: That wrote it.
    """

    seed: int
    methods: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its folder."""
        return f"seed-{self.seed}/compared"

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the jobs that come before."""
        return tuple(Write(self.seed, method).name for method in self.methods)


Job = Untouched | Write | Train | Compare


def jobs(settings: StudySettings) -> Iterator[Job]:
    """Every job, each behind those that it needs: condition by condition, seed by seed.

    So a study that is stopped early has the main condition of as many seeds as there was time for.

    Raises:
        ConfigError: An arm means nothing.
    """
    measured: set[int] = set()
    written: dict[int, list[str]] = {seed: [] for seed in settings.seeds}
    for condition in settings.conditions:
        for seed in condition.seeds:
            if seed not in measured:
                measured.add(seed)
                yield Untouched(seed, "student")
                yield Untouched(seed, "teacher")
            for arm in condition.arms:
                for method in methods_of(arm):
                    if method not in written[seed]:
                        written[seed].append(method)
                        yield Write(seed, method)
                yield Train(seed, condition, arm)
    for seed, methods in written.items():
        yield Compare(seed, tuple(methods))


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
