"""Calibration of a classifier on held-out segments: temperature, bias and thresholds.

Platt scaling calibrates P(style) of words: a temperature and a bias of the log-odds that make the
labels most likely. The thresholds are then those of least cost on the same words: in a teacher's
text, `cost` for each word of style that is kept and 1 for each word of reasoning that is cut; in a
student's, `cost` for each word of reasoning that is kept and 1 for each word of style that is cut.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tessy.boundary.classifier import ClassifierPredictor
from tessy.boundary.settings import ClassifierSettings, Thresholds
from tessy.boundary.training.segments import Segment
from tessy.boundary.training.walk import labellings, truth

Array = NDArray[np.float64]

_STEPS = 200
_GRID = np.linspace(0.1, 0.9, 81)
_EDGE = 1e-6
_PRIOR = 1e-2
_SMALLEST = 1e-8
_CHANGED = 0.0015
"""Share of words."""
_STEP = 0.01


@dataclass(frozen=True, slots=True)
class Calibration:
    """What makes P(style) of the log-odds of a network, and how it is read.

    Attributes:
        temperature: The log-odds are divided by it.
        bias: It is added after that.
        thresholds: P(style) from which a word counts as style.
    """

    temperature: float
    bias: float
    thresholds: Thresholds

    def scores(self, odds: Array) -> Array:
        """P(style) of log-odds, [words]."""
        return np.asarray(1 / (1 + np.exp(-(odds / self.temperature + self.bias))))


def calibration(odds: Array, style: Array, *, cost: float) -> Calibration:
    """Calibrate a network on words that it was not trained on.

    Args:
        odds: Its log-odds of style, [words].
        style: 1 for style, 0 for capability, [words].
        cost: The cost of a wrong word that is kept; a right word that is cut costs 1.
    """
    found = Calibration(*platt(odds, style), Thresholds())
    scores = found.scores(odds)
    thresholds = Thresholds(
        teacher=cheapest(scores, style, through=cost, short=1.0),
        student=cheapest(scores, style, through=1.0, short=cost),
    )
    return replace(found, thresholds=thresholds)


def calibrated(
    raw: ClassifierPredictor, held: Sequence[Segment], *, cost: float
) -> ClassifierSettings:
    """The settings of a predictor after calibration.

    Args:
        raw: The predictor, not calibrated yet.
        held: Labelled segments that its network was not trained on.
        cost: As for `calibration`.
    """
    known = [
        pair
        for segment, found in zip(held, labellings(raw, held), strict=True)
        for pair in zip(truth(segment).kinds, found.scores or (), strict=True)
        if not math.isnan(pair[1])
    ]
    style = np.array([kind for kind, _ in known], float)
    found = calibration(logit(np.array([score for _, score in known])), style, cost=cost)
    return raw.settings.model_copy(update=asdict(found) | {"thresholds": found.thresholds})


def margins(scores: Sequence[Array], thresholds: Thresholds) -> tuple[float, ...]:
    """How near to the threshold P(style) may be with few words after a word, before it waits.

    They are the smallest with which no more than `_CHANGED` of the words are decided early and
    otherwise than with all words after them.

    Args:
        scores: P(style) of words with no, one, two, … words after them, [words] each; the last
            ones with as many as are ever looked at.
        thresholds: P(style) from which a word counts as style.
    """
    *early, last = scores
    at = (thresholds.teacher + thresholds.student) / 2
    found = []
    for each in early:
        changed = np.sort(np.abs(each - at)[(each > at) != (last > at)])[::-1]
        allowed = int(_CHANGED * len(last))
        found.append(round(float(changed[allowed]) + _STEP, 2) if len(changed) > allowed else 0.0)
    return tuple(found)


def logit(scores: Array) -> Array:
    """Finite log-odds of probabilities, [words]."""
    clipped = np.clip(scores, _EDGE, 1 - _EDGE)
    return np.log(clipped) - np.log1p(-clipped)


def platt(odds: Array, style: Array) -> tuple[float, float]:
    """Temperature and bias that make the labels most likely (Newton's method).

    Args:
        odds: Log-odds of style, [words].
        style: 1 for style, 0 for capability, [words].

    Returns:
        Temperature (> 0) and bias.
    """
    design = np.stack([odds, np.ones_like(odds)], axis=1)
    at = np.array([1.0, 0.0])
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(design @ at, -50, 50)))
        gradient = design.T @ (chance - style) + _PRIOR * (at - (1.0, 0.0))
        curve = (design * (chance * (1 - chance))[:, None]).T @ design + _PRIOR * np.eye(2)
        step = np.linalg.solve(curve, gradient)
        # A whole step may overshoot if the network is very sure: the curve is flat there.
        while _loss(design, style, at - step) > _loss(design, style, at):
            step /= 2
            if np.abs(step).max() < _SMALLEST:
                break
        at = at - step
        if np.abs(step).max() < _SMALLEST:
            break
    slope, bias = max(at[0], 1e-3), at[1]
    return 1 / float(slope), float(bias)


def _loss(design: Array, style: Array, at: Array) -> float:
    """The negative log-likelihood of the labels, plus a penalty on the distance from (1, 0)."""
    odds = design @ at
    unlikely = np.logaddexp(0, odds) - style * odds
    return float(unlikely.sum() + _PRIOR / 2 * ((at - (1.0, 0.0)) ** 2).sum())


def cheapest(scores: Array, style: Array, *, through: float, short: float) -> float:
    """The threshold of least cost; of several, the one in the middle.

    Args:
        scores: P(style), [words].
        style: 1 for style, 0 for capability, [words].
        through: The cost of a style word at or below the threshold.
        short: The cost of a capability word above it.
    """
    costs = np.array(
        [
            through * ((scores <= at) & (style == 1)).sum()
            + short * ((scores > at) & (style == 0)).sum()
            for at in _GRID
        ]
    )
    best = _GRID[costs == costs.min()]
    return round(float(best[len(best) // 2]), 3)
