"""A study as small as possible, with the real models: killed, resumed, and published."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from scripted import until
from studies.study import jobs, plan
from studies.study.__main__ import main
from studies.study.conductor import begin
from studies.study.page import write_page
from studies.study.settings import load
from tessy.errors import ConfigError

pytest.importorskip("reasoning_gym", reason="it needs a C compiler to install")

pytestmark = pytest.mark.xdist_group("study")  # which is done once

ROOT = Path(__file__).parent.parent.parent
SMALLEST = """\
tests_target = 2
tests_other = 1

[[conditions]]
name = "main"
arms = ["student-only"]
seeds = [0]
questions = 3
epochs = 1
batch_size = 3
"""
SMALL = SMALLEST.replace('["student-only"]', '["student-only", "teacher-only"]')
RELATIVE = """
[[conditions]]
name = "relative"
arms = ["teacher-only"]
seeds = [0]
teacher = "lab:relative"
questions = 3
epochs = 1
batch_size = 3
"""


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(SMALLEST)
    return path


def done_jobs(out):
    return {str(path.parent.relative_to(out)): path.read_bytes() for path in out.rglob("job.json")}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study, done in this process; then the same with another condition."""
    folder = tmp_path_factory.mktemp("study")
    path, out = folder / "study.toml", folder / "runs"
    done = []
    for text in (SMALL, SMALL + RELATIVE):
        path.write_text(text)
        begin(path, out)
        jobs.write_questions(out, load(path))
        for job in plan.jobs(load(path)):
            jobs.do(out, job.name)
        done.append(done_jobs(out))
    return path, out, *done


def test_conditions_may_be_added_and_what_was_done_stays(study):
    path, out, before, after = study
    assert (len(before), len(after)) == (7, 11)
    assert before.items() <= after.items()
    path.write_text(SMALL.replace("epochs = 1", "epochs = 2"))
    with pytest.raises(ConfigError, match="holds a study with other settings"):
        begin(path, out)


def test_data_is_compared_with_what_the_student_writes_by_itself(study):
    *_, done = study
    ours, theirs = (
        json.loads(done[f"seed-0/{name}"])["methods"] for name in ("compared", "relative/compared")
    )
    assert ours["student-only"]["similarity"] == theirs["student-only"]["similarity"] == 1.0
    foreign, related = ours["teacher-only"], theirs["teacher-only"]
    assert foreign["similarity"] < related["similarity"] < 1
    alone = ours["student-only"]["nll"]["all"]
    assert alone < foreign["nll"]["all"]
    assert related["nll"]["all"] < foreign["nll"]["all"]


def test_a_study_ends_in_a_page_with_pictures(study, tmp_path):
    _, out, *_ = study
    notes = tmp_path / "notes.md"
    notes.write_text("Read by hand.")
    page = tmp_path / "study.md"
    write_page(out, page, notes=notes, command="make study")
    text = page.read_text("utf-8")
    for wanted in (
        "Made by `make study` in",
        "| teacher-only |",
        "**student-only**",
        "⟨student⟩",
        "| relative | the teacher is `lab:relative` | 0 | teacher-only |",
        "The teacher of `relative` has ",
        "Read by hand.",
    ):
        assert wanted in text, wanted
    for picture in ("curves", "losses"):
        assert (tmp_path / "study" / f"study-{picture}.png").is_file()


async def begun(settings, out):
    """The command, in a process of its own."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "studies.study", settings, "--out", out, "--at-once", "1"),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )


async def said(process, start):
    async for line in process.stderr:
        if line.startswith(start):
            return True
    return False


def at_work(out):
    """Processes that do a job of the study."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_text("utf-8", "replace").split("\0")
            if "studies.study.jobs" in words and str(out) in words:
                found.append(path.parent.name)
    return found


async def test_a_study_that_is_killed_or_stopped_leaves_no_job_running_and_resumes(
    settings, tmp_path
):
    out = tmp_path / "runs"
    process = await begun(settings, out)
    assert await said(process, b"1 of 5")
    await until(lambda: at_work(out))
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await until(lambda: not at_work(out))
    before = done_jobs(out)
    assert len(before) == 1  # the job that was running did not end by itself

    process = await begun(settings, out)
    assert await said(process, b"5 jobs, 1 of them done")
    assert await said(process, b"1 of 4")
    process.send_signal(signal.SIGINT)
    rest = await process.stderr.read()
    assert await process.wait() == 130
    assert not at_work(out)
    assert b"Traceback" not in rest
    assert b"stopped" in rest
    assert before.items() < done_jobs(out).items()  # what was done was not done again


def test_a_job_whose_run_was_stopped_is_not_done(settings, tmp_path, monkeypatch):
    """A signal ends a run early, with the samples that it has so far."""
    stopped = SimpleNamespace(stopped=True)

    out = tmp_path / "runs"
    begin(settings, out)
    evaluated = SimpleNamespace(scores=None, run=stopped)
    monkeypatch.setattr(jobs, "evaluate", lambda *_, **__: evaluated)
    monkeypatch.setattr(jobs, "synthesize", lambda *_, **__: stopped)
    for name in ("seed-0/untouched/student", "seed-0/data/student-only"):
        with pytest.raises(KeyboardInterrupt):
            jobs.do(out, name)
    assert not done_jobs(out)


def test_a_job_that_fails_is_named_with_its_log_and_ends_the_study(settings, tmp_path, capsys):
    teacher = 'teacher = "gguf:nowhere.gguf"\nteacher_format = "plain"\n'
    settings.write_text(teacher + SMALLEST)
    out = tmp_path / "study"
    assert main([str(settings), "--out", str(out), "--at-once", "2", "--quiet"]) == 1
    message = capsys.readouterr().err
    assert "seed-0/untouched/teacher failed" in message
    assert "nowhere.gguf" in message
    assert "Traceback" not in message.partition("failed")[0]
    assert not at_work(out)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--page", "no/study.md"], "there is no folder no"),
        (["--page", "study.md", "--notes", "none.md"], "none.md: no such file"),
        (["--page", "."], ". is a folder"),
    ],
)
def test_a_page_that_cannot_be_written_is_refused_before_any_work(
    settings, tmp_path, monkeypatch, capsys, options, message
):
    monkeypatch.chdir(tmp_path)
    assert main([str(settings), "--out", "study", *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "study").exists()
