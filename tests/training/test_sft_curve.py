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
from tessy.evaluation.evaluate import as_json
from tessy.evaluation.measure import Run, Standing, measure
from tessy.training import curve
from tessy.training.curve import Point

SHARES = st.floats(0, 1)
ESTIMATES = st.builds(Estimate, SHARES, SHARES, SHARES) | st.just(Estimate(*[math.nan] * 3))
NAMES = st.text(string.printable, max_size=5)
POINTS = st.builds(
    Point,
    epoch=st.integers(0, 20),
    loss=st.none() | st.floats(0, 20),
    right=ESTIMATES,
    questions=st.integers(0, 99),
    runs=st.integers(0, 99),
    unmeasured=st.integers(0, 99),
    truncated=SHARES | st.just(math.nan),
    tokens=st.floats(0, 1e5) | st.just(math.nan),
    groups=st.dictionaries(NAMES, ESTIMATES, max_size=3),
)


def a_point(epoch: int, value: float, **more) -> Point:
    right = Estimate(value, max(0, value - 0.1), min(1, value + 0.1))
    made = Point(epoch, None if epoch == 0 else 1.5, right, 10, 10, 0, 0.25, 120.0)
    return dataclasses.replace(made, **more)


@given(points=st.lists(POINTS, max_size=4))
def test_what_is_written_is_read_again(points, tmp_path_factory):
    folder = tmp_path_factory.mktemp("curve")
    curve.write({"group": None, "seed": 3}, points, folder)
    asked, found = curve.read(folder)
    assert asked == {"group": None, "seed": 3}
    assert repr(found) == repr(tuple(points))  # in which nan is itself


def test_there_may_be_none_yet(tmp_path):
    assert curve.read(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"asked": {}}', '{"asked": {}, "epochs": [{}]}'])
def test_a_file_that_is_none_is_named(tmp_path, text):
    (tmp_path / curve.JSON_FILE).write_text(text)
    with pytest.raises(RunMismatch, match=r"evaluation\.json can't be read") as caught:
        curve.read(tmp_path)
    assert caught.value.hint


def test_a_point_is_what_the_evaluation_says():
    standings = [Standing.RIGHT, Standing.TRUNCATED, Standing.UNMEASURED, Standing.UNMEASURED]
    groups = ("b", "b", "b", "a")
    runs = [
        Run(f"q{number}", group, standing, 10 * number, 5)
        for number, (group, standing) in enumerate(zip(groups, standings, strict=True))
    ]
    found = curve.point(3, 0.5, as_json(measure("m", runs)))
    assert (found.epoch, found.loss, found.right.value) == (3, 0.5, 0.5)
    assert (found.questions, found.runs, found.unmeasured) == (2, 2, 2)
    assert (found.truncated, found.tokens) == (0.5, 10)
    assert list(found.groups) == ["a", "b"]
    assert math.isnan(found.groups["a"].value)


def test_a_line_says_what_an_epoch_came_to():
    assert curve.line(a_point(0, 0.5), 9) == "untrained: pass@1 50.0% (40.0–60.0) of 10 questions"
    said = curve.line(a_point(2, 0.25, unmeasured=3), 9)
    assert said.startswith("epoch 2 of 9: pass@1 25.0%")
    assert said.endswith("; 3 samples could not be measured")
    assert curve.shown(Estimate(*[math.nan] * 3)) == "–"


def test_the_best_epoch_is_a_trained_one():
    assert curve.best([]) is None
    assert curve.best([a_point(0, 1)]) is None
    points = [a_point(0, 0.9), a_point(1, 0.2), a_point(2, 0.4), a_point(3, 0.4)]
    assert curve.best(points).epoch == 2


@pytest.mark.parametrize("groups", [0, 2, 30])
def test_any_curve_is_drawn(tmp_path, groups):
    each = {f"g{number}": Estimate(0.5, 0.4, 0.6) for number in range(groups)}
    nothing = {name: Estimate(*[math.nan] * 3) for name in each}
    curve.draw([a_point(0, 0.4, groups=each), a_point(1, 0.6, groups=nothing)], tmp_path)
    assert (tmp_path / curve.PICTURE_FILE).read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == [curve.PICTURE_FILE]
