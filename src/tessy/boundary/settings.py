"""Settings of classifiers: how one is read, and how one is trained."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tessy.errors import ConfigError
from tessy.method.trajectory import Role

SETTINGS_FILE = "predictor.json"
"""The `ClassifierSettings` of the network in the same folder."""
LABELS = ("capability", "style")


class Thresholds(BaseModel):
    """P(style) above which a word counts as style, by the writer of the text.

    Attributes:
        teacher: A higher one cuts less of the teacher's reasoning, a lower one keeps less style.
        student: A lower one keeps more of the student's text, a higher one hands over sooner.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    teacher: float = Field(default=0.5, gt=0, lt=1)
    student: float = Field(default=0.5, gt=0, lt=1)

    def of(self, role: Role) -> float:
        """The threshold for a writer's text."""
        return self.student if role is Role.STUDENT else self.teacher


class ClassifierSettings(BaseModel):
    """How the output of a network is read.

    Attributes:
        shift: 1 if the label at a token is about the next token, as with the published predictors.
        window: Tokens that the network sees at most, from the right.
        reach: Tokens of context that a judgement depends on at most; None for the whole window.
        temperature: Log-odds of style are divided by it; fitted on held-out segments.
        bias: Added to the log-odds after that; fitted, too.
        thresholds: P(style) above which a word counts as style.
        lookahead: Words that must follow a word before it is judged, if its P(style) is near the
            threshold.
        unsure: The largest distance of P(style) from the threshold that counts as near.
        style: Which of the two labels is style.
        vocabulary: Tokens of the tokenizer it was trained with; None if not known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    shift: int = Field(default=0, ge=0, le=1)
    window: int = Field(default=200, ge=16)
    reach: int | None = Field(default=None, ge=1)
    temperature: float = Field(default=1.0, gt=0)
    bias: float = 0.0
    thresholds: Thresholds = Thresholds()
    lookahead: int = Field(default=0, ge=0, le=8)
    unsure: float = Field(default=0.35, ge=0, le=1)
    style: int = Field(default=1, ge=0, le=1)
    vocabulary: int | None = Field(default=None, gt=0)


def read_settings(folder: Path) -> ClassifierSettings | None:
    """Read a folder's `predictor.json`; None if there is none.

    Raises:
        ConfigError: It is not valid.
    """
    path = folder / SETTINGS_FILE
    if not path.is_file():
        return None
    try:
        return ClassifierSettings.model_validate_json(path.read_bytes())
    except ValidationError as error:
        found = error.errors()[0]
        place = ".".join(str(part) for part in found["loc"])
        raise ConfigError(f"{path}: {place}: {found['msg']}") from None


class TrainSettings(BaseModel):
    """How a predictor is trained.

    Attributes:
        base: `small`, a folder, or a Hugging Face id.
        shift: The label at a token is about the next token, as with the published predictors.
        window: Tokens that the network sees.
        epochs: Epochs at most.
        patience: Epochs without a better one after which training ends.
        batch: Segments a step.
        learning_rate: The highest learning rate; None for the default of the base.
        balance: How much the rarer kind is weighted up: 0 not at all, 1 until both weigh the same.
        cut_share: The share of segments that end at a random word.
        held_out: The share of segments that choose the epoch and calibrate.
        cost: The cost of a wrong word that is kept; a right word that is cut costs 1.
        seed: The seed of the split, the order, the cuts and the weights.
        hidden: Hidden size of the small base.
        vocabulary: Tokens of the small base.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: str = "small"
    shift: bool = False
    window: int = Field(default=200, ge=16)
    epochs: int = Field(default=30, ge=1)
    patience: int = Field(default=4, ge=1)
    batch: int = Field(default=32, ge=1)
    learning_rate: float | None = Field(default=None, gt=0)
    balance: float = Field(default=0.0, ge=0, le=1)
    cut_share: float = Field(default=0.5, ge=0, le=1)
    held_out: float = Field(default=0.1, gt=0, lt=1)
    cost: float = Field(default=1.0, gt=0)
    seed: int = 0
    hidden: int = Field(default=128, ge=8)
    vocabulary: int = Field(default=8000, ge=300)

    @property
    def rate(self) -> float:
        """The learning rate; a new small network takes a higher one than a trained base."""
        return self.learning_rate or (2e-3 if self.base == "small" else 5e-5)
