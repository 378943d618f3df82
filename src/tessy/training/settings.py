"""How to train a student: settings, from a TOML file and the command line.

Defaults are the paper's where it has them: 9 epochs, batches of 128, a learning rate of 5e-5, LoRA
of rank 8 and alpha 16. It names neither schedule nor warm-up; those are ours.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from tessy.errors import ConfigError
from tessy.settings.definitions import TOKENS, Option, OptionGroup, StrictSettings, UnitName
from tessy.training.gguf import DType
from tessy.training.masks import LossPart, parse_loss

_FOR_SPEED = (
    "micro_batch_size",
    "gradient_checkpointing",
    "save_steps",
    "eval",
    "export",
    "export_dtype",
)
"""Settings that may change from one start of a training to the next."""

PATIENCE_S = 24 * 3600
"""Other processes wait so long for what the first one does alone, such as an evaluation."""


class OverLength(StrEnum):
    """What to do with a sample that is longer than `max_tokens`."""

    DROP = "drop"
    """It is left out, and counted."""
    CUT = "cut"
    """It is cut at its end, and counted."""


class Schedule(StrEnum):
    """How the learning rate goes on after the warm-up."""

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

    rank: Annotated[int, Option()] = Field(default=8, ge=1)
    """Rank of the adapters."""
    alpha: Annotated[float, Option()] = Field(default=16, gt=0)
    """Their weight is alpha / rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of their inputs that is left out in each step."""


class EvalSettings(StrictSettings):
    """How the untrained model and each epoch are evaluated, as by `tessy eval`."""

    questions: Annotated[str, Option(head=True, unset="nothing is evaluated")]
    """The questions: files or a Hugging Face data set, with what the verifier needs."""
    verify: Annotated[
        str | None, Option(unset="that of --eval-config, else each question names its own")
    ] = None
    """Verifier, as `NAME` or `NAME:COLUMN`."""
    samples_per_question: Annotated[int | None, Option(unset="that of --eval-config, else 1")] = (
        Field(default=None, ge=1)
    )
    """Samples of each question."""
    group: Annotated[str | None, Option(unset="no groups")] = None
    """A column of the questions by whose value figures are shown apart."""
    limit: int | None = Field(default=None, ge=1)
    """Only the first questions."""
    config: Annotated[Path | None, Option(unset="the defaults of tessy eval")] = None
    """A TOML file with settings of `tessy eval`: sampling, limits, concurrency. Each epoch brings
    its own model, tokenizer and format."""


class SFTSettings(StrictSettings):
    """Everything that decides what a training comes to, and how fast."""

    model: Annotated[str, Option(unset="none; required, here or in the file")]
    """The model to train: a folder or a Hugging Face id, for transformers."""
    loss: Annotated[str, Option()] = LossPart.RESPONSE.value
    """What carries loss: `response`, `capability`, `style`, `thinking`, `answer`, or several of
    them joined by `+`."""
    epochs: Annotated[int, Option()] = Field(default=9, ge=1)
    """Times that every sample is seen."""
    max_steps: Annotated[int | None, Option(unset="all epochs")] = Field(default=None, ge=1)
    """Stop after so many steps; the schedule ends there, too."""
    batch_size: Annotated[int, UnitName("samples"), Option()] = Field(default=128, ge=1)
    """Samples in a step, of all processes together."""
    micro_batch_size: Annotated[
        int | None,
        UnitName("samples"),
        Option(unset="as many as memory is likely to hold, by the longest sample"),
    ] = Field(default=None, ge=1)
    """Samples that one process computes at once."""
    learning_rate: Annotated[float, Option()] = Field(default=5e-5, gt=0)
    """The highest learning rate."""
    warmup: Annotated[float, Option()] = Field(default=0.03, ge=0, lt=1)
    """Share of the steps in which the learning rate rises."""
    schedule: Annotated[Schedule, Option()] = Schedule.COSINE
    """How the learning rate goes on after that."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Weight decay of AdamW."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are scaled down to this norm."""
    max_tokens: Annotated[int | None, TOKENS, Option(unset="the model's context")] = Field(
        default=None, ge=2
    )
    """Longest sample, the question included."""
    over_length: Annotated[OverLength, Option()] = OverLength.DROP
    """What to do with longer ones."""
    lora: Annotated[
        LoraSettings | None, Option(panel="LoRA"), OptionGroup("lora", panel="LoRA")
    ] = None
    """Train low-rank adapters only, in place of all weights."""
    dtype: Annotated[Precision, Option()] = Precision.AUTO
    """What numbers are computed in; `auto` is `bfloat16` on a GPU that has it. Weights are kept in
    float32."""
    gradient_checkpointing: bool | None = None
    """Compute activations twice in place of keeping them; without it, on a GPU."""
    seed: Annotated[int, Option()] = Field(default=0, ge=0, lt=2**32)
    """Seed of the order of the samples, and of adapters."""
    save_steps: Annotated[int | None, UnitName("steps"), Option(unset="only after each epoch")] = (
        Field(default=None, ge=1)
    )
    """Save a state to resume from every so many steps, besides that of each epoch."""
    chat_template: Annotated[Path | None, Option(unset="the model's own")] = None
    """A Jinja file to render samples with, where the model's own template drops the thinking."""
    template_args: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the chat template, such as `enable_thinking`."""
    eval: Annotated[EvalSettings | None, OptionGroup("eval", panel="Evaluation of each epoch")] = (
        None
    )
    """Evaluate the untrained model and each epoch as it ends, as by `tessy eval`. llama.cpp serves
    them, so `export` is `gguf` then."""
    export: Annotated[Export, Option()] = Export.NONE
    """`gguf`: each epoch also as a file for llama.cpp (Llama models)."""
    export_dtype: Annotated[DType, Option()] = "f16"
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
