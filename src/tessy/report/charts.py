"""Charts as small SVG pictures: geometry here, drawing in `charts.svg.jinja`, colours in the page.

They need no script, no font and no library. Colours can be told apart with any kind of colour
vision (Okabe and Ito, 2008), and marks differ in shape as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from tessy.display import visible_value
from tessy.report.document import Chart
from tessy.report.figures.intervals import Array
from tessy.report.figures.lengths import Histogram
from tessy.report.figures.similarity import Cloud

WIDTH, HEIGHT = 480, 200
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 10, 36
INNER_WIDTH, INNER_HEIGHT = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
MARGIN = 8
"""Between the axes of a scatter and the nearest point."""
SHAPES = ("circle", "square", "triangle", "cross", "diamond", "ring")
"""Marks of a scatter, by run; the seventh run has the first one again."""
MOST_POINTS = 1200
"""Points of one run that are drawn, evenly picked."""


def histograms(
    title: str, unit: str, series: Mapping[str, Histogram], runs: Sequence[str] = ()
) -> Chart:
    """Bars of one or more histograms of one width, side by side in each bin.

    Args:
        title: What they show.
        unit: Of the lengths.
        series: By name; `student` and `teacher` have their own colours.
        runs: The report's runs, by which a run has one colour in all charts.
    """
    kinds = _kinds(series, runs)
    drawn = {name: found for name, found in series.items() if found.counts}
    width = max((found.width for found in drawn.values()), default=1)
    bins = max((len(found.counts) for found in drawn.values()), default=1)
    most = max((max(found.counts) / sum(found.counts) for found in drawn.values()), default=1.0)
    step = INNER_WIDTH / bins
    bar = step * 0.86 / max(len(drawn), 1)
    bars = [
        {
            "x": LEFT + bin_ * step + step * 0.07 + number * bar,
            "height": count / sum(found.counts) / most * INNER_HEIGHT,
            "kind": kinds[name],
            "says": f"{name}: {_range(bin_, bins, width)} {unit}: {count:,}",
        }
        for number, (name, found) in enumerate(drawn.items())
        for bin_, count in enumerate(found.counts)
        if count
    ]
    words = "; ".join(
        f"{name}: mean {found.mean:,.1f}, median {found.median:,.0f}, longest {found.longest:,}"
        for name, found in drawn.items()
    )
    picture = _draw(
        "bars",
        bars=bars,
        bar=bar,
        ticks=[
            {"at": LEFT + bin_ * step, "label": f"{bin_ * width:,}"}
            for bin_ in range(0, bins + 1, math.ceil(bins / 6))
        ],
        heights=[
            {"at": HEIGHT - BOTTOM - part * INNER_HEIGHT, "label": f"{part * most:.0%}"}
            for part in (0, 0.5, 1)
        ],
        names=[{"name": name, "kind": kinds[name]} for name in drawn],
        unit=unit,
    )
    return Chart(title, picture, words or "nothing to count")


def shares(title: str, unit: str, counts: Sequence[int], width: float, place: int = 0) -> Chart:
    """Bars of shares of a whole, such as a probability in bins.

    Args:
        title: What they show.
        unit: Of the bins.
        counts: Of each bin, from 0 on; one at least is positive.
        width: Of a bin.
        place: Of the run among the report's runs, for its colour.
    """
    total, most, step = sum(counts), max(counts), INNER_WIDTH / len(counts)
    labels = [f"{bin_ * width:.1f}–{(bin_ + 1) * width:.1f}" for bin_ in range(len(counts))]
    picture = _draw(
        "bars",
        bars=[
            {
                "x": LEFT + bin_ * step + step * 0.07,
                "height": count / most * INNER_HEIGHT,
                "kind": f"run{place % len(SHAPES)}",
                "says": f"{label}: {count:,} ({count / total:.1%})",
            }
            for bin_, (label, count) in enumerate(zip(labels, counts, strict=True))
        ],
        bar=step * 0.86,
        ticks=[
            {"at": LEFT + bin_ * step, "label": f"{bin_ * width:.1f}"}
            for bin_ in range(0, len(counts) + 1, 2)
        ],
        heights=[
            {"at": HEIGHT - BOTTOM - part * INNER_HEIGHT, "label": f"{part * most / total:.0%}"}
            for part in (0, 0.5, 1)
        ],
        names=[],
        unit=unit,
    )
    counted = (
        f"{label}: {count / total:.1%}"
        for label, count in zip(labels, counts, strict=True)
        if count
    )
    return Chart(title, picture, ", ".join(counted))


def words(
    title: str, sides: Mapping[str, Sequence[tuple[str, float]]], runs: Sequence[str] = ()
) -> Chart:
    """Words of two sides, with bars to the left and to the right.

    Args:
        title: What they show.
        sides: By side, its words and their weights, the heaviest first; `student` and `teacher`
            have their own colours.
        runs: The report's runs, as for `histograms`.
    """
    kinds = _kinds(sides, runs)
    most = max((weight for side in sides.values() for _, weight in side), default=1.0)
    bars = [
        {
            "sign": sign,
            "row": row,
            "length": weight / most * WIDTH / 4,
            "kind": kinds[name],
            "word": word,
            "says": f"{word}: {weight:.1f}, more in {name}",
        }
        for sign, (name, side) in zip((-1, 1), sides.items(), strict=True)
        for row, (word, weight) in enumerate(side)
    ]
    names = [{"name": name, "kind": kinds[name]} for name in sides]
    rows = max((len(side) for side in sides.values()), default=0)
    said = "; ".join(
        f"more in {name}: {', '.join(word for word, _ in side)}" for name, side in sides.items()
    )
    return Chart(title, _draw("words", bars=bars, names=names, rows=rows), said)


def scatter(
    title: str, clouds: Mapping[str, Cloud], explained: Sequence[float], runs: Sequence[str] = ()
) -> Chart:
    """Points of several runs on two axes, with the centroid of each; `runs` as for `histograms`."""
    places = _places(clouds, runs)
    every = np.vstack([cloud.points for cloud in clouds.values()])
    low, high = every.min(0), every.max(0)
    scale = np.where(high > low, high - low, 1.0)

    def placed(points: Array) -> list[tuple[float, float]]:
        unit = (points - low) / scale
        xs = LEFT + MARGIN + unit[:, 0] * (INNER_WIDTH - 2 * MARGIN)
        ys = 2 * HEIGHT - BOTTOM - MARGIN - unit[:, 1] * (INNER_HEIGHT + HEIGHT - 2 * MARGIN)
        return [(round(float(x), 1), round(float(y), 1)) for x, y in zip(xs, ys, strict=True)]

    groups = []
    for label, cloud in clouds.items():
        picked = np.linspace(0, len(cloud.points) - 1, min(MOST_POINTS, len(cloud.points)))
        groups.append(
            {
                "name": label,
                "kind": f"run{places[label]}",
                "shape": SHAPES[places[label]],
                "points": placed(cloud.points[picked.astype(int)]),
                "centroid": placed(np.array([cloud.centroid]))[0],
            }
        )
    words = "; ".join(
        f"{label}: centroid at {cloud.centroid[0]:.3f}, {cloud.centroid[1]:.3f}"
        for label, cloud in clouds.items()
    )
    return Chart(title, _draw("scatter", groups=groups, explained=explained), words)


def _range(bin_: int, bins: int, width: int) -> str:
    """The lengths of a bin, in words."""
    start = bin_ * width
    if bin_ == bins - 1:
        return f"{start:,} or more"
    return f"{start:,}" if width == 1 else f"{start:,} to {start + width - 1:,}"


def _places(names: Iterable[str], runs: Sequence[str]) -> dict[str, int]:
    """The place of each run among the report's runs, which gives it its colour and its mark."""
    return {name: number % len(SHAPES) for number, name in enumerate(runs or names)}


def _kinds(names: Iterable[str], runs: Sequence[str]) -> dict[str, str]:
    """What the colour of each name is called."""
    places, own = _places(names, runs), ("student", "teacher")
    return {name: name if name in own else f"run{places[name]}" for name in names}


@cache
def _template() -> jinja2.Template:
    source = resources.files("tessy.report").joinpath("charts.svg.jinja").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=visible_value,
    )
    return environment.from_string(source)


def _draw(kind: str, **values: Any) -> Markup:
    size = {"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT, "bottom": BOTTOM}
    return Markup(_template().render(kind=kind, top=TOP, **size, **values))
