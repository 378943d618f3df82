"""Estimates over questions: means and pass@k, with bootstrap intervals. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 2**22
"""Numbers of a bootstrap that are drawn at once: 32 MB."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over questions and its 95% bootstrap interval; nan where there are no questions."""

    value: float
    low: float
    high: float


def mean(values: Sequence[float], *, samples: int = 2000, seed: int = 0) -> Estimate:
    """The mean of one number a question.

    Args:
        values: One for each question: questions are what is drawn anew, since runs of one
            question are not independent of each other.
        samples: Of the bootstrap.
        seed: Of the bootstrap.
    """
    if not values:
        return Estimate(math.nan, math.nan, math.nan)
    array = np.asarray(values, dtype=float)
    chance = np.random.default_rng(seed)
    each = max(1, _AT_ONCE // len(array))
    drawn: list[NDArray[np.float64]] = []
    for begin in range(0, samples, each):
        size = (min(each, samples - begin), len(array))
        drawn.append(array[chance.integers(0, len(array), size)].mean(axis=1))
    low, high = np.quantile(np.concatenate(drawn), (0.025, 0.975))
    return Estimate(float(array.mean()), float(low), float(high))


def pass_at_k(right: int, runs: int, k: int) -> float:
    """The unbiased estimate of the chance that one of k answers is right.

    1 − C(runs − right, k) / C(runs, k): the share of the sets of k of these runs that hold a
    right one (Chen et al., *Evaluating Large Language Models Trained on Code*, arXiv 2107.03374,
    section 2.1).

    Args:
        right: Runs whose answer is right.
        runs: All runs of the question; at least k.
        k: How many answers are drawn.

    Raises:
        ValueError: There are fewer runs than k.
    """
    if not 0 <= right <= runs or not 1 <= k <= runs:
        raise ValueError(f"pass@{k} of {right} right in {runs} runs")
    return 1.0 - math.comb(runs - right, k) / math.comb(runs, k)


def ks(runs: int) -> list[int]:
    """The k for which pass@k is shown: powers of two, and all runs."""
    powers = [2**n for n in range(runs.bit_length()) if 2**n <= runs]
    return powers if powers[-1:] == [runs] else [*powers, runs]
