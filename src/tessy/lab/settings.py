"""Sizes of the two models and of their training."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

CONTEXT_TOKENS = 1024


class LabSettings(BaseModel):
    """How a model is trained from nothing. Defaults made the models that ship.

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
