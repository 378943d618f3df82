"""Wilson's interval of a share."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.report.figures.intervals import wilson


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
