"""`tessy show`: which samples are listed, and a sample with its verdict and its question."""

from __future__ import annotations

import asyncio
import re
import sqlite3

import pytest

from commands import run
from made_runs import Made, answer, ending, last, write_run
from tessy.method.trajectory import Failure, Role
from tessy.report.formats import as_markdown
from tessy.report.job import ReportSettings, make_report
from tessy.runs.folder import RunFolder
from tessy.runs.reader import JournalReader
from tessy.verifiers.protocol import VerdictOutcome
from written import journals_of

TURNS = [last(Role.STUDENT, "So", 1), answer("4", 1)]
WIDE = {"COLUMNS": "4000"}
"""So that nothing is wrapped."""


@pytest.fixture
def mixed(tmp_path):
    """A run with samples of every end."""
    ends = [*VerdictOutcome, None]
    samples = [Made(f"v{n}", TURNS, verdict=outcome) for n, outcome in enumerate(ends)]
    reasons = (Failure.REJECTED, Failure.REPETITION, Failure.REJECTED)
    samples += [Made(f"f{n}", TURNS, failure=reason) for n, reason in enumerate(reasons)]
    samples.append(Made("f3", TURNS, failure=Failure.REJECTED, verdict="no_answer"))
    return write_run(tmp_path / "mixed", samples)


@pytest.mark.parametrize(
    ("options", "listed"),
    [
        ([], ["v0", "v1", "v2", "v3", "v4", "f0", "f1", "f2", "f3"]),
        (["--status", "finished"], ["v0", "v1", "v2", "v3", "v4"]),
        (["--status", "failed"], ["f0", "f1", "f2", "f3"]),
        (["--status", "rejected"], ["f0", "f2", "f3"]),
        (["--status", "failed", "--limit", "2"], ["f0", "f1", "…"]),
        (["--status", "marker"], ["no"]),
        (["--verdict", "right"], ["v0"]),
        (["--verdict", "wrong"], ["v1", "f0", "f2"]),  # as older runs have it
        (["--verdict", "no_answer"], ["v2", "f3"]),
        (["--verdict", "unverified"], ["v4"]),
        (["--verdict", "wrong", "--status", "failed"], ["f0", "f2"]),
        (["--verdict", "right", "--status", "failed"], ["no"]),
    ],
)
def test_show_lists_only_samples_with_a_status_or_a_verdict(mixed, options, listed):
    done = run("show", mixed, *options, **WIDE)
    assert done.code == 0, done.err
    right, *rows = done.out.splitlines()
    assert right.startswith("right: 1 of 6 verified: 16.7%")
    assert [row.split()[0] for row in rows] == listed
    if "…" in listed:
        assert rows[-1] == "… and 2 more: --limit"
    if listed == ["no"]:
        assert rows == [
            "no such sample; there are 5 finished, 3 rejected, 1 repetition, 3 wrong, 2 no_answer, "
            "1 right, 1 error, 1 unverified"
        ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "no sample has ended yet"),
        (["--status", "failed"], "no such sample; there are none that has ended"),
    ],
)
def test_show_of_a_run_that_wrote_nothing_says_so(tmp_path, options, said):
    assert run("show", write_run(tmp_path / "run", []), *options).out == f"{said}\n"


def test_show_of_a_run_that_is_not_complete_says_what_it_lacks(tmp_path):
    folder = write_run(tmp_path / "run", [Made("q0", TURNS)])
    assert "not complete" not in run("show", folder).out
    with sqlite3.connect(RunFolder(folder).shard(0).journal) as connection:
        connection.execute("insert or replace into marks values ('samples', '3')")
    said = run("show", folder).out.splitlines()
    assert said[1:] == ["not complete: 2 of 3 samples have not ended"]


def test_show_of_a_status_that_is_none(mixed):
    done = run("show", mixed, "--status", "wrong")
    assert done.code == 2
    assert "status 'wrong' is not known" in done.err
    assert "hint: one of finished, failed, running, bad_question" in done.err


def test_show_prints_the_verdict_of_a_finished_sample(tmp_path):
    folder = write_run(tmp_path, [Made("q0", TURNS, verdict="wrong", said="4, not [b]5[/b]\x1b")])
    done = run("show", folder, "q0", **WIDE)
    assert "\nverdict: wrong: 4, not [b]5[/b]␛\n" in done.out


@pytest.mark.parametrize("question", ["one " * 3000, "line\n" * 100, "字" * 5000])
def test_show_folds_a_long_question(tmp_path, question):
    folder = write_run(tmp_path, [Made("q0", TURNS, prompt=question)])
    done = run("show", folder, "q0", **WIDE)
    assert len(done.out.splitlines()) < 40
    left = int(re.search(r"… ([\d,]+) more characters: --whole", done.out)[1].replace(",", ""))
    assert left == len(question) - (20 * 5 if "\n" in question else 1200)
    whole = run("show", folder, "q0", "--whole", **WIDE)
    assert "more characters" not in whole.out
    assert re.sub(r"[\s│╭╮╰╯─]", "", whole.out).count(question.strip()[:3]) >= 100


def test_an_evaluation_is_shown_as_one_of_its_model(tmp_path):
    settings = {"on_wrong": "keep_judged", "verify": "exact", "student": {"model": "lab:teacher"}}
    failed = Made("q1", TURNS, failure=Failure.REPETITION)
    samples = [Made("q0", TURNS, verdict="right"), failed]
    folder = write_run(tmp_path, samples, method="student-only", **settings)
    listed = run("show", folder, **WIDE).out.splitlines()
    assert listed[:2] == ["evaluation of lab:teacher", "right: 1 of 2 measured: 50.0% (1 failed)"]
    shown = run("show", folder, "q0", **WIDE).out
    assert shown.startswith("evaluation of lab:teacher\n")
    assert "q0: 2 tokens, 0 discarded, 1 request," in shown
    assert "student" not in shown
    assert "teacher" not in shown.removeprefix("evaluation of lab:teacher")


def test_show_says_how_many_samples_had_another_chance(tmp_path):
    """Else what a verifier chose of several answers looks like the share of single ones."""
    wrong = Made("q1", TURNS, failure=Failure.REJECTED, verdict="wrong")
    folder = write_run(tmp_path, [Made("q0", TURNS, verdict="right"), wrong])

    async def again() -> None:
        async with journals_of(RunFolder(folder)) as journals:
            await journals.all[0].write_again([Failure.REJECTED], 9)
            with JournalReader(RunFolder(folder)) as reader:
                assert not reader.again(), "it is still to do"
            waiting = run("show", folder, **WIDE).out
            assert waiting.startswith("right: 1 of 2 verified: 50.0% (1 rejected)\n")
            assert "not complete: 1 failed sample still to be written again" in waiting
            await journals.all[0].end(ending(1, Made("q1", TURNS, verdict="right"), "tessy"))

    assert run("show", folder, **WIDE).out.startswith(
        "right: 1 of 2 verified: 50.0% (1 rejected)\n"
    )
    asyncio.run(again())
    said = "right: 2 of 2 verified: 100.0% (1 written again after a failure)\n"
    assert run("show", folder, **WIDE).out.startswith(said)
    with JournalReader(RunFolder(folder)) as reader:
        assert (reader.again(), reader.totals().again) == ({"q1"}, 1)
    text = as_markdown(make_report(ReportSettings([folder])))
    assert "| samples written again after a failure | 1 |" in text
    assert "was written again after a failure, the verifier chose among answers" in text
