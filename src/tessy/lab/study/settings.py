"""How large the study is, and under which conditions the student is trained."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from tessy.config import StrictSettings, explain, read_toml
from tessy.errors import ConfigError

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


class Condition(StrictSettings):
    """How the student is trained; the same for every arm."""

    name: str
    """In tables and folders."""
    arms: tuple[str, ...] = METHODS
    """Whose data it is trained on. `tessy+25` is TESSY's data with a quarter of the questions
    from Teacher-Only: the teacher's style in any share."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Each has questions, synthesis, tests and an order of training of its own."""
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
    student: str = "lab:student"
    """The model that is trained, and writes style."""
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

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of all conditions."""
        return tuple(sorted({seed for condition in self.conditions for seed in condition.seeds}))

    @property
    def questions(self) -> int:
        """Questions for which data is written: as many as the largest condition needs."""
        return max(condition.questions for condition in self.conditions)


def load(path: Path) -> StudySettings:
    """Read settings from a TOML file.

    Raises:
        ConfigError: The file is missing or no TOML, or a setting is unknown or out of bounds.
    """
    try:
        return StudySettings.model_validate(read_toml(path))
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain(error)}") from None
