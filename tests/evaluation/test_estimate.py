"""Estimates against what can be counted by hand or by brute force."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.evaluation.estimate import ks, mean, pass_at_k


@given(st.integers(1, 8), st.data())
def test_pass_at_k_is_the_share_of_sets_that_hold_a_right_answer(runs, data):
    right = data.draw(st.integers(0, runs))
    k = data.draw(st.integers(1, runs))
    answers = [index < right for index in range(runs)]
    sets = list(combinations(answers, k))
    assert pass_at_k(right, runs, k) == pytest.approx(sum(map(any, sets)) / len(sets))


@given(st.integers(1, 50), st.data())
def test_pass_at_1_is_the_mean_over_runs(runs, data):
    right = data.draw(st.integers(0, runs))
    assert pass_at_k(right, runs, 1) == pytest.approx(right / runs)


@pytest.mark.parametrize(("right", "runs", "k"), [(0, 1, 2), (2, 1, 1), (-1, 3, 1), (1, 3, 0)])
def test_what_cannot_be_estimated_is_refused(right, runs, k):
    with pytest.raises(ValueError, match=f"pass@{k}"):
        pass_at_k(right, runs, k)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_an_interval_holds_the_mean_and_stays_among_the_values(values):
    found = mean(values, resamples=200)
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9
    assert found.value == pytest.approx(sum(values) / len(values))


def test_an_interval_is_as_wide_as_theory_says():
    """Of 400 questions, half right: the standard error is 2.5 points."""
    found = mean([0.0, 1.0] * 200, resamples=4000)
    assert found.low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.006)
    assert found.high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.006)


def test_the_bootstrap_is_the_same_however_much_is_drawn_at_once(monkeypatch):
    values = [0.0, 1.0, 1.0, 0.5] * 5
    whole = mean(values, resamples=300)
    monkeypatch.setattr("tessy.evaluation.estimate._AT_ONCE", 40)
    assert mean(values, resamples=300) == whole


def test_no_questions_no_number():
    assert math.isnan(mean([]).value)


@pytest.mark.parametrize(
    ("runs", "wanted"), [(1, [1]), (2, [1, 2]), (5, [1, 2, 4, 5]), (8, [1, 2, 4, 8])]
)
def test_the_k_that_are_shown(runs, wanted):
    assert ks(runs) == wanted
