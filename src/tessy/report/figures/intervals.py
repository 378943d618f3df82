"""Ratios of sums, with bootstrap intervals over questions.

Samples of one question are not independent, so questions are drawn, not samples. All figures of a
report are ratios of sums, or means, which are ratios whose denominator counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_Z = 1.959964
"""Where the middle 95% of the normal distribution end."""
_AT_ONCE = 100
"""Resamples drawn at once, so that memory stays small."""
MANY = 10_000
"""With more questions, a bootstrap costs minutes and gives what the normal distribution gives."""


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """How intervals are made.

    Attributes:
        samples: Number of resamples; 0 for no intervals.
        seed: The same seed gives the same intervals.
    """

    samples: int = 1000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and its 95% interval; nan where there is nothing to count."""

    value: float
    low: float = math.nan
    high: float = math.nan


def wilson(part: int, of: int) -> Interval:
    """A share of independent trials, with Wilson's 95% score interval (JASA 22, 1927).

    Unlike a bootstrap it is honest where all trials, or none, are a success.

    Args:
        part: Successes.
        of: Trials.
    """
    if not of:
        return Interval(math.nan)
    share, weight = part / of, _Z**2 / of
    middle = (share + weight / 2) / (1 + weight)
    half = _Z * math.sqrt(share * (1 - share) / of + weight / (4 * of)) / (1 + weight)
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


def ratios(
    above: Array, below: Array, questions: Sequence[bytes], bootstrap: Bootstrap
) -> list[Interval]:
    """Ratios of sums, all with the same resamples of the questions.

    With more than `MANY` questions, the interval is that of the normal distribution, with the
    variance of the ratio's linear part (the delta method; Cochran, *Sampling Techniques*, 2.11).

    Args:
        above: Numerators, shape (rows, ratios).
        below: Denominators, of the same shape.
        questions: The key of each row's question.
        bootstrap: How intervals are made.

    Returns:
        The ratio of each column.
    """
    numbers = {key: number for number, key in enumerate(dict.fromkeys(questions))}
    table = np.zeros((len(numbers), 2 * above.shape[1]))
    rows = np.array([numbers[key] for key in questions], np.intp)
    np.add.at(table, rows, np.hstack([above, below]))
    values = _divided(table.sum(0))
    if len(numbers) < 2 or not bootstrap.samples:
        return [Interval(float(value)) for value in values]
    if len(numbers) > MANY:
        return _normal(table, values)
    resampled = np.vstack([_divided(sums) for sums in _resampled(table, bootstrap)])
    return [
        Interval(float(value), *_middle(column))
        for value, column in zip(values, resampled.T, strict=True)
    ]


def _normal(table: Array, values: Array) -> list[Interval]:
    above, below = np.split(table, 2, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = (above - values * below) / below.mean(0)
        half = _Z * np.sqrt(apart.var(0, ddof=1) / len(table))
    return [
        Interval(float(value), float(value - each), float(value + each))
        for value, each in zip(values, half, strict=True)
    ]


def _resampled(table: Array, bootstrap: Bootstrap) -> list[Array]:
    """Sums of the columns over questions drawn with replacement, `_AT_ONCE` resamples at a time."""
    generator = np.random.default_rng(bootstrap.seed)
    even = np.full(len(table), 1 / len(table))
    return [
        generator.multinomial(len(table), even, min(_AT_ONCE, bootstrap.samples - done)) @ table
        for done in range(0, bootstrap.samples, _AT_ONCE)
    ]


def _divided(sums: Array) -> Array:
    """The first half of the last axis over the second; nan where that is 0."""
    above, below = np.split(sums, 2, axis=-1)
    result = np.full(above.shape, math.nan)
    np.divide(above, below, out=result, where=below != 0)
    return result


def _middle(values: Array) -> tuple[float, float]:
    """Where the middle 95% of the values that are known begin and end."""
    known = values[~np.isnan(values)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.quantile(known, (0.025, 0.975))
    return float(low), float(high)
