"""Right answers in a report: counted once each, compared question by question."""

from __future__ import annotations

import math
import sqlite3
from collections import Counter

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_runs import STUDENT, TEACHER, Made, answer, last, write_run
from tessy.errors import JournalError
from tessy.evaluation.measure import EvalOutcome, outcome_of
from tessy.method.trajectory import Failure
from tessy.report.figures.accuracy import AccuracyCounter, compare, mcnemar
from tessy.report.figures.intervals import Bootstrap
from tessy.report.figures.sample import ReportSample
from tessy.report.formats import as_html, as_json, as_markdown
from tessy.report.job import ReportSettings, make_report
from tessy.report.source import open_runs
from tessy.runs.folder import RunFolder
from tessy.runs.progress import right_of
from tessy.runs.reader import JournalReader
from tessy.verifiers.protocol import VerdictOutcome

NONE = Bootstrap(0)
VERDICTS = {"a": "right", "b": "right", "c": "wrong", "d": None}
ENDS = (*VerdictOutcome, None, Failure.REJECTED, Failure.REPETITION, Failure.BAD_QUESTION)


def sample(question: str, end: str | Failure | None) -> ReportSample:
    failure = end if isinstance(end, Failure) else None
    return ReportSample(
        *(question, question.encode(), failure, "", (), "", (), (), {}, {}, 1.0, 1, {}),
        verdict=None if failure else end,
    )


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(ENDS)), max_size=30),
    st.integers(0, 2),
)
def test_every_sample_is_counted_once(samples, unverifiable):
    counter = AccuracyCounter(unverifiable=unverifiable)
    for question, end in samples:
        counter.add(sample(question, end))
    ends = Counter(end for _, end in samples)
    found = counter.accuracy()
    verified = sum(ends[end] for end in ("right", "wrong", "no_answer", Failure.REJECTED))
    assert (found is None) == (verified == 0)
    if found is not None:
        assert found.right == ends["right"]
        assert found.verified == verified
        assert found.failed_wrong == ends[Failure.REJECTED]
        assert (found.unverified, found.errors) == (ends["error"] + ends[None], ends["error"])
        assert found.failed == ends[Failure.REPETITION] + ends[Failure.BAD_QUESTION]
        assert found.verified + found.unverified + found.failed == len(samples)
        assert found.share.value == pytest.approx(found.right / verified)
        of = verified + ends[Failure.REPETITION]
        if (ends[None] or unverifiable) and ends[
            Failure.REPETITION
        ]:  # its question may have no reference
            assert math.isnan(found.share_of_ended.value)
        else:
            assert found.share_of_ended.value == pytest.approx(found.right / of)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([*Failure, *ENDS])), max_size=30))
def test_in_an_evaluation_what_the_model_failed_is_wrong_as_in_pass_at_1(samples):
    counter = AccuracyCounter(evaluation=True)
    for question, end in samples:
        counter.add(sample(question, end))
    ends = [end for _, end in samples]
    failed = [outcome_of(end) for end in ends if isinstance(end, Failure)]
    verified = len(failed) - failed.count(EvalOutcome.UNMEASURED)
    verified += sum(end in ("right", "wrong", "no_answer") for end in ends)
    found = counter.accuracy()
    assert (found is None) == (verified == 0)
    if found is not None:
        assert found.verified == verified
        assert found.share.value == pytest.approx(ends.count("right") / verified)


def pairs(text: str) -> dict[bytes, tuple[int, int]]:
    """`+` is a question with one sample that is right, `-` one that is wrong."""
    return {str(n).encode(): (int(mark == "+"), 1) for n, mark in enumerate(text) if mark != " "}


def test_runs_are_compared_on_the_questions_that_both_have():
    found = compare(pairs("+++- +"), pairs("+--+-"), Bootstrap(200, 1))
    assert found is not None
    assert (found.questions, found.only_first, found.only_second) == (4, 2, 1)
    assert (found.first, found.second) == (0.75, 0.5)
    assert found.difference.value == pytest.approx(0.25)
    assert found.difference.low < 0.25 < found.difference.high
    assert found.p == pytest.approx(1.0)
    assert compare(pairs("+ "), pairs(" +"), NONE) is None


def test_mcnemar_is_the_sign_test_of_the_pairs_that_differ():
    assert mcnemar(9, 1) == pytest.approx(2 * (1 + 10) / 2**10)
    assert mcnemar(1, 9) == mcnemar(9, 1)
    assert math.isnan(mcnemar(0, 0))
    several = {b"0": (1, 2)}
    found = compare(several, pairs("-"), NONE)
    assert found is not None
    assert math.isnan(found.p), "samples of one question are no independent pairs"


def made(verdicts: dict[str, str | None]) -> list[Made]:
    return [
        Made(name, [last(STUDENT, "Okay", 1), answer("4", 1)], verdict=verdict)
        for name, verdict in verdicts.items()
    ]


def test_a_report_leads_with_right_answers(tmp_path):
    first = write_run(
        tmp_path / "first", made({"a": "right", "b": "right", "c": "wrong", "d": None})
    )
    other = made({"a": "wrong", "b": "right", "c": "wrong"})
    alone = write_run(tmp_path / "alone", other, method="student-only")
    report = make_report(ReportSettings([first, alone], bootstrap=Bootstrap(100, 1)))
    text = as_markdown(report)
    headlines, heading = text.split("\n\n")[2:4]
    assert headlines.splitlines()[2].startswith("| right | 66.7% | ")
    assert headlines.splitlines()[2].endswith("2 of 3 with a verdict |")
    assert heading == "## Right answers"
    assert "| difference | +33.3 (" in text
    assert "| not verified | 1 | 0 |" in text
    assert "Right answers" in as_html(report)
    assert "attempts" not in text
    paired = orjson.loads(as_json(report))["paired"]
    assert paired["student-only (alone)"]["only_first"] == 1


def test_several_attempts_are_said_where_right_answers_are(tmp_path):
    first = write_run(tmp_path / "first", made({"a": "right"}), attempts=4)
    other = write_run(tmp_path / "alone", made({"a": "wrong"}), method="student-only")
    text = as_markdown(make_report(ReportSettings([first, other])))
    assert "| attempts at a sample, at most | 4 | 1 |" in text
    assert "its share is not that of single answers" in text


def test_shares_of_tokens_are_of_all_samples_as_in_the_summary(tmp_path):
    samples = made({"a": "right"})
    samples.append(Made("b", [last(TEACHER, "x", 30)], failure=Failure.REPETITION))
    run = write_run(tmp_path / "run", samples)
    with JournalReader(RunFolder(run)) as reader:
        share = reader.totals().tokens.teacher_share
    text = as_markdown(make_report(ReportSettings([run])))
    assert f"| by the teacher | {share:.1%} |" in text


def test_a_report_of_a_run_that_was_not_verified_does_not_speak_of_it(tmp_path):
    run = write_run(tmp_path / "run", made({"a": None, "b": None}))
    text = as_markdown(make_report(ReportSettings([run])))
    assert "right" not in " ".join(text.split("\n\n")[1:4])


def test_a_verdict_that_no_run_writes_is_an_error(tmp_path):
    run = write_run(tmp_path / "run", made({"a": "right"}))
    (journal,) = run.glob("shards/*/journal.sqlite")
    with sqlite3.connect(journal) as connection:
        connection.execute("update samples set record = replace(record, '\"right\"', '\"fine\"')")
    with pytest.raises(JournalError):
        make_report(ReportSettings([run]))


@pytest.mark.parametrize(("model", "of_the_student"), [("small", True), ("large", False)])
def test_an_evaluation_is_one_of_its_model_and_the_students_own_only_if_that_is_it(
    tmp_path, model, of_the_student
):
    first = write_run(tmp_path / "first", made({"a": "right"}))
    run = {"on_wrong": "keep_judged", "verify": "exact", "student": {"model": model}}
    alone = write_run(tmp_path / "alone", made({"a": "right"}), method="student-only", **run)
    text = as_markdown(make_report(ReportSettings([first, alone])))
    assert f"against evaluation of {model} (alone)" in text
    assert f"| method | tessy | evaluation of {model} |" in text
    assert f"| evaluated | – | {model} |" in text
    by_itself = as_html(make_report(ReportSettings([alone])))
    assert ("by the teacher" in as_html(make_report(ReportSettings([first])))) is True
    assert "by the teacher" not in by_itself
    tokens = as_markdown(make_report(ReportSettings([alone])))
    assert "| tokens, kept |" in tokens
    assert "student's tokens" not in tokens
    assert "teacher's tokens" not in tokens
    assert ("No run here shows how the student writes by itself" in text) != of_the_student


@pytest.mark.parametrize(
    ("settings", "attempts"),
    [
        ({"method": "tessy", "candidates": 5, "attempts": 3, "verify": "exact"}, 3),
        ({"method": "teacher-score", "candidates": 5, "attempts": 1, "verify": "exact"}, 5),
        ({"method": "teacher-score", "candidates": 5, "attempts": 2, "verify": "exact"}, 10),
        ({"method": "teacher-score", "candidates": 5, "attempts": 1}, 1),
    ],
)
def test_among_how_many_answers_a_verifier_chose(tmp_path, settings, attempts):
    folder = write_run(tmp_path / "run", made({"a": "right"}), **settings)
    (source,) = open_runs([folder])
    assert source.attempts == attempts
    text = as_markdown(make_report(ReportSettings([folder])))
    assert (f"| attempts at a sample, at most | {attempts} |" in text) == (attempts > 1)


def test_bad_lines_are_no_samples_without_tokens(tmp_path):
    wrote, bad = (
        Made("q0", [last(STUDENT, "Okay", 3)]),
        Made("q1", [], failure=Failure.BAD_QUESTION),
    )
    found = (
        make_report(ReportSettings([write_run(tmp_path / "run", [wrote, bad])])).runs[0].accounts
    )
    assert found.ended == 2
    tokens = [part.figures["tokens_a_sample"].value for part in (found.finished, found.all)]
    assert tokens == [3, 3]
    assert math.isnan(found.lost.figures["tokens_a_sample"].value)


def test_a_verified_run_of_which_all_failed_has_its_numbers(tmp_path):
    turns = [last(STUDENT, "Okay", 1)]
    lost = [Made(f"q{n}", turns, failure=Failure.THINKING_LIMIT) for n in range(3)]
    failed = write_run(tmp_path / "failed", lost, verify="exact")
    text = as_markdown(make_report(ReportSettings([failed])))
    assert "| failed for another reason | 3 |" in text
    assert "| right, if what models failed is wrong | 0.0%" in text
    assert "no answer was verified" in text
    with JournalReader(RunFolder(failed)) as reader:
        assert right_of(reader.totals()) == "no answer was verified"
    unverified = write_run(tmp_path / "unverified", lost)
    assert "Right answers" not in as_markdown(make_report(ReportSettings([unverified])))
    with JournalReader(RunFolder(unverified)) as reader:
        assert right_of(reader.totals()) is None
