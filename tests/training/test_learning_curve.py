"""Learning curves: from figures of runs to a file, a picture and a line, and back."""

from __future__ import annotations

import dataclasses
import math
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.errors import RunMismatch
from tessy.evaluation.estimate import Estimate
from tessy.evaluation.measure import EvalOutcome, EvalSample, measure
from tessy.training.learning_curve import (
    CURVE_FILE,
    CurvePoint,
    LearningCurve,
    best,
    point,
    read_curve,
    shown,
)
from tessy.training.plots import CURVE_PLOT, plot_curve

SHARES = st.floats(0, 1)
ESTIMATES = st.builds(Estimate, SHARES, SHARES, SHARES) | st.just(Estimate(*[math.nan] * 3))
NAMES = st.text(string.printable, max_size=5)
POINTS = st.builds(
    CurvePoint,
    epoch=st.integers(0, 20),
    loss=st.none() | st.floats(0, 20),
    pass_at_1=ESTIMATES,
    questions=st.integers(0, 99),
    samples=st.integers(0, 99),
    unmeasured=st.integers(0, 99),
    truncated=SHARES | st.just(math.nan),
    tokens=st.floats(0, 1e5) | st.just(math.nan),
    groups=st.dictionaries(NAMES, ESTIMATES, max_size=3),
)


def a_point(epoch: int, value: float, **more) -> CurvePoint:
    right = Estimate(value, max(0, value - 0.1), min(1, value + 0.1))
    made = CurvePoint(epoch, None if epoch == 0 else 1.5, right, 10, 10, 0, 0.25, 120.0)
    return dataclasses.replace(made, **more)


@given(points=st.lists(POINTS, max_size=4))
def test_what_is_written_is_read_again(points, tmp_path_factory):
    folder = tmp_path_factory.mktemp("curve")
    curve = LearningCurve({"group": None, "seed": 3}, tuple(points))
    curve.write(folder)
    assert repr(read_curve(folder)) == repr(curve)  # in which nan is itself


def test_there_may_be_none_yet(tmp_path):
    assert read_curve(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"asked": {}}', '{"asked": {}, "epochs": [{}]}'])
def test_a_file_that_is_none_is_named(tmp_path, text):
    (tmp_path / CURVE_FILE).write_text(text)
    with pytest.raises(RunMismatch, match=r"evaluation\.json can't be read") as caught:
        read_curve(tmp_path)
    assert caught.value.hint


def test_a_point_is_what_the_evaluation_says():
    outcomes = [EvalOutcome.RIGHT, EvalOutcome.TRUNCATED, *[EvalOutcome.UNMEASURED] * 2]
    groups = ("b", "b", "b", "a")
    samples = [
        EvalSample(f"q{number}", group, outcome, 10 * number, 5)
        for number, (group, outcome) in enumerate(zip(groups, outcomes, strict=True))
    ]
    found = point(3, 0.5, measure("m", samples))
    assert (found.epoch, found.loss, found.pass_at_1.value) == (3, 0.5, 0.5)
    assert (found.questions, found.samples, found.unmeasured) == (2, 2, 2)
    assert (found.truncated, found.tokens) == (0.5, 10)
    assert list(found.groups) == ["a", "b"]
    assert math.isnan(found.groups["a"].value)


def test_a_line_says_what_an_epoch_came_to():
    assert a_point(0, 0.5).line(9) == "untrained: pass@1 50.0% (40.0–60.0) of 10 questions"
    said = a_point(2, 0.25, unmeasured=3).line(9)
    assert said.startswith("epoch 2 of 9: pass@1 25.0%")
    assert said.endswith("; 3 samples could not be measured")
    assert shown(Estimate(*[math.nan] * 3)) == "–"


def test_the_best_epoch_is_a_trained_one():
    assert best([]) is None
    assert best([a_point(0, 1)]) is None
    points = [a_point(0, 0.9), a_point(1, 0.2), a_point(2, 0.4), a_point(3, 0.4)]
    assert best(points).epoch == 2


@pytest.mark.parametrize("groups", [0, 2, 30])
def test_any_curve_is_drawn(tmp_path, groups):
    each = {f"g{number}": Estimate(0.5, 0.4, 0.6) for number in range(groups)}
    nothing = {name: Estimate(*[math.nan] * 3) for name in each}
    plot_curve([a_point(0, 0.4, groups=each), a_point(1, 0.6, groups=nothing)], tmp_path)
    assert (tmp_path / CURVE_PLOT).read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == [CURVE_PLOT]
