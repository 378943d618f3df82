"""Sizes of the models and of their training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tessy.lab.members import Member

CONTEXT_TOKENS = 1024


class LabSettings(BaseModel):
    """How a model is trained. Defaults made the pair that ships.

    Attributes:
        steps: Of the optimizer.
        batch: Examples a step.
        learning_rate: Of embeddings and norms at its highest; a cosine leads from there to a
            twentieth of it.
        muon_rate: The same for the matrices between.
        warmup: Steps until then.
        decay: Weight decay of these matrices.
        seed: Of the corpus, the order and the weights.
        hidden: Numbers for a token.
        middle: Width of a perceptron.
        layers: Of the network.
        heads: Of attention.
        examined: Validation questions of each family; they are of the `sft` split.
        examine_every: Steps between two looks at them.
        save_every: Steps between two checkpoints.
        threads: Of torch.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(default=4000, ge=1)
    batch: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=2.5e-3, gt=0)
    muon_rate: float = Field(default=0.02, gt=0)
    warmup: int = Field(default=150, ge=0)
    decay: float = Field(default=0.05, ge=0)
    seed: int = 0
    hidden: int = Field(default=128, ge=32)
    middle: int = Field(default=352, ge=32)
    layers: int = Field(default=4, ge=1)
    heads: int = Field(default=4, ge=1)
    examined: int = Field(default=20, ge=0)
    examine_every: int = Field(default=300, ge=1)
    save_every: int = Field(default=100, ge=1)
    threads: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _heads_fit(self) -> LabSettings:
        if self.hidden % (2 * self.heads):
            raise ValueError(f"hidden is a multiple of {2 * self.heads}, twice the heads")
        return self


USUAL: Mapping[Member, Mapping[str, Any]] = {
    Member.STUDENT: {},
    Member.TEACHER: {},
    Member.RELATIVE: {"steps": 800, "warmup": 50, "learning_rate": 1e-3, "muon_rate": 5e-3},
}
"""What is usual for a model where the defaults are not."""


def settings_for(member: Member, **given: Any) -> LabSettings:
    """The settings that made a model that ships, but for those that are given.

    Raises:
        ValidationError: One of these is out of bounds.
    """
    return LabSettings.model_validate({**USUAL[member], **given})
