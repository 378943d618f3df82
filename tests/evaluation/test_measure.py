"""From samples to figures, computed by hand."""

from __future__ import annotations

import math

import pytest

from tessy.evaluation.evaluate import as_json
from tessy.evaluation.measure import Run, Standing, measure, standing_of
from tessy.method.trajectory import Failure


def runs(question, *standings, group="", tokens=10):
    return [Run(question, group, standing, tokens, 2) for standing in standings]


RIGHT, WRONG, CUT = Standing.RIGHT, Standing.WRONG, Standing.TRUNCATED


def test_figures_of_three_questions():
    found = measure(
        "m",
        [
            *runs("a", RIGHT, RIGHT),
            *runs("b", RIGHT, WRONG, tokens=20),
            *runs("c", CUT, Standing.NO_ANSWER, tokens=90),
        ],
    )
    whole = found.whole
    assert (whole.questions, whole.runs) == (3, 6)
    assert whole.pass_at[1].value == pytest.approx(0.5)
    assert whole.pass_at[2].value == pytest.approx(2 / 3)
    assert whole.truncated == pytest.approx(1 / 6)
    assert whole.standings == {RIGHT: 3, WRONG: 1, CUT: 1, Standing.NO_ANSWER: 1}
    assert whole.lengths.mean == pytest.approx((12 + 22 + 92) / 3)
    assert whole.lengths.longest == 92
    assert whole.thinking.median == 20
    assert found.right == {"a": (2, 2), "b": (1, 2), "c": (0, 2)}
    assert found.groups == {}


def test_what_says_nothing_of_the_model_is_left_out_and_counted():
    found = measure("m", [*runs("a", RIGHT, Standing.UNMEASURED), *runs("b", Standing.UNMEASURED)])
    assert (found.whole.questions, found.whole.runs) == (1, 1)
    assert found.whole.pass_at[1].value == 1
    assert found.whole.standings[Standing.UNMEASURED] == 2


def test_groups_are_measured_apart():
    found = measure("m", [*runs("a", RIGHT, group="easy"), *runs("b", WRONG, group="hard")])
    assert {name: each.pass_at[1].value for name, each in found.groups.items()} == {
        "easy": 1.0,
        "hard": 0.0,
    }


def test_pass_at_k_stops_at_the_question_with_the_fewest_runs():
    found = measure("m", [*runs("a", RIGHT, WRONG, WRONG), *runs("b", WRONG, WRONG)])
    assert list(found.whole.pass_at) == [1, 2]


def test_nothing_measured_is_no_number_and_valid_json():
    found = measure("m", runs("a", Standing.UNMEASURED))
    assert math.isnan(found.whole.pass_at[1].value)
    assert as_json(found)["pass_at"]["1"]["value"] is None
    assert as_json(found)["truncated"] is None


@pytest.mark.parametrize("failure", Failure)
def test_every_failure_has_a_standing(failure):
    standing = standing_of(failure)
    assert standing not in (RIGHT, WRONG, Standing.NO_ANSWER)
    limits = {Failure.THINKING_LIMIT, Failure.ANSWER_LIMIT, Failure.CONTEXT_LIMIT}
    assert (standing is CUT) == (failure in limits)
