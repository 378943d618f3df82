"""How to train: settings, from a TOML file and the command line; an unknown key is an error.

Defaults are the paper's where it says them (METHOD, "Training"): 9 epochs, batches of 128, 5e-5;
LoRA of rank 8 and alpha 16. It says neither schedule nor warm-up; those are ours.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from tessy.config import StrictSettings, did_you_mean, explain, read_toml
from tessy.errors import ConfigError
from tessy.training.gguf import DType
from tessy.training.masks import LossPart, parse_loss

_FOR_SPEED = (
    *("micro_batch", "gradient_checkpointing", "save_steps", "eval", "export", "export_dtype"),
)
"""Settings that may change from one start of a training to the next."""

PATIENCE_S = 24 * 3600
"""Other processes wait so long for what the first one does alone, such as an evaluation."""


class OverLength(StrEnum):
    """What becomes of a sample that is longer than `max_length`."""

    DROP = "drop"
    """It is left out, and counted."""
    CUT = "cut"
    """It is cut at its end, and counted."""


class Schedule(StrEnum):
    """How the learning rate goes on behind the warm-up."""

    COSINE = "cosine"
    LINEAR = "linear"
    CONSTANT = "constant"


class Precision(StrEnum):
    """What numbers are computed in; weights are kept in float32 in any case."""

    AUTO = "auto"
    """`bfloat16` on a GPU that has it, else `float32`."""
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class Export(StrEnum):
    """What is written of each epoch besides safetensors."""

    NONE = "none"
    GGUF = "gguf"


class LoraSettings(StrictSettings):
    """Low-rank adapters on every linear layer, in place of training all weights."""

    rank: int = Field(default=8, ge=1)
    """Of the adapters."""
    alpha: float = Field(default=16, gt=0)
    """Their weight is alpha / rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of their inputs that is left out in each step."""


class EvalSettings(StrictSettings):
    """How the untrained model and each epoch are evaluated, as by `tessy eval`."""

    questions: str
    """A `.jsonl` or `.parquet` file, or a Hugging Face data set, with what the verifier needs."""
    verify: str | None = None
    """Verifier, as `NAME` or `NAME:COLUMN`; by default `config`'s, or each question names its."""
    runs: int | None = Field(default=None, ge=1)
    """Samples of each question; by default `config`'s `samples_per_question`, or one."""
    group: str | None = None
    """A column of the questions by whose value figures are shown apart."""
    limit: int | None = Field(default=None, ge=1)
    """Only the first questions."""
    config: Path | None = None
    """A TOML file with settings of `tessy eval`: sampling, limits, concurrency. An epoch brings
    its own model, tokenizer and format."""


class SFTSettings(StrictSettings):
    """All that decides what a training comes to, and how fast."""

    model: str
    """The model to train: a folder or a Hugging Face id, for transformers."""
    loss: str = LossPart.RESPONSE.value
    """What carries loss: `response`, `capability`, `style`, `thinking`, `answer`, or several of
    them joined by `+`; see `tessy.training.masks`."""
    epochs: int = Field(default=9, ge=1)
    """Times that every sample is seen."""
    max_steps: int | None = Field(default=None, ge=1)
    """Stop behind so many steps; the schedule ends there, too."""
    batch: int = Field(default=128, ge=1)
    """Samples a step, of all processes together."""
    micro_batch: int | None = Field(default=None, ge=1)
    """Samples that one process computes at once; by default as many as its memory is likely to
    hold, told by the longest sample."""
    learning_rate: float = Field(default=5e-5, gt=0)
    """At its highest."""
    warmup: float = Field(default=0.03, ge=0, lt=1)
    """Share of the steps in which the learning rate rises."""
    schedule: Schedule = Schedule.COSINE
    """How it goes on."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Of AdamW."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are scaled down to this norm."""
    max_length: int | None = Field(default=None, ge=2)
    """Tokens of the longest sample, the question included; by default the model's context."""
    over_length: OverLength = OverLength.DROP
    """`drop` or `cut` longer ones."""
    lora: LoraSettings | None = None
    """Train adapters only; by default all weights are trained."""
    dtype: Precision = Precision.AUTO
    """What is computed in."""
    gradient_checkpointing: bool | None = None
    """Compute activations twice in place of keeping them; by default on a GPU."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Of the order of the samples, and of adapters."""
    save_steps: int | None = Field(default=None, ge=1)
    """A state to resume from every so many steps, besides that at the end of each epoch."""
    chat_template: Path | None = None
    """A Jinja file to render samples with, where the model's own drops the thinking."""
    template_args: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the chat template, such as `enable_thinking`."""
    eval: EvalSettings | None = None
    """Evaluate the untrained model and each epoch as it ends; llama.cpp serves them, so this
    exports `gguf`, too."""
    export: Export = Export.NONE
    """`gguf`: each epoch also as a file for llama.cpp."""
    export_dtype: DType = "f16"
    """What its matrices are kept in."""

    @field_validator("loss")
    @classmethod
    def _loss(cls, value: str) -> str:
        try:
            parse_loss(value)
        except ConfigError as error:
            raise PydanticCustomError("loss", "{why}", {"why": str(error)}) from None
        return value

    @model_validator(mode="before")
    @classmethod
    def _evaluated_are_exported(cls, tree: Any) -> Any:
        if isinstance(tree, dict) and tree.get("eval") is not None:
            return {"export": Export.GGUF, **tree}
        return tree

    @field_validator("export")
    @classmethod
    def _export(cls, value: Export, info: ValidationInfo) -> Export:
        if value is not Export.GGUF and info.data.get("eval") is not None:
            raise PydanticCustomError("export", "epochs are evaluated as GGUF: leave it out")
        return value

    @property
    def trained(self) -> frozenset[LossPart]:
        """What carries loss."""
        return parse_loss(self.loss)

    def identity(self) -> dict[str, Any]:
        """The settings that decide what comes out; a resumed training must not change them."""
        settings = self.model_dump(mode="json", exclude_none=True)
        for key in _FOR_SPEED:
            settings.pop(key, None)
        return settings


def load_settings(path: Path | None, overrides: dict[str, Any]) -> SFTSettings:
    """Read settings from a TOML file, with others put over them.

    Args:
        path: The file; None for defaults.
        overrides: By name, `lora` and `eval` as tables; None is no override.

    Raises:
        ConfigError: The file is missing or no TOML, or a setting is unknown or out of bounds.
    """
    tree = {} if path is None else read_toml(path)
    for key, value in overrides.items():
        there = tree.get(key)
        if isinstance(there, dict) and isinstance(value, dict):
            value = {**there, **value}
        if value is not None:
            tree[key] = value
    if "model" not in tree:
        raise ConfigError("no model to train is named", hint="--model FOLDER-OR-ID")
    if isinstance(asked := tree.get("eval"), dict) and "questions" not in asked:
        raise ConfigError("no questions to evaluate with are named", hint="--eval QUESTIONS")
    try:
        return SFTSettings.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(
            f"{path or 'settings'}: {explain(error)}", hint=did_you_mean(error, SFTSettings)
        ) from None
