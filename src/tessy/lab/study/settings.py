"""How large the study is, and under which conditions the student is trained."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from tessy.errors import AddressError, ConfigError
from tessy.models.address import parse_all
from tessy.settings import StrictSettings, load_settings

METHODS = (
    "tessy",
    "tessy-teacher-answers",
    "student-only",
    "teacher-only",
    "teacher-mix",
    "teacher-think",
    "teacher-answer",
    "teacher-score",
    "teacher-reference",
)
"""Arms of the study: the methods of Table 1, and the ablation of Fig. 9."""

WITHOUT_TEACHER = ("student-only", "teacher-score")
"""Arms in which no teacher takes part: the study's verifier scores the candidates."""
RESERVED = ("data", "untouched", "compared")
"""Folders of a seed that are no condition's."""
STUDENT = "student"
"""The model of the lab that is trained, and writes style."""


class Condition(StrictSettings):
    """What the student is trained on, and how; the same for every arm."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    """In tables and folders."""
    arms: tuple[str, ...] = METHODS
    """Whose data it is trained on. `tessy+25` is TESSY's data with a quarter of the questions
    from Teacher-Only: the teacher's style in any share."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Each has questions, synthesis, tests and an order of training of its own; those of the main
    condition, or some of them."""
    teacher: str | None = None
    """Another teacher than the study's, who writes data for this condition alone."""
    questions: int = Field(default=800, ge=1)
    """Of those for which data is written, the first so many."""
    epochs: int = Field(default=6, ge=1)
    """Each is measured."""
    learning_rate: float = Field(default=2e-4, gt=0)
    """At its highest."""
    batch: int = Field(default=32, ge=1)
    """Samples a step."""


class StudySettings(StrictSettings):
    """The whole study."""

    conditions: tuple[Condition, ...]
    """The first is the main one."""
    teacher: str = "lab:teacher"
    """The model to learn from."""
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
    def _told_apart(self) -> StudySettings:
        names = [condition.name for condition in self.conditions]
        if not names:
            raise ValueError("a study has at least one condition")
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
                raise ValueError(f"seed {min(strange)} of {other.name!r} is none of {main.name!r}")
            if other.teacher is not None and (alone := set(WITHOUT_TEACHER) & set(other.arms)):
                raise ValueError(
                    f"{other.name!r} has a teacher of its own, which {min(alone)} has no use for: "
                    "name its arms"
                )
        return self

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the main condition; the others have some of them."""
        return self.conditions[0].seeds

    def places(self, condition: Condition) -> list[int]:
        """Where a condition's seeds stand among all."""
        return [self.seeds.index(seed) for seed in condition.seeds]

    @property
    def questions(self) -> int:
        """Questions for which data is written: as many as the largest condition needs."""
        return max(condition.questions for condition in self.conditions)


def load(path: Path) -> StudySettings:
    """Read settings from a TOML file.

    Raises:
        ConfigError: The file is missing or no TOML, or a setting is unknown or out of bounds.
            A teacher that is no address of a model is one, too.
    """
    settings = load_settings(StudySettings, path)
    try:
        for condition in settings.conditions:
            parse_all(condition.teacher or settings.teacher)
    except AddressError as error:
        raise ConfigError(f"{path}: teacher: {error}", hint=error.hint) from None
    return settings
