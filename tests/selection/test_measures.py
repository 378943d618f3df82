"""What evaluations and judges measured, and of which questions nothing is known."""

from __future__ import annotations

import json
import math
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluated import question_rows, write_evaluation, write_ratings, write_rows
from tessy.errors import ConfigError, DataError
from tessy.method.trajectory import UNMEASURED, Failure
from tessy.selection.asked import read_asked
from tessy.selection.measures import Missing, measured, named_runs

ENDS = st.none() | st.booleans() | st.sampled_from(Failure)  # None: no reference


@pytest.fixture
def asked(tmp_path):
    return read_asked(write_rows(tmp_path / "q.jsonl", question_rows(5)))


def rate_of(ends):
    """The rate as docs/select.md says it; None if nothing is known."""
    counted = [end for end in ends if end is not None and end not in UNMEASURED]
    return sum(end is True for end in counted) / len(counted) if counted else None


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(ENDS, max_size=3), min_size=5, max_size=5))
def test_a_rate_is_that_of_all_samples_of_a_question_or_of_none(tmp_path, asked, ends):
    rows, run = question_rows(5), tmp_path / "run"
    shutil.rmtree(run, ignore_errors=True)
    ends = [[end for end in each if end is not Failure.BAD_QUESTION] for each in ends]
    samples = {row["id"]: each for row, each in zip(rows, ends, strict=True)}
    write_evaluation(run, rows, samples, several=3)
    wanted = [rate_of(each) if len(each) == 3 else None for each in ends]
    if wanted == [None] * 5:
        with pytest.raises(DataError, match="has measured none of the questions"):
            measured("student", str(run), asked)
        return
    found = measured("student", str(run), asked)
    assert [None if math.isnan(v) else v for v in found.values] == pytest.approx(wanted)
    for row, each in enumerate(ends):
        why = Missing.MEASURED
        if len(each) < 3:
            why = Missing.NOT_ENDED if each else Missing.NOT_THERE
        elif wanted[row] is None:
            why = Missing.FAILED
        assert found.missing[row] == why
        assert found.told(row).startswith("student")


def test_a_question_that_has_changed_is_not_measured(tmp_path, asked):
    rows = question_rows(5)
    rows[2] = {**rows[2], "prompt": "What is 2 and 3?"}
    run = write_evaluation(tmp_path / "run", rows, {row["id"]: [True] for row in rows})
    found = measured("teacher", str(run), asked)
    assert [*found.missing] == [0, 0, Missing.CHANGED, 0, 0]
    assert "another text than was measured" in found.told(2)
    assert "4 of 5 questions are measured, of small; 1 question: another text" in found.summary(
        asked.good
    )


def test_bad_lines_among_them_move_no_question(tmp_path):
    rows = question_rows(5)
    path = write_rows(tmp_path / "bad.jsonl", [{"id": "x"}, rows[0], {"prompt": ""}, *rows[1:]])
    asked = read_asked(path, skip_bad=True, stratify=None, seed=0)
    run = write_evaluation(tmp_path / "run", rows, {r["id"]: [r["id"] == "q1"] for r in rows})
    found = measured("teacher", str(run), asked)
    assert [*asked.good] == [False, True, False, *[True] * 4]
    assert [*found.missing] == [1, 0, 1, 0, 0, 0, 0]
    assert [*found.values[asked.good]] == [0, 1, 0, 0, 0]
    assert "5 of 5 questions" in found.summary(asked.good)
    assert [bool(lot) for lot in asked.lots] == [*asked.good]


def test_runs_of_other_questions_are_refused_and_say_what_they_have(tmp_path, asked):
    rows = [{"id": f"x{n}", "prompt": "?"} for n in range(3)]
    run = write_evaluation(tmp_path / "run", rows, {row["id"]: [True] for row in rows})
    with pytest.raises(DataError) as refused:
        measured("teacher", str(run), asked)
    assert "5 questions: not in " in str(refused.value)
    assert "3 samples of other questions" in str(refused.value)
    assert "in the same order" in refused.value.hint


def test_a_judges_scores_are_read_from_its_answers(tmp_path, asked):
    rows = question_rows(5)
    answers = ['{"why": "…", "score": 7}', "Score: 2.5", "no idea", Failure.UNSCORED]
    ends = {row["id"]: [answer] for row, answer in zip(rows, answers, strict=False)}
    found = measured("nice", str(write_ratings(tmp_path / "run", rows, ends)), asked)
    assert found.most == 10
    assert [*found.values[:2]] == [7, 2.5]
    missing = Missing.FAILED
    assert [*found.missing] == [0, 0, missing, missing, Missing.NOT_THERE]
    assert found.told(0) == "nice 7"


def test_a_judge_without_any_score_is_no_wrong_run(tmp_path, asked):
    rows = question_rows(5)
    run = write_ratings(tmp_path / "run", rows, {row["id"]: ["no"] for row in rows})
    with pytest.raises(DataError) as refused:
        measured("judge", str(run), asked)
    assert "failures.jsonl says why" in refused.value.hint


def test_questions_of_an_evaluation_json_with_fewer_samples_are_not_measured(tmp_path, asked):
    """Their other samples have not ended, or could not be measured."""
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps({"model": "m", "right": {"q1": [1, 4], "q2": [2, 3]}}))
    found = measured("student", str(path), asked)
    assert found.values[1] == 0.25
    assert math.isnan(found.values[2])
    assert [*found.missing] == [1, 0, 1, 1, 1]


def test_an_evaluation_json_is_matched_by_id(tmp_path, asked):
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps({"model": "m", "right": {"q1": [1, 4], "q9": [0, 1]}}))
    found = measured("student", str(path), asked)
    assert found.told(1) == "student 0.25 (1 of 4 right)"
    assert [*found.missing] == [1, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "can't be read"),
        ("[]", "is no evaluation.json of tessy"),
        ('{"right": {}}', "is no evaluation.json of tessy"),
        ('{"model": "m", "right": {"q1": [2, 1]}}', r"right.q1 is \[2, 1\]"),
        ('{"model": "m", "right": {"q1": [0, 0]}}', r"right.q1 is \[0, 0\]"),
        ('{"model": "m", "right": {"q1": 1}}', "right.q1 is 1"),
        ('{"model": "m", "right": {}}', "has measured none"),
    ],
)
def test_a_file_that_is_no_evaluation_is_refused(tmp_path, asked, content, said):
    path = tmp_path / "evaluation.json"
    path.write_text(content)
    with pytest.raises(DataError, match=said):
        measured("student", str(path), asked)


def test_what_is_no_evaluation_is_refused(tmp_path, asked):
    rows = question_rows(5)
    ends = {row["id"]: [True] for row in rows}
    plain = write_evaluation(tmp_path / "plain", rows, ends, verify=None)
    with pytest.raises(ConfigError, match="no answer of this run was verified"):
        measured("student", str(plain), asked)
    several = write_evaluation(tmp_path / "several", rows, ends, attempts=4)
    with pytest.raises(ConfigError, match="attempts = 4"):
        measured("student", str(several), asked)
    both = write_evaluation(tmp_path / "both", rows, ends, method="tessy")
    with pytest.raises(ConfigError, match="with the method tessy, by two models"):
        measured("student", str(both), asked)
    unverified = write_evaluation(tmp_path / "unverified", rows, {"q0": ["It is 7."]})
    with pytest.raises(DataError, match="has measured none of the questions"):
        measured("student", str(unverified), asked)
    for missing, said in (("nowhere", "no such folder"), (".", "has no shards with a journal")):
        with pytest.raises(DataError, match=said):
            measured("student", str(tmp_path / missing), asked)
    with pytest.raises(DataError, match="no such file"):
        measured("student", str(tmp_path / "evaluation.json"), asked)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["runs/eval"], "is not NAME=RUN"),
        (["=runs/eval"], "is not NAME=RUN"),
        (["student="], "is not NAME=RUN"),
        (["my student=x"], "is not NAME=RUN"),
        (["s3://bucket/run?a=b"], "is not NAME=RUN"),
        (["a=x", "a=y"], "given twice: x and y"),
    ],
)
def test_a_run_needs_a_name_of_its_own(given, said):
    with pytest.raises(ConfigError, match=said):
        named_runs(tuple(given))


def test_names_and_runs():
    assert named_runs(("a=x", "b=s3://b/run?c=d")) == {"a": "x", "b": "s3://b/run?c=d"}
