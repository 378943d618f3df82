"""A study in pictures: learning curves, losses, other conditions, the teacher's share of style."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from studies.study.results import Accuracy, Mean, Results
from studies.study.settings import Condition
from tessy.palette import LIGHT, SERIES

_COLOURS = (*SERIES, LIGHT["ink"])
_MARKS = "osD^vPX*<"
_VIEWS: Sequence[tuple[str, Callable[[Accuracy], Mean]]] = (
    ("target", lambda accuracy: accuracy.target),
    ("elsewhere", lambda accuracy: accuracy.elsewhere),
)
_CONTESTED = ("tessy", "teacher-only")
"""Arms that are compared in every condition."""


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw all pictures as PNG files.

    Args:
        results: Of a study.
        folder: Where they are written.
    """
    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    figures = {"curves": _curves(results), "losses": _losses(results)}
    contested = [each for each in results.settings.conditions if set(_CONTESTED) <= set(each.arms)]
    if len(contested) > 1:
        figures["conditions"] = _conditions(results, contested)
    if results.shares:
        figures["style"] = _style(results, results.shares)
    paths = []
    for name, figure in figures.items():
        path = folder / f"study-{name}.png"
        figure.savefig(path, dpi=110, bbox_inches="tight", metadata={"Software": None})
        paths.append(path)
    return paths


def _figure(columns: int, *, rows: int = 1, size: float = 5.2) -> tuple[Figure, list[Axes]]:
    """A figure, and its axes row by row."""
    figure = Figure(figsize=(size * columns, 0.75 * size * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
        each.grid(alpha=0.25)
    return figure, axes


def _legend_at_the_right(axis: Axes) -> None:
    axis.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def _reference(axis: Axes, mean: Mean, colour: str = "0.5") -> None:
    """A line for the untouched student."""
    axis.axhline(100 * mean.value, color=colour, linewidth=1, linestyle=":")


def _with_intervals(
    axis: Axes, places: Iterable[int], means: Sequence[Mean], number: int, **style: Any
) -> None:
    axis.errorbar(
        list(places),
        [100 * mean.value for mean in means],
        yerr=[0 if math.isnan(mean.half) else 100 * mean.half for mean in means],
        color=_COLOURS[number],
        marker=_MARKS[number],
        **style,
    )
    axis.set_ylim(0, 102)


def _curves(results: Results) -> Figure:
    """Accuracy over epochs, the untouched student at 0 (compare Fig. 11)."""
    figure, axes = _figure(2)
    for axis, (title, view) in zip(axes, _VIEWS, strict=True):
        start = view(results.student)
        _reference(axis, start)
        for number, (arm, trained) in enumerate(results.main.items()):
            means = [start, *map(view, trained.curve)]
            axis.plot(
                [100 * mean.value for mean in means],
                color=_COLOURS[number % len(_COLOURS)],
                marker=_MARKS[number % len(_MARKS)],
                markersize=4,
                label=arm,
            )
        axis.set(title=title, xlabel="epoch", ylabel="right, %", ylim=(0, 102))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _legend_at_the_right(axes[-1])
    return figure


def _losses(results: Results) -> Figure:
    """Training loss by step, the mean over seeds (compare Fig. 15)."""
    figure, (axis,) = _figure(1)
    for number, (arm, trained) in enumerate(results.main.items()):
        means = [statistics.fmean(step) for step in zip(*trained.losses, strict=False)]
        axis.plot(
            range(1, len(means) + 1),
            means,
            color=_COLOURS[number % len(_COLOURS)],
            linewidth=1.2,
            label=arm,
        )
    axis.set(xlabel="step", ylabel="loss", yscale="log")
    _legend_at_the_right(axis)
    return figure


def _conditions(results: Results, conditions: Sequence[Condition]) -> Figure:
    """Accuracy over epochs with TESSY's data and Teacher-Only's, condition by condition."""
    figure, axes = _figure(len(conditions), rows=2, size=2.4)
    for row, (title, view) in enumerate(_VIEWS):
        for column, condition in enumerate(conditions):
            axis = axes[row * len(conditions) + column]
            _reference(axis, view(results.student).of(results.settings.places(condition)))
            for number, arm in enumerate(_CONTESTED):
                means = [view(each) for each in results.trained[condition.name][arm].curve]
                epochs = range(1, len(means) + 1)
                style = {"markersize": 3, "linewidth": 1.2, "elinewidth": 0.8}
                _with_intervals(axis, epochs, means, number, label=arm, **style)
            axis.set_xlabel("epoch" if row else "")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axis.set_ylabel("" if column else f"{title}, right, %")
            if not row:
                axis.set_title(condition.name, fontsize="medium")
    axes[0].legend(fontsize="small", frameon=False)
    return figure


def _style(results: Results, condition: Condition) -> Figure:
    """Accuracy by the share of questions whose sample is Teacher-Only's."""
    found = results.by_share()
    shares = [share for share, _ in found]
    figure, (axis,) = _figure(1)
    for number, (title, view) in enumerate(_VIEWS):
        means = [view(accuracy) for _, accuracy in found]
        _with_intervals(axis, shares, means, number, capsize=3, label=title)
        start = view(results.student).of(results.settings.places(condition))
        _reference(axis, start, _COLOURS[number])
    axis.set(xlabel="samples that are Teacher-Only's, the rest TESSY's, %", ylabel="right, %")
    axis.legend(frameon=False)
    return figure
