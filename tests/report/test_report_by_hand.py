"""Every number of a small report, computed by hand: the runs of `by_hand.py`.

    tessy         student                        teacher             discarded
    q0            Wait so | okay so | four       two two four        two (S), okay (T)
    q1            Okay | two                     one one two         one (S)
    q2            so three | three               Hmm (forced)        three (S), so (T)
    q3 (failed)   so so so

    student-only  q0 Okay so four | four   q1 Okay two | two   q2 So three | three   q3 Hmm | four

A word is a token. The runs share q0, q1 and q2.
"""

from __future__ import annotations

import math
import sqlite3

import numpy as np
import orjson
import pytest
from by_hand import student_samples, tessy_samples

from made_runs import write_run
from tessy.report.figures.intervals import Bootstrap
from tessy.report.formats import as_json, as_markdown
from tessy.report.job import ReportSettings, make_report
from tessy.report.report import Report
from tessy.report.sections.totals import accounts
from tessy.runs.folder import RunFolder
from tessy.runs.schema import Mark

MAIN, OTHER = "tessy (first)", "student-only (alone)"


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Report:
    folder = tmp_path_factory.mktemp("by-hand")
    first = write_run(folder / "first", tessy_samples())
    alone = write_run(folder / "alone", student_samples(), method="student-only")
    return make_report(ReportSettings([first, alone], bootstrap=Bootstrap(200, 1)))


@pytest.fixture(scope="module")
def run(report):
    return report.runs[0]


def values(totals):
    return {name: figure.value for name, figure in totals.figures.items()}


# --- Accounts -----------------------------------------------------------------------------------


def test_every_sample_is_finished_or_failed(run):
    accounts = run.accounts
    assert accounts.ended == 4
    assert accounts.finished.sums["samples"] == 3
    assert accounts.failed == {"repetition": 1}
    assert accounts.ended == accounts.finished.sums["samples"] + sum(accounts.failed.values())
    assert (run.under_way, accounts.cut_off, accounts.rejected) == (0, 0, {})


def test_sums_of_the_finished_samples(run):
    assert run.accounts.finished.sums == {
        "student_tokens": 5 + 2 + 3,
        "teacher_tokens": 3 + 3 + 1,
        "student_discarded_tokens": 1 + 1 + 1,
        "teacher_discarded_tokens": 1 + 0 + 1,
        "thinking_tokens": 7 + 4 + 3,
        "answer_tokens": 1 + 1 + 1,
        "turns": 4 + 3 + 4,
        "hand_overs": 2 + 1 + 1,
        "requests": 4 + 3 + 4,
        "seconds": 6.0,
        "thousand_words": pytest.approx((7 + 4 + 3) / 1000),
        "samples": 3,
    }


def test_figures_of_the_finished_samples(run):
    assert values(run.accounts.finished) == pytest.approx(
        {
            "teacher_share": 7 / 17,
            "discarded_share": 5 / 22,
            "tokens_a_sample": 17 / 3,
            "student_generated_a_sample": 13 / 3,
            "teacher_generated_a_sample": 9 / 3,
            "thinking_tokens_a_sample": 14 / 3,
            "answer_tokens_a_sample": 1,
            "turns_a_sample": 11 / 3,
            "hand_overs_a_sample": 4 / 3,
            "hand_overs_in_1000_words": 4 / 0.014,
            "tokens_a_request": 17 / 11,
            "requests_a_sample": 11 / 3,
            "seconds_a_sample": 2.0,
        }
    )


def test_figures_of_failed_samples_and_of_all(run):
    lost, everything = values(run.accounts.lost), values(run.accounts.all)
    assert run.accounts.lost.sums["student_tokens"] == 3
    assert lost["teacher_share"] == 0
    assert lost["tokens_a_request"] == pytest.approx(3 / 2)
    assert everything["teacher_share"] == pytest.approx(7 / 20)
    assert everything["discarded_share"] == pytest.approx(5 / 25)
    assert everything["seconds_a_sample"] == pytest.approx(10 / 4)
    assert run.accounts.lost_share == pytest.approx(3 / 25)


def test_tokens_of_failures_that_were_written_again_are_lost_too(tmp_path):
    folder = write_run(tmp_path / "first", tessy_samples())
    with sqlite3.connect(RunFolder(folder).shard(0).journal) as connection:
        connection.execute("insert into marks values (?, '5')", (Mark.REPLACED_TOKENS.value,))
    found = make_report(ReportSettings([folder], bootstrap=Bootstrap(200, 1)))
    assert found.runs[0].accounts.lost_share == pytest.approx((3 + 5) / (25 + 5))
    (note,) = (each for each in accounts(found).notes if "written again" in each)
    assert "5 more tokens were generated" in note


def test_side_by_side_is_about_the_shared_questions(report):
    assert report.shared == 3
    assert values(report.side_by_side[MAIN]) == values(report.runs[0].accounts.finished)
    other = report.side_by_side[OTHER]
    assert other.sums["samples"] == 3, "q3 is not shared"
    assert other.sums["student_tokens"] == 4 + 3 + 3
    assert other.figures["teacher_share"].value == 0
    assert other.figures["tokens_a_sample"].value == pytest.approx(10 / 3)


def test_intervals_are_quantiles_of_resampled_questions(run):
    """Written out with loops: 200 resamples of the three questions with numpy's generator."""
    teacher, kept = [3, 3, 1], [8, 5, 4]
    drawn = []
    chance = np.random.default_rng(1)
    for _ in range(2):
        for times in chance.multinomial(3, [1 / 3] * 3, 100):
            above = sum(int(n) * t for n, t in zip(times, teacher, strict=True))
            below = sum(int(n) * k for n, k in zip(times, kept, strict=True))
            drawn.append(above / below)
    drawn.sort()
    figure = run.accounts.finished.figures["teacher_share"]
    assert (figure.low, figure.high) == pytest.approx(tuple(np.quantile(drawn, (0.025, 0.975))))
    assert figure.low < figure.value < figure.high


# --- Lengths ------------------------------------------------------------------------------------


def test_lengths_of_responses_and_spans(run, report):
    assert run.responses.width == 1
    assert run.responses.counts == (0, 0, 0, 0, 1, 1, 0, 0, 1), "8, 5 and 4 tokens"
    assert run.responses.mean == pytest.approx(17 / 3)
    assert (run.responses.median, run.responses.longest) == (5, 8)
    assert report.runs[1].responses.counts == (0, 0, 0, 2, 1), "4, 3 and 3 tokens"
    student, teacher = run.spans["student"], run.spans["teacher"]
    assert student.counts == (0, 1, 3), "Wait so, okay so, Okay, so three; answers are no spans"
    assert teacher.counts == (0, 1, 0, 2), "two two four, one one two, Hmm"
    assert (student.mean, teacher.mean) == pytest.approx((7 / 4, 7 / 3))


def test_lengths_are_of_shared_questions_spans_too(tmp_path):
    first = write_run(tmp_path / "first", tessy_samples())
    alone = write_run(tmp_path / "alone", student_samples()[:1], method="student-only")
    found = make_report(ReportSettings([first, alone], bootstrap=Bootstrap(20, 1)))
    whole = make_report(ReportSettings([first], bootstrap=Bootstrap(20, 1))).runs[0]
    assert found.shared == 1
    run = found.runs[0]
    assert sum(run.responses.counts) == 1
    for role in ("student", "teacher"):
        assert 0 < sum(run.spans[role].counts) < sum(whole.spans[role].counts)


# --- Similarity ---------------------------------------------------------------------------------


def idf(responses_with_it: int) -> float:
    return math.log((1 + 6) / (1 + responses_with_it)) + 1


IDF = {
    **dict.fromkeys(("wait", "one", "hmm"), idf(1)),
    **dict.fromkeys(("four", "three"), idf(2)),
    "two": idf(3),
    **dict.fromkeys(("so", "okay"), idf(4)),
}


def cosine(one: dict[str, int], other: dict[str, int]) -> float:
    def product(a, b):
        return sum(a.get(word, 0) * b.get(word, 0) * weight**2 for word, weight in IDF.items())

    return product(one, other) / math.sqrt(product(one, one) * product(other, other))


def test_similarity_is_the_mean_of_the_questions_cosines(report):
    cosines = [
        cosine(
            {"wait": 1, "so": 2, "okay": 1, "four": 2, "two": 2}, {"okay": 1, "so": 1, "four": 2}
        ),
        cosine({"okay": 1, "one": 2, "two": 2}, {"okay": 1, "two": 2}),
        cosine({"hmm": 1, "so": 1, "three": 2}, {"so": 1, "three": 2}),
    ]  # fmt: skip
    found = report.similarity
    assert found.runs == (MAIN, OTHER)
    assert found.questions == 3
    assert found.between(MAIN, OTHER).value == pytest.approx(sum(cosines) / 3)
    assert found.between(OTHER, MAIN) == found.between(MAIN, OTHER)
    assert found.between(MAIN, MAIN).value == 1
    assert min(cosines) <= found.between(MAIN, OTHER).low <= found.between(MAIN, OTHER).value
    assert report.unit == "words"


def test_centroids_are_means_of_the_points(report):
    for label, cloud in report.similarity.clouds.items():
        assert cloud.points.shape == (3, 2), label
        assert cloud.centroid == pytest.approx(tuple(cloud.points.mean(0)))
    both = [np.array(c.centroid) for c in report.similarity.clouds.values()]
    assert both[0] == pytest.approx(-both[1]), "the mean of all is the origin"
    assert 0 < sum(report.similarity.explained) <= 1


# --- Words --------------------------------------------------------------------------------------


def test_frequent_words_per_1000_tokens(report):
    found = {each.word: (each.count, each.per_1000) for each in report.frequent[MAIN]}
    assert found == {
        "two": (4, pytest.approx(1000 * 4 / 17)),
        "so": (3, pytest.approx(1000 * 3 / 17)),
        **dict.fromkeys(
            ("okay", "four", "three", "one"), (2, pytest.approx(1000 * 2 / 17))
        ),
        **dict.fromkeys(("wait", "hmm"), (1, pytest.approx(1000 / 17))),
    }  # fmt: skip
    assert [each.word for each in report.frequent[MAIN]][:2] == ["two", "so"]
    of_student = {each.word: each.count for each in report.frequent[OTHER]}
    assert of_student == {"okay": 2, "so": 2, "four": 2, "two": 2, "three": 2}


def log_odds(first: int, second: int, of: tuple[int, int]) -> tuple[float, float]:
    prior = 1000 * (first + second) / sum(of)
    one = math.log((first + prior) / (of[0] + 1000 - first - prior))
    two = math.log((second + prior) / (of[1] + 1000 - second - prior))
    return one - two, (one - two) / math.sqrt(1 / (first + prior) + 1 / (second + prior))


def test_words_that_differ_between_student_and_teacher(report):
    contrast = report.contrasts[0]
    assert (contrast.first, contrast.second) == ("student", "teacher")
    counts = {
        "so": (3, 0), "okay": (2, 0), "three": (2, 0), "wait": (1, 0),
        "four": (1, 1), "two": (1, 3), "one": (0, 2), "hmm": (0, 1),
    }  # fmt: skip
    found = [*contrast.more, *contrast.less]
    assert {each.word: each.counts for each in found} == counts
    for each in found:
        assert (each.log_odds, each.z) == pytest.approx(log_odds(*each.counts, (10, 7)))
    assert contrast.more[0].word == "so"
    assert [each.z for each in contrast.less] == sorted(each.z for each in contrast.less)
    assert {each.word for each in contrast.less} == {"four", "two", "one", "hmm"}


def test_words_that_differ_between_the_runs(report):
    contrast = report.contrasts[1]
    assert (contrast.first, contrast.second) == (MAIN, OTHER)
    found = {each.word: each for each in [*contrast.more, *contrast.less]}
    assert found["two"].counts == (4, 2)
    assert found["two"].z == pytest.approx(log_odds(4, 2, (17, 10))[1])
    assert "hmm" in {each.word for each in contrast.more}, "that of q3 is not shared"


# --- Style --------------------------------------------------------------------------------------


def test_hand_over_words(run):
    assert run.style.samples == 4
    assert run.style.opening == {"student": (("okay", 1), ("so", 1)),
                                 "teacher": (("one", 1), ("two", 1))}  # fmt: skip
    assert run.style.closing == {"student": (("okay", 1), ("so", 1)),
                                 "teacher": (("four", 1), ("hmm", 1))}  # fmt: skip


def test_what_was_discarded_and_why(run):
    discarded = {why.name: (each.times, each.words, dict(each.first))
              for why, each in run.style.discarded.items()}  # fmt: skip
    assert discarded == {
        "CAPABILITY": (3, 3, {"two": 1, "one": 1, "three": 1}),
        "STYLE": (2, 2, {"okay": 1, "so": 1}),
        "ANSWER": (0, 0, {}),
    }


def test_spans_kept_though_of_the_other_kind(run):
    teacher, student = run.style.forced["teacher"], run.style.forced["student"]
    assert (teacher.spans, teacher.samples, teacher.words) == (1, 1, (("hmm", 1),))
    assert (student.spans, student.samples) == (0, 0)
    short = run.style.tolerated["teacher"]
    assert (short.spans, short.samples, short.words) == (1, 1, (("one", 1),))


def test_confidence_at_boundaries(run, report):
    assert run.style.confidence == (0, 0, 0, 0, 0, 1, 0, 0, 0, 2)
    assert run.style.mean_confidence == pytest.approx((0.95 + 0.55 + 1.0) / 3)
    assert report.runs[1].style.confidence is None


# --- The formats say the same -------------------------------------------------------------------


def test_the_json_has_every_number(report):
    tree = orjson.loads(as_json(report))
    first = tree["runs"][0]
    assert tree["format"] == 1
    assert first["accounts"]["finished"]["sums"]["teacher_tokens"] == 7
    share = first["accounts"]["finished"]["figures"]["teacher_share"]
    assert share["value"] == pytest.approx(7 / 17)
    assert share["low"] < share["value"] < share["high"]
    assert tree["similarity"]["cosines"][f"{MAIN} | {OTHER}"]["value"] == pytest.approx(
        report.similarity.between(MAIN, OTHER).value
    )
    assert first["failed"] == [
        {"id": "q3", "reason": "repetition", "detail": "again and again: 'so'"}
    ]
    assert tree["scores"] is None
    assert "points" not in tree["similarity"]["clouds"][MAIN]


def test_the_markdown_shows_figures_with_their_intervals(report):
    text = as_markdown(report)
    figure = report.runs[0].accounts.finished.figures["teacher_share"]
    shown = f"41.2% ({100 * figure.low:.1f}–{100 * figure.high:.1f}%)"
    assert f"| teacher share of the kept tokens | {shown} |" in text
    assert "| failed: repetition | 1 | 0 |" in text
    assert "| q3 | repetition | again and again: 'so' | What? |" in text
    between = report.similarity.between(MAIN, OTHER)
    assert f"{between.value:.3f} ({between.low:.3f}–{between.high:.3f})" in text
    for block in text.split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({row.replace("\\|", "").count("|") for row in rows}) <= 1, block
