"""Figures with bootstrap intervals over questions.

Samples of one question are not independent, so questions are drawn, not samples. All figures of
a report are ratios of sums, or means, which are ratios with a one below.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.intp]

_AT_ONCE = 100
"""Resamples that are drawn at once, so that memory stays small."""


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """How intervals are made.

    Attributes:
        samples: Resamples; 0 for no intervals.
        seed: The same seed gives the same intervals.
    """

    samples: int = 1000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure and its 95% interval; nan where there is nothing to count."""

    value: float
    low: float = math.nan
    high: float = math.nan


def ratios(above: Array, below: Array, bootstrap: Bootstrap) -> list[Figure]:
    """Ratios of sums over questions, all with the same resamples.

    Args:
        above: Numerators, shape (questions, figures).
        below: Denominators, of the same shape.
        bootstrap: How intervals are made.

    Returns:
        A figure for each column.
    """
    figures = above.shape[1]
    values = _divided(above.sum(0), below.sum(0))
    if len(above) < 2 or not bootstrap.samples:
        return [Figure(float(value)) for value in values]
    table = np.hstack([above, below])
    drawn = np.vstack([
        _divided(sums[:, :figures], sums[:, figures:]) for sums in _resampled(table, bootstrap)
    ])  # fmt: skip
    found = []
    for value, column in zip(values, drawn.T, strict=True):
        known = column[~np.isnan(column)]
        low, high = np.quantile(known, (0.025, 0.975)) if len(known) else (math.nan, math.nan)
        found.append(Figure(float(value), float(low), float(high)))
    return found


def means(columns: Array, bootstrap: Bootstrap) -> list[Figure]:
    """Means over questions, shape (questions, figures); see `ratios`."""
    return ratios(columns, np.ones_like(columns), bootstrap)


def by_group(table: Array, groups: Index, count: int) -> Array:
    """Sums of the rows of each group, shape (count, columns)."""
    sums = np.zeros((count, table.shape[1]))
    np.add.at(sums, groups, table)
    return sums


def _resampled(table: Array, bootstrap: Bootstrap) -> list[Array]:
    """Sums of the columns over questions drawn with replacement, some resamples at a time."""
    chance = np.random.default_rng(bootstrap.seed)
    even = np.full(len(table), 1 / len(table))
    return [
        chance.multinomial(len(table), even, min(_AT_ONCE, bootstrap.samples - begun)) @ table
        for begun in range(0, bootstrap.samples, _AT_ONCE)
    ]


def _divided(above: Array, below: Array) -> Array:
    result = np.full(above.shape, math.nan)
    np.divide(above, below, out=result, where=below != 0)
    return result
