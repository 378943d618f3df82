"""Ratios of sums, with intervals over questions.

Samples of one question are not independent, so intervals are about questions, not samples. All
figures of a report are ratios of sums, or means, which are ratios whose denominator counts. Those
of right answers have Wilson's interval (`right_share`), the others one by bootstrap (`ratios`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

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


class QuestionSums(NamedTuple):
    """Right answers, summed over questions.

    Attributes:
        questions: How many questions there are.
        right: Right samples, …
        of: … of so many.
        right_squared: The sum of their squares by question, …
        both: … of right ones times all, …
        of_squared: … and of the squares of all.
    """

    questions: float
    right: float
    of: float
    right_squared: float
    both: float
    of_squared: float

    @classmethod
    def over(cls, right: ArrayLike, of: ArrayLike) -> QuestionSums:
        """The sums of two arrays, each with a number by question."""
        above, below = np.asarray(right, float), np.asarray(of, float)
        sums = (above.sum(), below.sum(), above @ above, above @ below, below @ below)
        return cls(int(np.count_nonzero(below)), *map(float, sums))


def right_share(sums: QuestionSums) -> Interval:
    """The share of right answers, with Wilson's 95% interval of the effective number of samples.

    That number is the one of independent samples whose share would vary as much as this one does
    from question to question (Franco, Little, Louis and Slud, *Comparative Study of Confidence
    Intervals for Proportions in Complex Sample Surveys*, J. Survey Stat. Methodol. 7, 2019). With
    one sample of each question it is their number: the interval is `wilson`'s. If all answers are
    right, or none is, nothing tells how alike those of one question are, so they count as one.

    Args:
        sums: The sums over questions.
    """
    if not sums.of:
        return Interval(math.nan)
    share = min(1.0, sums.right / sums.of)
    fewest = sums.of**2 / sums.of_squared  # Kish, *Survey Sampling*, 1965, section 11.7
    apart = sums.right_squared - 2 * share * sums.both + share**2 * sums.of_squared
    if not 0 < share < 1 or sums.questions < 2:
        return wilson(share * fewest, fewest)
    variance = sums.questions / (sums.questions - 1) * max(0.0, apart) / sums.of**2
    found = share * (1 - share) / variance if variance else math.inf
    effective = min(sums.of, max(fewest, found))
    return wilson(share * effective, effective)


def wilson(part: float, of: float) -> Interval:
    """A share of independent trials, with Wilson's 95% score interval (JASA 22, 1927).

    Unlike a bootstrap it is honest where all trials, or none, are a success.

    Args:
        part: Successes.
        of: Trials.
    """
    if not of:
        return Interval(math.nan)
    share, weight = min(1.0, part / of), _Z**2 / of
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
