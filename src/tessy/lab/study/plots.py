"""A study in pictures: learning curves, losses, other conditions, the teacher's share of style."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessy.errors import MissingExtra
from tessy.lab.study.results import Accuracy, Mean, Results, Trained, by_share, of_shares
from tessy.lab.study.settings import Condition

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = (
    *("#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#0072b2", "#d55e00", "#7f7f7f"),
    *("#f0e442", "#000000"),
)
"""Okabe and Ito's, told apart by the colour-blind."""
_MARKS = "osD^vPX*<"
_VIEWS: Sequence[tuple[str, Callable[[Accuracy], Mean]]] = (
    ("target", lambda accuracy: accuracy.target),
    ("elsewhere", lambda accuracy: accuracy.elsewhere),
)
_HELD = ("tessy", "teacher-only")
"""Arms that are held against each other in every condition."""


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw all pictures as PNG files.

    Args:
        results: Of a study.
        folder: Where they go.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise MissingExtra("pictures need matplotlib", hint="pip install 'tessy[train]'") from None
    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, Callable[[Results], Any]] = {"curves": _curves, "losses": _losses}
    if len(_contested(results)) > 1:
        pictures["conditions"] = _conditions
    if by_share(results):
        pictures["style"] = _style
    paths = []
    for name, picture in pictures.items():
        figure = picture(results)
        path = folder / f"study-{name}.png"
        figure.savefig(path, dpi=110, bbox_inches="tight", metadata={"Software": None})
        paths.append(path)
    return paths


def _figure(columns: int, *, rows: int = 1, size: float = 5.2) -> tuple[Any, Sequence[Axes]]:
    """A figure, and its axes row by row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size * columns, 0.75 * size * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
        each.grid(alpha=0.25)
    return figure, list(axes)


def _curves(results: Results) -> Any:
    """Accuracy over epochs, the untouched student at 0 (compare Fig. 11)."""
    main = results.settings.conditions[0]
    figure, axes = _figure(2)
    for axis, (title, view) in zip(axes, _VIEWS, strict=True):
        start = view(results.student).value
        axis.axhline(100 * start, color="0.5", linewidth=1, linestyle=":")
        for number, (arm, trained) in enumerate(results.trained[main.name].items()):
            values = [start, *(view(accuracy).value for accuracy in trained.curve)]
            axis.plot(
                range(len(values)),
                [100 * value for value in values],
                color=_COLOURS[number % len(_COLOURS)],
                marker=_MARKS[number % len(_MARKS)],
                markersize=4,
                label=arm,
            )
        axis.set(title=title, xlabel="epoch", ylabel="right, %", ylim=(0, 102))
    axes[-1].legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def _losses(results: Results) -> Any:
    """Training loss by step, the mean over seeds (compare Fig. 15)."""
    main = results.settings.conditions[0]
    figure, (axis,) = _figure(1)
    for number, (arm, trained) in enumerate(results.trained[main.name].items()):
        axis.plot(
            *_mean_losses(trained), color=_COLOURS[number % len(_COLOURS)], linewidth=1.2, label=arm
        )
    axis.set(xlabel="step", ylabel="loss", yscale="log")
    axis.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def _mean_losses(trained: Trained) -> tuple[list[int], list[float]]:
    steps = min(map(len, trained.losses))
    return list(range(1, steps + 1)), [
        statistics.fmean(losses[step] for losses in trained.losses) for step in range(steps)
    ]


def _contested(results: Results) -> list[Condition]:
    """Conditions in which TESSY's data and Teacher-Only's were both tried."""
    return [each for each in results.settings.conditions if set(_HELD) <= set(each.arms)]


def _conditions(results: Results) -> Any:
    """Accuracy over epochs with TESSY's data and Teacher-Only's, condition by condition."""
    from matplotlib.ticker import MaxNLocator

    conditions = _contested(results)
    figure, axes = _figure(len(conditions), rows=2, size=2.4)
    for row, (title, view) in enumerate(_VIEWS):
        for column, condition in enumerate(conditions):
            axis = axes[row * len(conditions) + column]
            start = view(results.student).of(results.settings.places(condition)).value
            axis.axhline(100 * start, color="0.5", linewidth=1, linestyle=":")
            for number, arm in enumerate(_HELD):
                means = [view(each) for each in results.trained[condition.name][arm].curve]
                axis.errorbar(
                    range(1, len(means) + 1),
                    [100 * mean.value for mean in means],
                    yerr=[0 if math.isnan(mean.half) else 100 * mean.half for mean in means],
                    color=_COLOURS[number],
                    marker=_MARKS[number],
                    markersize=3,
                    linewidth=1.2,
                    elinewidth=0.8,
                    label=arm,
                )
            axis.set(ylim=(0, 102), xlabel="epoch" if row else "")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            axis.set_ylabel("" if column else f"{title}, right, %")
            if not row:
                axis.set_title(condition.name, fontsize="medium")
    axes[0].legend(fontsize="small", frameon=False)
    return figure


def _style(results: Results) -> Any:
    """Accuracy by the share of questions whose sample is Teacher-Only's."""
    found = by_share(results)
    condition = of_shares(results)
    assert condition is not None
    places = results.settings.places(condition)
    figure, (axis,) = _figure(1)
    for number, (title, view) in enumerate(_VIEWS):
        means = [view(accuracy) for _, accuracy in found]
        axis.errorbar(
            [share for share, _ in found],
            [100 * mean.value for mean in means],
            yerr=[0 if math.isnan(mean.half) else 100 * mean.half for mean in means],
            color=_COLOURS[number],
            marker=_MARKS[number],
            capsize=3,
            label=title,
        )
        start = view(results.student).of(places).value
        axis.axhline(100 * start, color=_COLOURS[number], linewidth=1, linestyle=":")
    axis.set(
        xlabel="samples that are Teacher-Only's, the rest TESSY's, %",
        ylabel="right, %",
        ylim=(0, 102),
    )
    axis.legend(frameon=False)
    return figure
