"""Estimates over questions: means and pass@k, with their intervals. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import BeforeValidator

from tessy.report.figures.intervals import QuestionSums, right_share

Number = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]
"""A float; JSON writes nan as null, so null is read as nan."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over questions and its 95% interval; nan without questions."""

    value: Number
    low: Number
    high: Number


def mean(values: Sequence[float], samples: Sequence[int]) -> Estimate:
    """The mean of one share per question, with its interval (`report.figures.right_share`).

    Each question counts by its samples, so pass@1 is the share of right ones in every report.

    Args:
        values: One for each question, 0 to 1.
        samples: How many samples each question has.
    """
    found = right_share(QuestionSums.over(np.multiply(values, samples), samples))
    return Estimate(found.value, found.low, found.high)


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
