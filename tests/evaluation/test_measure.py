"""From samples to figures, computed by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.evaluation.measure import EvalOutcome, EvalSample, measure, outcome_of
from tessy.method.trajectory import Failure
from tessy.report.figures.intervals import QuestionSums, right_share


def samples(question, *outcomes, group="", tokens=10):
    return [EvalSample(question, group, outcome, tokens, 2) for outcome in outcomes]


RIGHT, WRONG, CUT = EvalOutcome.RIGHT, EvalOutcome.WRONG, EvalOutcome.TRUNCATED


def test_figures_of_three_questions():
    found = measure(
        "m",
        [
            *samples("a", RIGHT, RIGHT),
            *samples("b", RIGHT, WRONG, tokens=20),
            *samples("c", CUT, EvalOutcome.NO_ANSWER, tokens=90),
        ],
    )
    whole = found.whole
    assert (whole.questions, whole.samples) == (3, 6)
    assert whole.pass_at[1].value == pytest.approx(0.5)
    assert whole.pass_at[2].value == pytest.approx(2 / 3)
    assert whole.truncated == pytest.approx(1 / 6)
    assert whole.outcomes == {RIGHT: 3, WRONG: 1, CUT: 1, EvalOutcome.NO_ANSWER: 1}
    assert whole.tokens.mean == pytest.approx((12 + 22 + 92) / 3)
    assert whole.tokens.longest == 92
    assert whole.thinking_tokens.median == 20
    assert found.right == {"a": (2, 2), "b": (1, 2), "c": (0, 2)}
    assert found.groups == {}


def test_what_says_nothing_of_the_model_is_left_out_and_counted():
    found = measure(
        "m", [*samples("a", RIGHT, EvalOutcome.UNMEASURED), *samples("b", EvalOutcome.UNMEASURED)]
    )
    assert (found.whole.questions, found.whole.samples) == (1, 1)
    assert found.whole.pass_at[1].value == 1
    assert found.whole.outcomes[EvalOutcome.UNMEASURED] == 2


@given(st.lists(st.lists(st.booleans(), max_size=4), min_size=1, max_size=9))
def test_pass_at_1_is_the_share_that_reports_show_and_pass_at_k_is_no_less(questions):
    """Also where questions have other numbers of samples, as some were not measured."""
    outcomes = [[RIGHT if right else WRONG for right in each] for each in questions]
    found = measure("m", [s for n, each in enumerate(outcomes) for s in samples(str(n), *each)])
    rights, of = [sum(each) for each in questions], [len(each) for each in questions]
    shown = right_share(QuestionSums.over(rights, of))
    one = found.whole.pass_at[1]
    assert (one.value, one.low, one.high) == pytest.approx(
        (shown.value, shown.low, shown.high), nan_ok=True
    )
    if sum(of):
        assert one.value == pytest.approx(sum(rights) / sum(of))
        values = [each.value for each in found.whole.pass_at.values()]
        assert values == pytest.approx(sorted(values))


def test_groups_are_measured_apart():
    found = measure("m", [*samples("a", RIGHT, group="easy"), *samples("b", WRONG, group="hard")])
    assert {name: each.pass_at[1].value for name, each in found.groups.items()} == {
        "easy": 1.0,
        "hard": 0.0,
    }


def test_pass_at_k_stops_at_the_question_with_the_fewest_runs():
    found = measure("m", [*samples("a", RIGHT, WRONG, WRONG), *samples("b", WRONG, WRONG)])
    assert list(found.whole.pass_at) == [1, 2]


def test_nothing_measured_is_no_number_and_valid_json():
    found = measure("m", samples("a", EvalOutcome.UNMEASURED))
    assert math.isnan(found.whole.pass_at[1].value)
    assert found.as_json()["pass_at"]["1"]["value"] is None
    assert found.as_json()["truncated"] is None


@pytest.mark.parametrize("failure", Failure)
def test_every_failure_has_an_outcome(failure):
    outcome = outcome_of(failure)
    assert outcome not in (RIGHT, WRONG, EvalOutcome.NO_ANSWER)
    limits = {Failure.THINKING_LIMIT, Failure.ANSWER_LIMIT, Failure.CONTEXT_LIMIT}
    assert (outcome is CUT) == (failure in limits)
