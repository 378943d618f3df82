"""Estimates against what can be counted by hand or by brute force."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.evaluation.estimate import ks, mean, pass_at_k
from tessy.report.figures.intervals import wilson


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


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.integers(1, 8))
def test_an_interval_holds_the_mean_and_has_a_width(values, runs):
    found = mean(values, [runs] * len(values))
    assert 0 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= 1
    assert found.high - found.low > 0.001, "also if all are right, or none is"
    assert found.value == pytest.approx(sum(values) / len(values))


@pytest.mark.parametrize(("right", "of"), [(10, 10), (0, 5), (39, 40), (1, 1)])
def test_with_one_sample_of_each_question_it_is_wilson_s(right, of):
    found, expected = mean([1.0] * right + [0.0] * (of - right), [1] * of), wilson(right, of)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_samples_that_are_alike_count_as_one_and_others_by_how_alike_they_are():
    alike, apart = mean([1.0, 0.0] * 20, [4] * 40), mean([0.5] * 40, [4] * 40)
    assert (alike.low, alike.high) == pytest.approx((wilson(20, 40).low, wilson(20, 40).high))
    assert (apart.low, apart.high) == pytest.approx((wilson(80, 160).low, wilson(80, 160).high))


def test_of_many_samples_the_interval_holds_the_truth_as_often_as_it_says():
    """30 questions that differ, 4 samples each: of 400 intervals, 95% hold the share."""
    generator, hits = np.random.default_rng(3), 0
    for _ in range(400):
        rights = generator.binomial(4, generator.beta(1.4, 0.6, 30))
        found = mean(list(rights / 4), [4] * 30)
        hits += found.low <= 0.7 <= found.high
    assert 0.92 < hits / 400 < 0.99


def test_an_interval_is_as_wide_as_theory_says():
    """Of 400 questions, half right: the standard error is 2.5 points."""
    found = mean([0.0, 1.0] * 200, [1] * 400)
    assert found.low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.006)
    assert found.high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.006)


def test_no_questions_no_number():
    assert math.isnan(mean([], []).value)


@pytest.mark.parametrize(
    ("runs", "wanted"), [(1, [1]), (2, [1, 2]), (5, [1, 2, 4, 5]), (8, [1, 2, 4, 8])]
)
def test_the_k_that_are_shown(runs, wanted):
    assert ks(runs) == wanted
