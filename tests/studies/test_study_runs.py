"""A study as small as can be, of real models: stopped, gone on with, and published."""

from __future__ import annotations

import json
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from e2e.conftest import start, tessy, until

pytest.importorskip("reasoning_gym", reason="it needs a C compiler to install")

SETTINGS = """\
tests_target = 2
tests_other = 1

[[conditions]]
name = "main"
arms = ["student-only", "teacher-only"]
seeds = [0]
questions = 3
epochs = 1
batch = 3
"""


RELATIVE = """
[[conditions]]
name = "relative"
arms = ["teacher-only"]
seeds = [0]
teacher = "lab:relative"
questions = 3
epochs = 1
batch = 3
"""


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(SETTINGS)
    return path


def done_jobs(out):
    return {str(path.parent.relative_to(out)): path.read_bytes() for path in out.rglob("job.json")}


def at_work(out):
    """Processes that do a job of the study."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_text("utf-8", "replace").split("\0")
            if "studies.study.jobs" in words and str(out) in words:
                found.append(path.parent.name)
    return found


async def test_a_study_that_was_stopped_goes_on_and_ends_in_a_page(settings, tmp_path):
    out, page = tmp_path / "runs", tmp_path / "study.md"
    command = ["lab", "study", settings, "--out", out, "--page", page, "--at-once", "1"]
    process = await start(*command)
    async for line in process.stderr:
        if line.startswith(b"2 of 7"):
            break
    process.send_signal(signal.SIGINT)
    rest = await process.stderr.read()
    assert await process.wait() == 130
    assert b"Traceback" not in rest
    assert not page.exists()
    before = done_jobs(out)
    assert len(before) >= 2

    done = await tessy(*command)
    assert done.code == 0, done.err
    assert f"7 jobs, {len(before)} of them done" in done.err
    after = done_jobs(out)
    assert len(after) == 7
    assert before.items() <= after.items()  # what was done was not done again
    text = page.read_text("utf-8")
    assert "| teacher-only |" in text
    assert "**student-only**" in text
    compared = json.loads(after["seed-0/compared"])["methods"]
    assert compared["student-only"]["similarity"] == 1.0
    assert compared["teacher-only"]["similarity"] < 0.9
    assert compared["student-only"]["nll"]["all"] < compared["teacher-only"]["nll"]["all"]
    for picture in ("curves", "losses"):
        assert (tmp_path / "study" / f"study-{picture}.png").is_file()

    settings.write_text(SETTINGS + RELATIVE)
    done = await tessy(*command)
    assert done.code == 0, done.err
    assert "11 jobs, 7 of them done" in done.err
    assert after.items() <= done_jobs(out).items()
    text = page.read_text("utf-8")
    assert "| relative | the teacher is `lab:relative` | 0 | teacher-only |" in text
    assert "The teacher of `relative` has " in text
    ours = json.loads(done_jobs(out)["seed-0/relative/compared"])["methods"]
    assert ours["student-only"]["similarity"] == 1.0
    assert compared["teacher-only"]["similarity"] < ours["teacher-only"]["similarity"] < 1
    assert ours["teacher-only"]["nll"]["all"] < compared["teacher-only"]["nll"]["all"]

    settings.write_text(SETTINGS.replace("epochs = 1", "epochs = 2"))
    done = await tessy(*command)
    assert done.code == 2
    assert "holds a study with other settings" in done.err


async def test_a_study_that_was_killed_leaves_no_job_behind_and_goes_on(settings, tmp_path):
    out = tmp_path / "runs"
    command = ["lab", "study", settings, "--out", out, "--at-once", "2"]
    process = await start(*command)
    async for line in process.stderr:
        if line.startswith(b"4 of 7"):
            break
    await until(lambda: len(at_work(out)) == 2)  # both trainings
    process.send_signal(signal.SIGKILL)
    await process.wait()
    before = done_jobs(out)
    await until(lambda: not at_work(out))
    assert len(done_jobs(out)) < len(before) + 2  # neither of the two went on to its end alone
    done = await tessy(*command)
    assert done.code == 0, done.err
    assert len(done_jobs(out)) == 7


async def test_a_job_that_fails_is_named_with_its_log_and_stops_the_study(settings, tmp_path):
    settings.write_text('teacher = "gguf:nowhere.gguf"\n' + SETTINGS)
    out = tmp_path / "study"
    done = await tessy("lab", "study", settings, "--out", out, "--at-once", "1", "--quiet")
    assert done.code != 0
    assert "seed-0/untouched/teacher failed" in done.err
    assert "nowhere.gguf" in done.err
    assert "Traceback" not in done.err.partition("failed")[0]
    assert set(done_jobs(out)) == {"seed-0/untouched/student"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--page", "no/study.md"], "there is no folder no"),
        (["--page", "study.md", "--notes", "none.md"], "none.md: no such file"),
    ],
)
async def test_a_page_that_cannot_be_made_is_refused_before_any_work(
    settings, tmp_path, monkeypatch, options, says
):
    monkeypatch.chdir(tmp_path)
    done = await tessy("lab", "study", settings, "--out", tmp_path / "study", *options)
    assert done.code == 2
    assert says in done.err
    assert not (tmp_path / "study").exists()
