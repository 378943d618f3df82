"""Intervals: Wilson's of a share, and those of ratios."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.report.figures import intervals
from tessy.report.figures.intervals import Bootstrap, ratios, wilson


@pytest.mark.parametrize(
    ("part", "of", "low", "high"),
    [(10, 10, 0.7225, 1.0), (0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (18, 20, 0.699, 0.9721)],
)
def test_known_intervals(part, of, low, high):
    """From R: `binom::binom.confint(part, of, methods = "wilson")`."""
    found = wilson(part, of)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 10**6), st.data())
def test_it_holds_the_share_and_mirrors(of, data):
    part = data.draw(st.integers(0, of))
    found, mirrored = wilson(part, of), wilson(of - part, of)
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value <= found.high + 1e-12 <= 1 + 1e-12
    assert found.low == pytest.approx(1 - mirrored.high, abs=1e-9)


def test_of_nothing_nothing_is_known():
    assert math.isnan(wilson(0, 0).value)


def test_with_many_questions_the_interval_is_that_of_a_bootstrap(monkeypatch):
    chance, count = np.random.default_rng(1), 2000
    below = chance.integers(1, 2000, count).astype(float)
    above = below * chance.beta(2, 1, count)
    hits = (chance.random(count) < 0.3).astype(float)
    nothing = np.zeros(count)
    tables = np.stack([above, hits, nothing], 1), np.stack([below, np.ones(count), nothing], 1)
    questions = [bytes(divmod(n, 256)) for n in chance.integers(0, 700, count)]
    drawn = ratios(*tables, questions, Bootstrap(4000, 1))
    monkeypatch.setattr(intervals, "MANY", 100)
    normal = ratios(*tables, questions, Bootstrap(4000, 1))
    for one, other in zip(drawn[:2], normal[:2], strict=True):
        width = one.high - one.low
        assert other.value == one.value
        assert (other.low, other.high) == pytest.approx((one.low, one.high), abs=0.05 * width)
    assert math.isnan(normal[2].value)
    assert math.isnan(normal[2].low), "nothing to divide by"
