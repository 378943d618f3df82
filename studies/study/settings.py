"""How large the study is, and under which conditions the student is trained."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator, model_validator

from tessy import lab
from tessy.models.address import parse_all
from tessy.settings.definitions import StrictSettings
from tessy.settings.loading import load_settings

ALONE = "student-only"
"""How the student writes by itself."""
FOREIGN = "teacher-only"
"""Whose samples replace TESSY's in an arm such as `tessy+25`."""
METHODS = (
    "tessy",
    "tessy-teacher-answers",
    ALONE,
    FOREIGN,
    "teacher-mix",
    "teacher-think",
    "teacher-answer",
    "teacher-score",
    "teacher-reference",
)
"""Arms of the study: the methods of Table 1, and the ablation of Fig. 9."""
FEWER = ("tessy-min-2", "tessy-min-3", "tessy-shared", "rewrite", "rewrite-min-2")
"""Arms with fewer hand-overs: style spans of at least so many words, or single words that both
voices say, and our own method."""
SHARED_WORDS = ("so", "then", "now")
"""What `tessy predictor shared` prints of `tessy-min-2`'s data (docs/handover.md)."""
WITHOUT_TEACHER = (ALONE, "teacher-score")
"""Arms in which no teacher takes part: the study's verifier scores the candidates."""
RESERVED = ("data", "untouched", "compared")
"""Folders of a seed that belong to no condition."""
SCORED = 200
"""Questions of a seed on which likelihood is measured, at most."""
STUDENT = lab.folder("student")
"""The model that is trained, and writes style: `lab:student`."""


def split_arm(arm: str) -> tuple[str, int]:
    """An arm's method, and the percentage of questions whose sample is Teacher-Only's instead.

    Raises:
        ValueError: There is no such arm.
    """
    method, plus, percent = arm.partition("+")
    if method not in (*METHODS, *FEWER) or (
        plus and not (percent.isdecimal() and 0 < int(percent) < 100)
    ):
        raise ValueError(
            f"{arm!r} is no arm of a study: {', '.join((*METHODS, *FEWER))}, or tessy+25"
        )
    return method, int(percent or 0)


class Condition(StrictSettings):
    """What the student is trained on, and how; the same for every arm."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    """In tables and folders."""
    arms: tuple[str, ...] = METHODS
    """Whose data it is trained on. `tessy+25` is TESSY's data with a quarter of the samples
    replaced by Teacher-Only's: the teacher's style in any share."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Each has its own questions, synthesis, tests and order of training. Those of the main
    condition, or some of them."""
    teacher: str | None = None
    """Another teacher than the study's, which writes data for this condition alone."""
    questions: int = Field(default=800, ge=1)
    """The first so many of those for which data is written."""
    epochs: int = Field(default=6, ge=1)
    """Each is measured."""
    learning_rate: float = Field(default=2e-4, gt=0)
    """At its peak."""
    batch_size: int = Field(default=32, ge=1)
    """Samples per step."""

    @field_validator("arms")
    @classmethod
    def _exist(cls, arms: tuple[str, ...]) -> tuple[str, ...]:
        for arm in arms:
            split_arm(arm)
        return arms


class StudySettings(StrictSettings):
    """The whole study."""

    conditions: tuple[Condition, ...] = Field(min_length=1)
    """The first is the main one."""
    teacher: str = "lab:teacher"
    """The model to learn from."""
    teacher_format: str | None = None
    """The chat format of teachers that are not `lab:`, which bring theirs."""
    predictor: str = "lab"
    """Of boundaries."""
    tests_target: int = Field(default=200, ge=1)
    """Test questions of the target."""
    tests_other: int = Field(default=60, ge=1)
    """Test questions of each other family."""
    temperature: float = Field(default=0.7, ge=0)
    """Of synthesis."""
    candidates: int = Field(default=5, ge=1)
    """Of Teacher-Score."""

    @model_validator(mode="after")
    def _fit_together(self) -> StudySettings:
        names = [condition.name for condition in self.conditions]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two conditions are called {name!r}")
            if name in RESERVED:
                raise ValueError(f"no condition can be called {name!r}")
        main, *others = self.conditions
        if main.teacher is not None:
            raise ValueError(
                f"{main.name!r} is the main condition; its teacher is set above the conditions"
            )
        for other in others:
            if strange := set(other.seeds) - set(main.seeds):
                raise ValueError(
                    f"seed {min(strange)} of {other.name!r} is not a seed of {main.name!r}"
                )
            if other.teacher is not None and (alone := set(WITHOUT_TEACHER) & set(other.arms)):
                raise ValueError(
                    f"{other.name!r} has its own teacher, which {min(alone)} does not use: "
                    "name its arms"
                )
        for teacher in (self.teacher, *(other.teacher for other in others)):
            if teacher is not None:
                parse_all(teacher)
        return self

    @property
    def main(self) -> Condition:
        """The main condition, which has all seeds."""
        return self.conditions[0]

    @property
    def questions(self) -> int:
        """Questions for which data is written: as many as the largest condition needs."""
        return max(condition.questions for condition in self.conditions)

    def places(self, condition: Condition) -> list[int]:
        """Where a condition's seeds are among all seeds."""
        return [self.main.seeds.index(seed) for seed in condition.seeds]


def load(path: Path) -> StudySettings:
    """Read settings from a TOML file.

    Raises:
        ConfigError: The file is missing or no TOML, or a setting is unknown or out of bounds.
    """
    return load_settings(StudySettings, path)
