"""How well a judge's scores agree with what was measured. Pure.

*Spearman's rho* is the correlation of ranks, equal values sharing their mean rank; its interval is
that of Bonett and Wright (Psychometrika 65, 2000). *AUC* is the chance that of two questions, one
that is worth keeping by its measured rates and one that is not, the judge scores the former higher,
a tie counting half; its interval is that of Hanley and McNeil (Radiology 143, 1982).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_Z = 1.959964
"""Where the middle 95% of the normal distribution end."""
_LEAST = 4
"""Questions of which Spearman's interval can be told at all."""
FEW = 30
"""With fewer questions, an interval that relies on many is itself not to be relied on."""

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a judge's scores agree with something that was measured.

    Attributes:
        what: What was measured.
        measure: `rho`, Spearman's, or `AUC`.
        value: Its value; nan if it can't be told.
        low: Where its 95% interval begins; nan if it can't be told.
        high: Where it ends.
        count: Questions that have both numbers; for AUC, those that are worth keeping.
        others: For AUC, the questions that are not.
    """

    what: str
    measure: str
    value: float
    low: float
    high: float
    count: int
    others: int = 0

    @property
    def none_at(self) -> float:
        """The value without any agreement."""
        return 0.0 if self.measure == "rho" else 0.5

    def verdict(self) -> str:
        """What it says, in words."""
        few = self.count < FEW if self.measure == "rho" else min(self.count, self.others) < FEW // 2
        if math.isnan(self.value):
            return "can't be told"
        if math.isnan(self.low) or self.low <= self.none_at <= self.high:
            return "may be chance" + (": too few questions" if few else "")
        which = "agrees" if self.value > self.none_at else "contradicts"
        return which + (", of few questions" if few else "")


def spearman(what: str, scores: Values, measured: Values) -> Agreement:
    """Spearman's rho of scores and what was measured.

    Args:
        what: What was measured.
        scores: The judge's, shape (questions,); nan where there is none.
        measured: Of the same shape; nan where it was not measured.
    """
    both = ~(np.isnan(scores) | np.isnan(measured))
    count = int(both.sum())
    first, second = _ranks(scores[both]), _ranks(measured[both])
    if count < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return Agreement(what, "rho", math.nan, math.nan, math.nan, count)
    value = float(np.clip(np.corrcoef(first, second)[0, 1], -1, 1))
    low = high = math.nan
    if count >= _LEAST and abs(value) < 1:
        half = _Z * math.sqrt((1 + value**2 / 2) / (count - 3))
        low, high = (math.tanh(math.atanh(value) + side * half) for side in (-1, 1))
    return Agreement(what, "rho", value, low, high, count)


def auc(what: str, scores: Values, worth: NDArray[np.bool_], known: NDArray[np.bool_]) -> Agreement:
    """The area under the curve of scores as a guess at what is worth keeping.

    Args:
        what: By what questions are worth keeping.
        scores: The judge's, shape (questions,); nan where there is none.
        worth: Whether a question is worth keeping, of the same shape.
        known: Whether that was measured, of the same shape.
    """
    both = known & ~np.isnan(scores)
    is_worth = worth[both]
    count, others = int(is_worth.sum()), int((~is_worth).sum())
    if not count or not others:
        return Agreement(what, "AUC", math.nan, math.nan, math.nan, count, others)
    ranks = _ranks(scores[both])
    area = float((ranks[is_worth].sum() - count * (count + 1) / 2) / (count * others))
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (count - 1) * (first - area**2) + (others - 1) * (second - area**2)
    half = _Z * math.sqrt(max(0.0, spread) / (count * others))
    if half == 0:  # no question is out of order: nothing is known of how far that may be chance
        return Agreement(what, "AUC", area, math.nan, math.nan, count, others)
    return Agreement(what, "AUC", area, max(0.0, area - half), min(1.0, area + half), count, others)


def _ranks(values: Values) -> Values:
    """Ranks from 1; equal values share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    found: Values = (ends - (counts - 1) / 2)[inverse]
    return found
