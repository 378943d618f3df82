"""Conditions: what is one, what it means, and what is said of anything else."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.errors import ConfigError
from tessy.selection.conditions import Condition, check_bounds, conditions_of, parse

SIGNS = (">", ">=", "<", "<=", "==", "!=")
BOUNDS = st.floats(0, 10).map(lambda value: round(value, 3))


@given(st.sampled_from(SIGNS), BOUNDS, st.sampled_from(["", " ", "\t"]))
def test_a_condition_is_read_as_it_is_written(sign, bound, blank):
    found = parse(f"{blank}the-judge_2{blank}{sign}{blank}{bound}{blank}")
    assert (found.name, found.sign, found.bound) == ("the-judge_2", sign, bound)
    assert parse(str(found)) == Condition("the-judge_2", sign, float(f"{bound:g}"))


@given(st.sampled_from(SIGNS), BOUNDS, st.lists(BOUNDS | st.just(math.nan), max_size=5))
def test_a_condition_means_what_python_means_and_holds_for_nothing_unknown(sign, bound, values):
    condition = Condition("x", sign, bound)
    wanted = [not math.isnan(v) and eval(f"{v!r} {sign} {bound!r}") for v in values]
    assert condition.holds(np.array(values, float)).tolist() == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("teacher", "'teacher' is no condition"),
        ("", "'' is no condition"),
        (">0.5", "'>0.5' is no condition"),
        ("0.5<teacher", "is no condition"),
        ("teacher=0.5", "hint: teacher==0.5"),
        ("teacher=>0.5", "hint: teacher>=0.5"),
        ("student<<1", "hint: student<1"),
        ("student>>=0.5", "hint: student>=0.5"),
        ("student===1", "hint: student==1"),
        ("student!1", "hint: student!=1"),
        ("student><1", "hint: a name, one of"),
        ("teacher>=half", "'half' is no number"),
        ("teacher>=nan", "'nan' is no number"),
        ("teacher>=inf", "'inf' is no number"),
        ("teacher>=50%", "'50%' is no number"),
        ("teacher>=", "'' is no number"),
        ("teacher>0 and student<1", "'0 and student<1' is no number"),
    ],
)
def test_what_is_no_condition_is_refused(text, said):
    with pytest.raises(ConfigError) as refused:
        parse(text)
    assert said in f"{refused.value}\nhint: {refused.value.hint}"


def test_the_usual_conditions_are_about_what_was_measured():
    def usual(*names):
        return [str(each) for each in conditions_of([], names)]

    assert usual("student", "teacher", "relative") == ["teacher>0", "student<1"]
    assert usual("student") == ["student<1"]
    assert usual("relative", "judge") == usual() == []
    assert [str(c) for c in conditions_of(["judge>=7"], ["student", "judge"])] == ["judge>=7"]


@pytest.mark.parametrize(
    ("written", "names", "said"),
    [
        ("studnet<1", ["student"], "did you mean student?"),
        ("teacher>0", [], "--by teacher=RUN"),
        ("judge>5", ["student"], "--judge says what was measured"),
    ],
)
def test_a_condition_on_what_was_not_measured_is_refused(written, names, said):
    with pytest.raises(ConfigError) as refused:
        conditions_of([written], names)
    assert said in (refused.value.hint or "")


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("student<50", "write student<0.5"),
        ("student<-0.1", "from 0 to 1"),
        ("student<101", "from 0 to 1"),
        ("judge>=11", "from 0 to 10"),
    ],
)
def test_a_bound_that_nothing_can_reach_is_refused(written, hint):
    with pytest.raises(ConfigError) as refused:
        check_bounds([parse(written)], {"student": 1, "judge": 10})
    assert (refused.value.hint or "").endswith(hint)
    check_bounds(map(parse, ("student<=1", "student>=0", "judge==10")), {"student": 1, "judge": 10})
