"""Agreement: as counted by hand, and honest where little is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.selection.agreement import auc, spearman

SCORES = st.lists(st.integers(0, 5).map(float), min_size=2, max_size=30)


def numbers(*values):
    return np.array(values, float)


@given(SCORES, st.data())
def test_auc_is_the_share_of_pairs_in_order(scores, data):
    worth = data.draw(st.lists(st.booleans(), min_size=len(scores), max_size=len(scores)))
    found = auc("x", np.array(scores), np.array(worth), np.ones(len(scores), bool))
    assert (found.count, found.others) == (sum(worth), len(worth) - sum(worth))
    if len(set(worth)) < 2:
        assert math.isnan(found.value)
        assert found.verdict() == "can't be told"
        return
    ours = [
        [score for score, w in zip(scores, worth, strict=True) if w is of] for of in (True, False)
    ]
    pairs = [(x > y) + (x == y) / 2 for x in ours[0] for y in ours[1]]
    assert found.value == pytest.approx(sum(pairs) / len(pairs))
    assert math.isnan(found.low) or 0 <= found.low <= found.value <= found.high <= 1


@given(SCORES)
def test_what_rises_together_agrees_and_the_opposite_contradicts(scores):
    scores = np.array(scores)
    found = spearman("x", scores, scores**3 + 1)
    against = spearman("x", scores, -scores)
    if np.ptp(scores) == 0:
        assert math.isnan(found.value)
        return
    assert found.value == pytest.approx(1)
    assert against.value == pytest.approx(-1)


def test_spearman_by_hand_with_ties():
    # Ranks 1, 2.5, 2.5, 4 and 2, 1, 3, 4: covariance 3 / sqrt(4.5 * 5).
    found = spearman("x", numbers(1, 5, 5, 9), numbers(0.2, 0.1, 0.3, 0.4))
    assert found.value == pytest.approx(3 / math.sqrt(4.5 * 5))
    assert found.low < 0 < found.high
    assert found.verdict() == "may be chance: too few questions"


def test_only_questions_with_both_numbers_count():
    nan = math.nan
    found = spearman("x", numbers(1, nan, 3, 4), numbers(1, 2, nan, 4))
    assert found.count == 2
    known = np.array([True, False, True, True])
    assert auc("x", numbers(1, 2, nan, 4), np.array([True] * 3 + [False]), known).others == 1


def test_many_questions_tell_more_than_few():
    draw = np.random.default_rng(0)
    rates = draw.random(2000)
    scores = rates + draw.normal(0, 0.5, 2000)
    few, many = (spearman("x", scores[:n], rates[:n]) for n in (10, 2000))
    assert many.high - many.low < 0.1 < few.high - few.low
    assert many.verdict() == "agrees"
    assert spearman("x", -scores, rates).verdict() == "contradicts"
    worth = rates > 0.5
    known = np.ones(2000, bool)
    assert auc("x", scores, worth, known).verdict() == "agrees"
    assert auc("x", scores[:12], worth[:12], known[:12]).verdict().endswith("few questions")
    noise = draw.random(2000)
    assert spearman("x", noise, rates).verdict() == "may be chance"


def test_without_a_question_out_of_order_the_interval_is_not_told():
    found = auc("x", numbers(1, 2, 8, 9), numbers(0, 0, 1, 1) > 0, np.ones(4, bool))
    assert found.value == 1
    assert math.isnan(found.low)
    assert found.verdict() == "may be chance: too few questions"
