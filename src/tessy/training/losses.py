"""The loss at each step: `loss.json`, and the state that a checkpoint holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tessy.data.files import write_atomically

LOSS_FILE = "loss.json"
STATE_FILE = "trainer_state.json"


@dataclass(frozen=True, slots=True)
class LossStep:
    """One step.

    Attributes:
        step: From 1.
        epoch: How many epochs of the data were seen after it; a fraction within an epoch.
        loss: Mean over its tokens that carry loss, before the weights change; nats a token.
        learning_rate: Of this step.
        grad_norm: Before clipping.
    """

    step: int
    epoch: float
    loss: float
    learning_rate: float
    grad_norm: float


@dataclass(frozen=True, slots=True)
class Losses:
    """All steps of a training, in order."""

    steps: tuple[LossStep, ...]

    @property
    def first(self) -> float:
        """The loss of the untrained model on the first batch (compare the paper's Fig. 15)."""
        return self.steps[0].loss if self.steps else math.nan

    def epochs(self) -> dict[int, float]:
        """The mean loss of each epoch's steps."""
        found: dict[int, list[float]] = {}
        for step in self.steps:
            found.setdefault(epoch_of(step.epoch), []).append(step.loss)
        return {number: math.fsum(each) / len(each) for number, each in found.items()}

    def write(self, folder: Path) -> None:
        """Write `loss.json` to a folder."""
        tree = {
            "first_step_loss": self.first,
            "epochs": [{"epoch": number, "loss": loss} for number, loss in self.epochs().items()],
            "steps": self.steps,
        }
        write_atomically(folder / LOSS_FILE, orjson.dumps(tree, option=orjson.OPT_INDENT_2))


@dataclass(frozen=True, slots=True)
class TrainState:
    """How far a training was when a checkpoint was saved.

    Attributes:
        losses: At each step so far.
        step: Steps done.
        steps: Steps of the whole training.
        epochs: Epochs whose folder was made.
    """

    losses: Losses
    step: int
    steps: int
    epochs: int

    @property
    def is_done(self) -> bool:
        """Nothing is left to train."""
        return self.step >= self.steps


def epoch_of(seen: float) -> int:
    """The epoch, from 1, that a step belongs to after which so many epochs were seen."""
    return math.ceil(round(seen, 6))


def read_state(checkpoint: Path) -> TrainState:
    """Read the state that transformers' `Trainer` saved."""
    tree = orjson.loads((checkpoint / STATE_FILE).read_bytes())
    step, steps, seen = tree["global_step"], tree["max_steps"], tree["epoch"]
    epochs = epoch_of(seen) if step >= steps else math.floor(round(seen, 6))
    return TrainState(from_log(tree["log_history"]), step, steps, epochs)


def from_log(log: Sequence[Mapping[str, Any]]) -> Losses:
    """The losses in the log of transformers' `Trainer`."""
    return Losses(
        tuple(
            LossStep(
                step=entry["step"],
                epoch=entry["epoch"],
                loss=entry["loss"],
                learning_rate=entry["learning_rate"],
                grad_norm=entry.get("grad_norm", math.nan),
            )
            for entry in log
            if "loss" in entry
        )
    )
