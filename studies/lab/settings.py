"""Sizes of the models, and settings of their training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from studies.lab.members import Member

CONTEXT_TOKENS = 1024


class LabSettings(BaseModel):
    """How a model is trained. The defaults made the pair that ships."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(default=4000, ge=1)
    """Steps of the optimizer."""
    batch_size: int = Field(default=32, ge=1)
    """Examples per step."""
    learning_rate: float = Field(default=2.5e-3, gt=0)
    """Peak rate of embeddings and norms; a cosine leads from there to a twentieth of it."""
    muon_rate: float = Field(default=0.02, gt=0)
    """Peak rate of the matrices between them."""
    warmup: int = Field(default=150, ge=0)
    """Steps until the peak."""
    decay: float = Field(default=0.05, ge=0)
    """Weight decay of these matrices."""
    seed: int = 0
    """Of the corpus, the order and the weights."""
    hidden: int = Field(default=128, ge=32)
    """Size of a token's vector."""
    middle: int = Field(default=352, ge=32)
    """Width of a perceptron."""
    layers: int = Field(default=4, ge=1)
    heads: int = Field(default=4, ge=1)
    """Of attention."""
    examined: int = Field(default=20, ge=0)
    """Validation questions of each family, of the `sft` split."""
    examine_every: int = Field(default=300, ge=1)
    """Steps between two validations."""
    save_every: int = Field(default=100, ge=1)
    """Steps between two checkpoints."""
    threads: int = Field(default=1, ge=1)
    """Of torch."""

    @model_validator(mode="after")
    def _heads_fit(self) -> LabSettings:
        if self.hidden % (2 * self.heads):
            raise ValueError(f"hidden is a multiple of {2 * self.heads}, twice the heads")
        return self


_DEFAULTS: Mapping[Member, Mapping[str, Any]] = {
    Member.STUDENT: {},
    Member.TEACHER: {},
    Member.RELATIVE: {"steps": 800, "warmup": 50, "learning_rate": 1e-3, "muon_rate": 5e-3},
}


def settings_for(member: Member, **given: Any) -> LabSettings:
    """The settings that made a model that ships, except for those that are given.

    Raises:
        ValidationError: One of these is out of bounds.
    """
    return LabSettings.model_validate({**_DEFAULTS[member], **given})
