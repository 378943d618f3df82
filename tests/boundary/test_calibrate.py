"""Temperature, bias and threshold of a predictor."""

from __future__ import annotations

import numpy as np
import pytest

from tessy.boundary.training.calibrate import cheapest, platt


def test_platt_finds_the_temperature_and_bias_that_were_put_in():
    chance = np.random.default_rng(0)
    odds = chance.normal(0, 3, 40_000)
    style = chance.random(len(odds)) < 1 / (1 + np.exp(-(odds / 2.5 - 0.7)))
    temperature, bias = platt(odds, style.astype(float))
    assert temperature == pytest.approx(2.5, rel=0.05)
    assert bias == pytest.approx(-0.7, abs=0.05)


def test_platt_is_not_carried_away_by_a_network_that_is_too_sure():
    chance = np.random.default_rng(0)
    odds = np.where(chance.random(5000) < 0.2, 13.0, -13.0)
    style = (odds > 0) ^ (chance.random(len(odds)) < 0.03)
    temperature, bias = platt(odds, style.astype(float))
    scores = 1 / (1 + np.exp(-(odds / temperature + bias)))
    assert scores.max() == pytest.approx(0.97, abs=0.02)
    assert scores.min() == pytest.approx(0.03, abs=0.01)


def test_the_threshold_follows_the_cost():
    chance = np.random.default_rng(1)
    scores = chance.random(20_000)
    style = (chance.random(len(scores)) < scores).astype(float)
    even = cheapest(scores, style, through=1, short=1)
    careful = cheapest(scores, style, through=1, short=4)
    assert even == pytest.approx(0.5, abs=0.05)
    assert careful == pytest.approx(0.8, abs=0.05)
