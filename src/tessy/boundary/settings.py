"""Settings of classifiers: how to read one, and how to train one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from tessy.errors import ConfigError
from tessy.method.trajectory import Role
from tessy.settings.definitions import TOKENS, Option, StrictSettings, UnitName
from tessy.settings.explain import explain

SETTINGS_FILE = "predictor.json"
"""How to read the network beside it: `ClassifierSettings`."""
LABELS = ("capability", "style")
WINDOW = "window"
"""The base that is trained by default: the network of `tessy.boundary.window`."""


class Thresholds(StrictSettings):
    """P(style) from which a word counts as style, by the writer of the text."""

    teacher: float = Field(default=0.5, gt=0, lt=1)
    """High: less of the teacher's reasoning is cut short; low: less of its style stays."""
    student: float = Field(default=0.5, gt=0, lt=1)
    """Low: the student keeps more; high: it hands over sooner."""

    def of(self, role: Role) -> float:
        """The threshold for a writer's text."""
        return self.student if role is Role.STUDENT else self.teacher


class ClassifierSettings(StrictSettings):
    """How to read a network's output."""

    shift: int = Field(default=0, ge=0, le=1)
    """1 if the label at a token is about the next one, as in the paper's published code."""
    window: int = Field(default=200, ge=16)
    """Most tokens that the network sees; text is cut from the left."""
    temperature: float = Field(default=1.0, gt=0)
    """Log-odds of style are divided by it; fitted on held-out segments."""
    bias: float = 0.0
    """It is added to them after that."""
    thresholds: Thresholds = Thresholds()
    """Probabilities from which a word counts as style."""
    lookahead: int = Field(default=0, ge=0, le=8)
    """A word that the network is unsure of stays undecided until so many words follow it."""
    unsure: float = Field(default=0.35, ge=0, le=1)
    """The network is unsure of a word whose P(style) is this near to the threshold."""
    style: int = Field(default=1, ge=0, le=1)
    """Which of the two labels is style."""
    vocabulary: int | None = Field(default=None, gt=0)
    """Tokens of the tokenizer that it was trained with, if known."""

    @model_validator(mode="before")
    @classmethod
    def _without_reach(cls, given: Any) -> Any:
        """Leave out `reach`, which folders of earlier versions have."""
        if isinstance(given, dict):
            return {name: value for name, value in given.items() if name != "reach"}
        return given


def read_settings(folder: Path) -> ClassifierSettings | None:
    """Read a folder's `predictor.json`; None if there is none.

    Raises:
        ConfigError: It is not what it should be.
    """
    path = folder / SETTINGS_FILE
    if not path.is_file():
        return None
    try:
        return ClassifierSettings.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ConfigError(explain(error, path)) from None


class TrainSettings(StrictSettings):
    """How a boundary predictor is trained."""

    base: Annotated[str, Option()] = WINDOW
    """What it starts from: `window`, a new network over the words around each word, or a model of
    Hugging Face: a folder or an id."""
    shift: Annotated[bool, Option()] = False
    """Labels are about the next token, as those of the paper's predictors."""
    window: Annotated[int, TOKENS, Option()] = Field(default=200, ge=16)
    """How much of the text it sees."""
    epochs: Annotated[int, Option()] = Field(default=30, ge=1)
    """Most times that every segment is seen."""
    patience: Annotated[int, UnitName("epochs"), Option()] = Field(default=4, ge=1)
    """Training ends after so many epochs without a better one."""
    batch_size: Annotated[int, UnitName("segments"), Option()] = Field(default=32, ge=1)
    """Segments in a step."""
    learning_rate: Annotated[float | None, Option(unset="2e-3 for window, else 5e-5")] = Field(
        default=None, gt=0
    )
    """The highest learning rate."""
    balance: Annotated[float, Option()] = Field(default=0.0, ge=0, le=1)
    """Weight of the rarer label: 0 is its share, 1 is as much as that of the other."""
    cut_share: Annotated[float, Option()] = Field(default=0.5, ge=0, le=1)
    """Share of segments that end at a random word in training."""
    held_out: Annotated[float, Option()] = Field(default=0.1, gt=0, lt=1)
    """Share of segments to choose the epoch and to calibrate with."""
    cost: Annotated[float, Option()] = Field(default=1.0, gt=0)
    """Cost of a word of style that is missed, in words of reasoning that are cut short."""
    hidden: Annotated[int, Option()] = Field(default=128, ge=8)
    """Outputs of the first layer of `window`."""
    seed: Annotated[int, Option()] = Field(default=0, ge=0, lt=2**32)
    """Of the split, the order, the cuts and the weights."""

    @property
    def rate(self) -> float:
        """The learning rate: a new network learns faster than one that was trained before."""
        return self.learning_rate or (2e-3 if self.base == WINDOW else 5e-5)
