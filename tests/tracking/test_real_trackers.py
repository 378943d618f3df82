"""The real libraries, where they are installed: `make test-trackers`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress

import pytest

from tessy.tracking.log import RunLog

TOML = f'prompt = "{"x" * 9000}"\n[run]\ndate = 2026-11-28\n[student]\nformat = "plain"\n'


def in_leveldb_log(file):
    """The records in a file of W&B: blocks of 32 KiB, in which a record may begin and end."""
    content, at, record = file.read_bytes(), 7, b""
    while at + 7 <= len(content):
        if (left := 32_768 - at % 32_768) < 7:
            at += left
            continue
        size, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        record += content[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            yield record
            record = b""


@pytest.fixture
def out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "run.toml").write_text(TOML)
    return tmp_path / "first"


def logged_twice(out, name):
    """Stopped after step 2, and resumed; returns the lines for the user."""
    said: list[str] = []
    for steps, error in (((1, 2), KeyboardInterrupt), ((2, 3), None)):
        with suppress(KeyboardInterrupt), RunLog(name, said.append) as log:
            log.open(out, out / "run.toml")
            for step in steps:
                log.log({"train/loss": 1 / step, "tokens": 10 * step, "eval/group/C++": 0.5}, step)
            if error:
                raise error
    return said


@pytest.mark.parametrize("name", ["tensorboard", "tensorboard:logs"])
def test_tensorboard_reads_both_starts_as_one_run(out, name):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    said = logged_twice(out, name)
    folder = out / "tensorboard"
    if name.endswith(":logs"):
        assert said[0] == "tensorboard: tensorboard --logdir logs"
        (folder,) = (out.parent / "logs").iterdir()
        assert folder.name.startswith("first-")
    events = EventAccumulator(str(folder))
    events.Reload()
    assert events.Tags()["scalars"] == ["train/loss", "tokens", "eval/group/C++"]
    assert [each.step for each in events.Scalars("tokens")] == [1, 2, 2, 3]
    assert events.Scalars("train/loss")[-1].value == pytest.approx(1 / 3)


def test_shards_have_folders_of_their_own_for_tensorboard(out):
    pytest.importorskip("tensorboard")
    for number in range(2):
        with RunLog("tensorboard", print) as log:
            log.open(out, out / "run.toml", shard=f"{number}/2")
    names = sorted(path.name for path in (out / "tensorboard").iterdir())
    assert [name.split("-")[:2] for name in names] == [["first 0", "2"], ["first 1", "2"]]


def test_mlflow_has_one_run_of_both_starts(out, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    database = f"sqlite:///{out.parent}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
    monkeypatch.setattr("tessy.tracking.log.CLOSE_S", 60)  # it makes a database
    said = logged_twice(out, "mlflow:words")
    assert said == [f"mlflow: run first in {database}"] * 2
    mlflow.set_tracking_uri(database)
    (run,) = mlflow.search_runs(experiment_names=["words"], output_format="list")
    assert (run.info.run_name, run.info.status) == ("first", "FINISHED")
    assert run.data.params["student.format"] == "plain"
    assert run.data.metrics["eval/group/C__"] == 0.5
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "tokens")
    assert [each.step for each in history] == [1, 2, 2, 3]


@contextmanager
def mlflow_server(folder):
    """A tracking server of MLflow on this machine; yields its address, and a way to kill it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    store = ("--backend-store-uri", f"sqlite:///{folder}/server.db", "--workers", "1")
    serve = (sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port))
    own = {
        "env": os.environ | {"MLFLOW_TRACKING_URI": ""},
        "start_new_session": True,
        "cwd": folder,
    }
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen([*serve, *store], stdout=log, stderr=log, **own)

    def kill():
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            with suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=1):
                break
            assert process.poll() is None, (folder / "server.log").read_text()
            time.sleep(0.1)
        yield url, kill
    finally:
        if process.poll() is None:
            kill()


@pytest.fixture
def server(out, monkeypatch):
    pytest.importorskip("mlflow")
    with mlflow_server(out.parent) as (url, kill):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        yield url, kill


def test_a_server_of_mlflow_has_one_run_of_both_starts(out, server):
    import mlflow

    url, _ = server
    said = logged_twice(out, "mlflow:words")
    assert said == [f"mlflow: run first in {url}"] * 2
    mlflow.set_tracking_uri(url)
    (run,) = mlflow.search_runs(experiment_names=["words"], output_format="list")
    assert (run.info.run_name, run.info.status) == ("first", "FINISHED")
    assert run.data.params["student.format"] == "plain"
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "tokens")
    assert [each.step for each in history] == [1, 2, 2, 3]


def test_a_server_of_mlflow_that_is_killed_does_not_stop_a_run(out, server, monkeypatch):
    monkeypatch.setattr("tessy.tracking.log.CLOSE_S", 1)
    url, kill = server
    said: list[str] = []
    with RunLog("mlflow:words", said.append) as log:
        log.open(out, out / "run.toml")
        while not said:  # a process of its own opens it
            time.sleep(0.1)
        kill()
        for step in range(3):
            log.log({"tokens": step}, step)
    first, *others = said
    assert first == f"mlflow: run first in {url}"
    assert others
    assert all(line.startswith("mlflow: ") for line in others)


def test_wandb_keeps_both_starts_under_one_id_without_a_server(out, monkeypatch):
    pytest.importorskip("wandb")
    from wandb.proto.wandb_internal_pb2 import Record

    monkeypatch.setenv("WANDB_MODE", "offline")
    said = logged_twice(out, "wandb:words")
    assert [line.split()[1:3] for line in said] == [["wandb", "sync"]] * 2
    files = sorted(out.parent.glob("wandb/offline-run-*/*.wandb"))
    records = [Record.FromString(each) for file in files for each in in_leveldb_log(file)]
    runs = [each.run for each in records if each.HasField("run")]
    assert {each.run_id for each in runs} == {(out / "tracker-id").read_text()}
    assert {(each.project, each.display_name) for each in runs} == {("words", "first")}
    logged = [
        item.value_json
        for each in records
        if each.HasField("history")
        for item in each.history.item
        if "step" in (item.key, *item.nested_key) and "_step" not in item.nested_key
    ]
    assert logged == ["1", "2", "2", "3"]
    assert [each.exit.exit_code for each in records if each.HasField("exit")] == [255, 0]


def test_wandb_without_a_server_does_not_hold_up_the_end(out, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("tessy.tracking.log.CLOSE_S", 1)
    said = logged_twice(out, "wandb")  # which W&B itself would take minutes for
    assert all("not waited for" in line or "uploads it later" in line for line in said)
