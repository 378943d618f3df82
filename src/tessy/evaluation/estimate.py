"""Estimates over questions: means and pass@k, with bootstrap intervals. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator

Number = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]
"""A float; JSON writes nan as null, so null is read as nan."""
_AT_ONCE = 2**22
"""Numbers that a bootstrap draws at once: 32 MB."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over questions and its 95% bootstrap interval; nan without questions."""

    value: Number
    low: Number
    high: Number


def mean(values: Sequence[float], *, resamples: int = 2000, seed: int = 0) -> Estimate:
    """The mean of one number per question.

    Args:
        values: One for each question. The bootstrap draws questions, since samples of one question
            are not independent of each other.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.
    """
    if not values:
        return Estimate(math.nan, math.nan, math.nan)
    array = np.asarray(values, dtype=float)
    generator = np.random.default_rng(seed)
    at_once = max(1, _AT_ONCE // len(array))
    means: list[NDArray[np.float64]] = []
    for begin in range(0, resamples, at_once):
        size = (min(at_once, resamples - begin), len(array))
        means.append(array[generator.integers(0, len(array), size)].mean(axis=1))
    low, high = np.quantile(np.concatenate(means), (0.025, 0.975))
    return Estimate(float(array.mean()), float(low), float(high))


def pass_at_k(right: int, samples: int, k: int) -> float:
    """The unbiased estimate of the chance that at least one of k answers is right.

    1 − C(samples − right, k) / C(samples, k): the share of all sets of k samples that hold a
    right one (Chen et al., *Evaluating Large Language Models Trained on Code*, arXiv 2107.03374,
    section 2.1).

    Args:
        right: Samples of the question with a right answer.
        samples: All samples of the question; at least k.
        k: How many answers are drawn.

    Raises:
        ValueError: There are fewer samples than k.
    """
    if not 0 <= right <= samples or not 1 <= k <= samples:
        raise ValueError(f"pass@{k} of {right} right in {samples} samples")
    return 1.0 - math.comb(samples - right, k) / math.comb(samples, k)


def ks(samples: int) -> list[int]:
    """The k for which pass@k is shown: powers of two, and all samples."""
    powers = [2**n for n in range(samples.bit_length()) if 2**n <= samples]
    return powers if powers[-1:] == [samples] else [*powers, samples]
