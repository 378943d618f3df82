"""`loss.png` and `evaluation.png`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tessy.palette import LIGHT, SERIES
from tessy.training.learning_curve import UNTRAINED, CurvePoint
from tessy.training.losses import Losses

LOSS_PLOT = "loss.png"
CURVE_PLOT = "evaluation.png"
_MOST_GROUPS = 8
"""Groups in a plot; with more of them it shows only all questions together."""


def plot_losses(losses: Losses, folder: Path) -> None:
    """Draw `loss.png` into a folder: the loss of each step, and the mean of each epoch."""
    epochs = losses.epochs()
    with _axes(folder / LOSS_PLOT, "epoch", "loss, nats a token") as axes:
        seen, values = [s.epoch for s in losses.steps], [s.loss for s in losses.steps]
        axes.plot(seen, values, color=LIGHT["run1"], linewidth=0.9, label="step")
        middles = [number - 0.5 for number in epochs]
        means = list(epochs.values())
        axes.plot(
            middles, means, "o-", color=LIGHT["link"], markersize=4, label="mean of the epoch"
        )
        axes.set_ylim(bottom=0)
        axes.set_title(f"first step: {losses.first:.3f}", loc="left", fontsize=10)
        axes.legend(frameon=False)


def plot_curve(points: Sequence[CurvePoint], folder: Path) -> None:
    """Draw `evaluation.png` into a folder: pass@1 by epoch, the untrained model at 0."""
    epochs = [each.epoch for each in points]
    groups = points[0].groups if points and len(points[0].groups) <= _MOST_GROUPS else ()
    with _axes(folder / CURVE_PLOT, "epoch, 0 is the untrained model", "pass@1, %") as axes:
        for name, colour in zip(groups, SERIES, strict=False):
            values = [100 * each.groups[name].value for each in points]
            axes.plot(epochs, values, color=colour, linewidth=1.1, label=name)
        if points and points[0].epoch == UNTRAINED:
            height = 100 * points[0].pass_at_1.value
            axes.axhline(height, color=LIGHT["run1"], linewidth=0.9, linestyle=":")
        estimates = [each.pass_at_1 for each in points]
        below = [100 * max(0.0, each.value - each.low) for each in estimates]
        above = [100 * max(0.0, each.high - each.value) for each in estimates]
        axes.errorbar(
            epochs,
            [100 * each.value for each in estimates],
            yerr=[below, above],
            fmt="o-",
            color=LIGHT["link"],
            markersize=4,
            capsize=3,
            elinewidth=0.9,
            label="all questions",
        )
        axes.set_ylim(-2, 102)
        axes.set_xlim(-0.3, max(epochs, default=0) + 0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if groups:
            axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))


@contextmanager
def _axes(path: Path, xlabel: str, ylabel: str) -> Iterator[Any]:
    """Axes to draw on; they are saved as PNG when the context ends."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlabel=xlabel, ylabel=ylabel)
    yield axes
    axes.spines[["top", "right"]].set_visible(False)
    part = path.with_name(path.name + ".part")
    figure.savefig(part, dpi=150, format="png")
    part.replace(path)
