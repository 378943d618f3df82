"""Loss curves, `loss.json` and `loss.png`; and what a checkpoint says of its steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from tessy.runs.folder import write_atomically

JSON_FILE = "loss.json"
STATE_FILE = "trainer_state.json"
PICTURE_FILE = "loss.png"


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        step: From 1.
        epoch: How far the data were seen when it was done, in epochs.
        loss: Mean over its tokens that carry loss, before the weights change.
        learning_rate: Of this step.
        grad_norm: Before it is scaled down.
    """

    step: int
    epoch: float
    loss: float
    learning_rate: float
    grad_norm: float


@dataclass(frozen=True, slots=True)
class Losses:
    """All steps of a training.

    Attributes:
        steps: In order.
    """

    steps: tuple[Step, ...]

    @property
    def first(self) -> float:
        """The loss of the untrained model on the first batch (compare the paper's Fig. 15)."""
        return self.steps[0].loss if self.steps else math.nan

    def epochs(self) -> dict[int, float]:
        """The mean loss of each epoch's steps."""
        found: dict[int, list[float]] = {}
        for step in self.steps:
            found.setdefault(math.ceil(round(step.epoch, 6)), []).append(step.loss)
        return {number: math.fsum(each) / len(each) for number, each in found.items()}


@dataclass(frozen=True, slots=True)
class State:
    """How far a checkpoint is.

    Attributes:
        losses: At each step so far.
        step: Steps that are done.
        steps: Steps of the whole training.
        epochs: Epochs whose folder was made.
    """

    losses: Losses
    step: int
    steps: int
    epochs: int

    @property
    def is_done(self) -> bool:
        """There is nothing left to train."""
        return self.step >= self.steps


def read_state(checkpoint: Path) -> State:
    """Read what a trainer saved of where it was."""
    tree = orjson.loads((checkpoint / STATE_FILE).read_bytes())
    step, steps, seen = tree["global_step"], tree["max_steps"], round(tree["epoch"], 6)
    epochs = math.ceil(seen) if step >= steps else math.floor(seen)
    return State(from_log(tree["log_history"]), step, steps, epochs)


def from_log(log: Sequence[Mapping[str, Any]]) -> Losses:
    """The losses in what a trainer logged at each step."""
    return Losses(
        tuple(
            Step(
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


def write(losses: Losses, folder: Path) -> None:
    """Write `loss.json` to a folder."""
    tree = {
        "first_step_loss": losses.first,
        "epochs": [{"epoch": number, "loss": loss} for number, loss in losses.epochs().items()],
        "steps": [asdict(step) for step in losses.steps],
    }
    write_atomically(folder / JSON_FILE, orjson.dumps(tree, option=orjson.OPT_INDENT_2))


def draw(losses: Losses, folder: Path) -> None:
    """Draw `loss.png` into a folder."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    epochs = losses.epochs()
    axes.plot(
        [step.epoch for step in losses.steps],
        [step.loss for step in losses.steps],
        color="#9aa5b1",
        linewidth=0.9,
        label="step",
    )
    axes.plot(
        [number - 0.5 for number in epochs],
        list(epochs.values()),
        color="#1f4e79",
        marker="o",
        markersize=4,
        label="mean of the epoch",
    )
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss, nats a token")
    axes.set_ylim(bottom=0)
    axes.set_title(f"first step: {losses.first:.3f}", loc="left", fontsize=10)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    path = folder / PICTURE_FILE
    temporary = path.with_name(path.name + ".part")
    figure.savefig(temporary, dpi=150, format="png")
    temporary.replace(path)
