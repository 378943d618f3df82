"""`tessy sft`: stopped, killed, resumed, and with two processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from commands import run, start
from training.made import sample, student, write

PATIENCE_S = 300


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A command, the folder of an uninterrupted training, and what the command printed."""
    folder = tmp_path_factory.mktemp("sft")
    data = write(folder / "d.jsonl", [sample(number) for number in range(12)])
    options = [
        "--epochs",
        3,
        "--batch-size",
        4,
        "--learning-rate",
        5e-3,
        "--save-steps",
        2,
        "--seed",
        3,
    ]
    command = ["sft", data, "--model", student(folder / "model"), *options]
    done = run(*command, "--out", folder / "whole")
    assert done.code == 0, done.err
    return command, folder / "whole", done


def result(folder: Path):
    losses = json.loads((folder / "loss.json").read_text())
    return losses, load_file(folder / "epoch-3" / "model.safetensors")


def check_same(one: Path, other: Path) -> None:
    (losses, weights), (other_losses, other_weights) = result(one), result(other)
    assert losses == other_losses
    assert all(torch.equal(weights[name], other_weights[name]) for name in weights)


def signal_at(path: Path, number: int) -> None:
    """Send this process a signal when a file or folder is there."""

    def wait() -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.002)
        os.kill(os.getpid(), number)

    threading.Thread(target=wait, daemon=True).start()


def test_it_says_what_there_is_to_know(given):
    _, whole, done = given
    assert "12 of 12 samples" in done.err
    assert "epoch 3 of 3: loss" in done.err
    assert done.err.endswith(f": {whole / 'epoch-3'}\n")
    assert "Warning" not in done.err
    assert not done.out


async def test_resumed_after_kill_9_is_as_if_never_killed(given, tmp_path):
    """Killed while the second epoch's checkpoint is written, in a process of its own."""
    command, whole, _ = given
    out = tmp_path / "out"
    process = await start(*command, "--out", out, OMP_NUM_THREADS="1")
    async with asyncio.timeout(PATIENCE_S):
        while not (out / "state" / "checkpoint-6").exists():
            assert process.returncode is None, (await process.communicate())[1].decode()
            await asyncio.sleep(0.002)
    process.kill()
    _, err = await process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert "Warning" not in err.decode()
    done = run(*command, "--out", out)
    assert done.code == 0, done.err
    assert "resuming after step" in done.err
    check_same(whole, out)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_after_a_step_it_resumes_from_there(given, tmp_path, number):
    command, whole, _ = given
    out = tmp_path / "out"
    before = signal.getsignal(number)
    signal_at(out / "state" / "checkpoint-2", number)
    stopped = run(*command, "--out", out)
    assert stopped.code == 130, stopped.err
    assert "; its state is saved" in stopped.err
    assert stopped.err.endswith("stopped: the same command goes on\n")
    assert list((out / "state").glob("checkpoint-*/complete"))
    assert signal.getsignal(number) is before
    done = run(*command, "--out", out)
    assert "resuming after step" in done.err
    check_same(whole, out)
    assert "nothing was left to train" in run(*command, "--out", out).err


async def test_two_processes_share_a_batch_and_come_to_the_same_losses(given, tmp_path):
    command, whole, _ = given
    launch = [
        *(sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"),
        *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"),
        *("--main_process_port", "0", "-m", "tessy"),
    ]
    process = await asyncio.create_subprocess_exec(
        *launch,
        *map(str, [*command, "--out", tmp_path / "out"]),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    async with asyncio.timeout(PATIENCE_S):
        _, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    found, wanted = result(tmp_path / "out")[0], result(whole)[0]
    assert len(found["steps"]) == len(wanted["steps"])
    assert found["first_step_loss"] == pytest.approx(wanted["first_step_loss"], rel=0.2)
    assert found["epochs"][-1]["loss"] < found["epochs"][0]["loss"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--loss", "teacher"], "'teacher' is no part of a response"),
        (["--lora-rank", "0", "--schedule", "up"], "--lora-rank 0: should be at least 1"),
        (["--max-tokens", "99999"], "has a context of 4096"),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_trained(given, tmp_path, change, said):
    done = run(*given[0], "--out", tmp_path / "out", *change)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "out" / "state").exists()
