"""What reaches a tracker, and that no tracker can stop, slow or hold up a run."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from commands import run
from scripted import until
from tessy.errors import ConfigError, MissingExtra
from tessy.tracking import log as tracking
from tessy.tracking.log import RunLog, kept_id

SETTINGS = {"run": {"date": "2026-11-28"}, "student": {"chunk": 16}}
TOML = "[run]\ndate = 2026-11-28\n[student]\nchunk = 16\n"


@pytest.fixture
def out(tmp_path):
    return folder(tmp_path / "first")


def folder(path):
    path.mkdir()
    (path / "run.toml").write_text(TOML)
    return path


def logged(out, *names, figures=({"loss": 2.0}, {"loss": 1.0}), error=None, **more):
    """Log some figures, perhaps until an error; returns the lines for the user."""
    said: list[str] = []
    with RunLog(names, said.append) as log:
        log.open(out, out / "run.toml", **more)
        for step, each in enumerate(figures, 1):
            log.log(each, step)
        if error:
            raise error
    return said


def figures(told):
    return [each["log"] for each in told if "log" in each]


def test_a_tracker_is_told_settings_figures_and_the_state(wandb, out):
    said = logged(out, "wandb:lab/words")
    first, metric, *rest = wandb()
    own = kept_id(out)
    assert first["config"] == SETTINGS
    asked = {"entity": "lab", "project": "words", "id": own, "name": "first", "group": None}
    assert first["init"] == {**asked, "resume": "allow"}
    assert metric == {"metric": "*", "by": "step"}
    assert figures(rest) == [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}]
    assert rest[-1] == {"finish": 0, "summary": {"state": "finished"}}
    assert said == ["wandb: https://wandb.test/run"]


def test_a_resumed_run_has_the_id_that_it_had_and_another_folder_another(wandb, out, tmp_path):
    logged(out, "wandb")
    logged(out, "wandb")
    logged(folder(tmp_path / "second"), "wandb")
    first, again, other = (each["init"]["id"] for each in wandb() if "init" in each)
    assert first == again != other


def test_shards_are_runs_of_one_group(wandb, out):
    for number in (0, 1):
        logged(out, "wandb", shard=f"{number}/2")
    one, two = (each["init"] for each in wandb() if "init" in each)
    assert one["id"] != two["id"]
    assert [one["name"], two["name"]] == ["first 0/2", "first 1/2"]
    assert one["group"] == two["group"] == "first"


@pytest.mark.parametrize(
    ("error", "state", "code"),
    [
        (KeyboardInterrupt(), "stopped", 255),
        (asyncio.CancelledError(), "stopped", 255),
        (ConfigError("x"), "failed", 1),
    ],
)
def test_an_error_decides_the_state(wandb, out, error, state, code):
    with pytest.raises(type(error)):
        logged(out, "wandb", error=error)
    assert wandb()[-1] == {"finish": code, "summary": {"state": state}}


async def test_a_killed_run_is_closed_as_crashed(wandb, out, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import os\n"
        "from pathlib import Path\n"
        "from tessy.tracking.log import RunLog\n"
        "log = RunLog('wandb', print)\n"
        f"log.open({str(out)!r}, Path({str(out / 'run.toml')!r}))\n"
        "log.log({'loss': 1.0}, 1)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    pid = os.posix_spawn(sys.executable, [sys.executable, str(program)], os.environ)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    await until(lambda: any("finish" in each for each in wandb()))
    assert wandb()[-1] == {"finish": 1, "summary": {"state": "crashed"}}
    assert figures(wandb()) == [{"step": 1, "loss": 1.0}]


def test_without_a_login_figures_are_kept_in_a_folder(wandb, out, monkeypatch):
    monkeypatch.setenv("TROUBLE", "no login")
    said = logged(out, "wandb")
    why = "(No API key configured)"
    assert said == [f"wandb: wandb sync wandb/offline-run uploads it later {why}"]
    assert len(figures(wandb())) == 2


def test_an_error_of_a_tracker_is_said_once_and_counted(wandb, out, monkeypatch):
    monkeypatch.setenv("TROUBLE", "fails")
    said = logged(out, "wandb")
    assert said[1:] == [
        "wandb: an error, and the run goes on: not taken",
        "wandb: 2 errors: figures are missing there",
    ]
    assert wandb()[-1]["finish"] == 0


def test_a_tracker_that_dies_is_said(wandb, out, monkeypatch):
    monkeypatch.setenv("TROUBLE", "dies")
    said: list[str] = []
    heard = threading.Event()
    with RunLog("wandb", lambda line: (said.append(line), heard.set())) as log:
        log.open(out, out / "run.toml")
        assert heard.wait(60)
        log.log({"loss": 1.0}, 1)
    assert said == ["wandb: its process ended; nothing more is logged there"]


def test_a_tracker_that_does_not_start_is_not_waited_for(wandb, out, monkeypatch):
    monkeypatch.setenv("TROUBLE", "hangs at its start")
    monkeypatch.setattr(tracking, "CLOSE_S", 0.5)
    assert "not waited for" in logged(out, "wandb")[-1]


async def test_a_tracker_that_does_not_end_is_killed_with_its_own_processes(
    wandb, out, monkeypatch
):
    monkeypatch.setenv("TROUBLE", "hangs at its end")
    monkeypatch.setattr(tracking, "CLOSE_S", 2)
    assert "not waited for" in logged(out, "wandb")[-1]
    status = Path(f"/proc/{wandb()[-1]['pid']}/status")
    await until(lambda: not status.exists() or "zombie" in status.read_text())


def test_figures_for_a_tracker_that_reads_nothing_are_never_waited_for(wandb, out, monkeypatch):
    monkeypatch.setattr(tracking, "CLOSE_S", 0.1)
    said: list[str] = []
    with RunLog("wandb", said.append) as log:
        log.open(out, out / "run.toml")
        os.kill(log._trackers[0]._process.pid, signal.SIGSTOP)
        for step in range(20_000):  # a pipe holds 64 KiB
            log.log({"loss": 1.0}, step)
    assert "not waited for" in said[-1]


def test_what_is_no_finite_number_is_left_out(wandb, out):
    logged(out, "wandb", figures=[{"loss": float("nan"), "tokens": 3, "name": "x"}])
    assert figures(wandb()) == [{"step": 1, "tokens": 3}]


def test_settings_that_can_not_be_read_are_said(wandb, out):
    (out / "run.toml").write_text("[")
    (said,) = logged(out, "wandb")
    assert said.startswith("wandb: nothing is logged: ")


async def test_counts_are_followed_and_logged_at_the_end(wandb, out):
    class Counts:
        ended = 0

        def figures(self):
            return {"samples/finished": self.ended}

    counts = Counts()
    async with RunLog(["wandb"], print) as log:
        log.open(out, out / "run.toml")
        async with log.following(counts):
            await asyncio.sleep(0)
            counts.ended = 3
    assert figures(wandb()) == [
        {"step": 0, "samples/finished": 0},
        {"step": 3, "samples/finished": 3},
    ]


# --- Names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("tensorbord", "there is no tracker tensorbord", "did you mean tensorboard?"),
        ("", "there is no tracker", "wandb, mlflow, tensorboard"),
        ("mlflow:http://localhost:5000", "is no name", "MLFLOW_TRACKING_URI"),
        ("wandb:https://wandb.test", "is no name", "WANDB_BASE_URL"),
    ],
)
def test_a_tracker_that_is_not_there(name, message, hint):
    with pytest.raises(ConfigError, match=message) as found:
        RunLog([name], print)
    assert hint in found.value.hint


@pytest.mark.parametrize("name", ["wandb", "mlflow:x", "tensorboard:logs"])
def test_a_library_that_is_not_installed(name, monkeypatch, tmp_path):
    package = name.partition(":")[0]
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, package, raising=False)
    (tmp_path / package).mkdir()  # as W&B makes it where it runs
    with pytest.raises(MissingExtra, match=f"needs {package}") as found:
        RunLog(name, print)
    assert found.value.hint == f"pip install {package}"


# --- The id -------------------------------------------------------------------------------------


def test_a_run_at_a_url_keeps_its_id_there(tmp_path):
    url = f"file://{tmp_path}/run"
    assert kept_id(url) == kept_id(url) == kept_id(tmp_path / "run")


@pytest.mark.parametrize("content", [b"", b"../../etc", b"0123456789", b"ABCDEFGH"])
def test_an_id_that_is_none_is_not_used(tmp_path, content):
    (tmp_path / "tracker-id").write_bytes(content)
    assert kept_id(tmp_path) != kept_id(tmp_path)
    assert (tmp_path / "tracker-id").read_bytes() == content


def test_a_link_is_no_id(tmp_path):
    (tmp_path / "elsewhere").write_text("01234567")
    (tmp_path / "tracker-id").symlink_to(tmp_path / "elsewhere")
    assert kept_id(tmp_path) != "01234567"


def test_a_typo_is_found_before_any_model_is_opened(tmp_path):
    (tmp_path / "q.jsonl").write_text('{"prompt": "What is 1 + 1?"}\n')
    nowhere = ["--student", "http://127.0.0.1:9/v1", "--teacher", "http://127.0.0.1:9/v1"]
    done = run(
        *("synth", tmp_path / "q.jsonl", "--out", tmp_path / "out", *nowhere, "--log-to", "wandbb")
    )
    assert done.code == 2
    assert "did you mean wandb?" in done.err
    assert not (tmp_path / "out").exists()
