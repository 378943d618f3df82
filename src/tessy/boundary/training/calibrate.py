"""Calibration of a classifier on held-out segments: temperature, bias and thresholds.

Platt scaling calibrates P(style) of words: a temperature and a bias of the log-odds that make the
labels most likely. The thresholds are then those of least cost on the same words: in a teacher's
text, `cost` for each word of style that is kept and 1 for each word of reasoning that is cut; in a
student's, `cost` for each word of reasoning that is kept and 1 for each word of style that is cut.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from tessy.boundary.classifier import ClassifierPredictor, Network
from tessy.boundary.settings import ClassifierSettings, Thresholds
from tessy.boundary.training.segments import Segment
from tessy.boundary.training.walk import labellings, truth

Array = NDArray[np.float64]

_STEPS = 200
_GRID = np.linspace(0.1, 0.9, 81)
_EDGE = 1e-6
_PRIOR = 1e-2
_SMALLEST = 1e-8


def calibrated(
    name: str,
    tokenizer: Tokenizer,
    network: Network,
    shape: ClassifierSettings,
    held: Sequence[Segment],
    *,
    cost: float,
) -> ClassifierPredictor:
    """A calibrated predictor.

    Args:
        name: The name of the predictor.
        tokenizer: The tokenizer of the network.
        network: Gives the log-odds of style.
        shape: The settings of the network, not calibrated yet.
        held: Labelled segments that the network was not trained on.
        cost: The cost of a wrong word that is kept; a right word that is cut costs 1.
    """
    raw = ClassifierPredictor(name, tokenizer, network, shape)
    known = [
        pair
        for segment, found in zip(held, labellings(raw, held), strict=True)
        for pair in zip(truth(segment).kinds, found.scores or (), strict=True)
        if not math.isnan(pair[1])
    ]
    style = np.array([kind for kind, _ in known], float)
    odds = logit(np.array([score for _, score in known]))
    temperature, bias = platt(odds, style)
    scores = 1 / (1 + np.exp(-(odds / temperature + bias)))
    settings = shape.model_copy(
        update={
            "temperature": temperature,
            "bias": bias,
            "thresholds": Thresholds(
                teacher=cheapest(scores, style, through=cost, short=1.0),
                student=cheapest(scores, style, through=1.0, short=cost),
            ),
        }
    )
    return ClassifierPredictor(name, tokenizer, network, settings)


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
