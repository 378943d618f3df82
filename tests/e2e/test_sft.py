"""`tessy sft` in a process of its own: killed, stopped, gone on, and with two processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from commands import Done, start
from training.made import sample, student, write

ENVIRONMENT = {"OMP_NUM_THREADS": "1"}
PATIENCE_S = 900


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A model and a data set, as arguments; and what an undisturbed training comes to."""
    folder = tmp_path_factory.mktemp("sft")
    data = write(folder / "d.jsonl", [sample(number) for number in range(12)])
    model = student(folder / "model")
    options = [
        "--epochs",
        4,
        "--batch-size",
        4,
        "--learning-rate",
        5e-3,
        "--save-steps",
        2,
        "--seed",
        3,
    ]
    command = ["sft", data, "--model", model, *options]
    done = asyncio.run(run(*command, "--out", folder / "whole"))
    assert done.code == 0, done.err
    return command, folder / "whole", done


async def run(*command) -> Done:
    """Run `tessy` to its end: importing torch and TRL takes its time on a busy machine."""
    process = await start(*command, **ENVIRONMENT)
    async with asyncio.timeout(PATIENCE_S):
        out, err = await process.communicate()
    return Done(process.returncode, out.decode(), err.decode())


async def reached(path: Path, process) -> None:
    """Wait until a file or folder is there."""
    async with asyncio.timeout(PATIENCE_S):
        while not path.exists():
            assert process.returncode is None, (await process.communicate())[1].decode()
            await asyncio.sleep(0.005)


def result(folder: Path):
    return json.loads((folder / "loss.json").read_text()), load_file(
        folder / "epoch-4" / "model.safetensors"
    )


def check_same(one: Path, other: Path) -> None:
    (losses, weights), (other_losses, other_weights) = result(one), result(other)
    assert losses == other_losses
    assert all(torch.equal(weights[name], other_weights[name]) for name in weights)


async def test_it_says_what_there_is_to_know(given):
    _, whole, done = given
    assert "12 of 12 samples" in done.err
    assert "epoch 4 of 4: loss" in done.err
    assert done.err.endswith(f": {whole / 'epoch-4'}\n")
    assert "Warning" not in done.err
    assert not done.out


@pytest.mark.parametrize("at", ["epoch-1", "state/checkpoint-8"])
async def test_resumed_after_kill_9_is_as_if_never_killed(given, tmp_path, at):
    command, whole, _ = given
    process = await start(*command, "--out", tmp_path / "out", **ENVIRONMENT)
    await reached(tmp_path / "out" / at, process)
    process.kill()
    await process.communicate()
    assert process.returncode == -signal.SIGKILL
    done = await run(*command, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert "going on behind step" in done.err
    check_same(whole, tmp_path / "out")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_stopped_behind_a_step_goes_on_from_there(given, tmp_path, how):
    command, whole, _ = given
    process = await start(*command, "--out", tmp_path / "out", **ENVIRONMENT)
    await reached(tmp_path / "out" / "epoch-1", process)
    process.send_signal(how)
    _, err = await process.communicate()
    assert process.returncode == 130, err.decode()
    assert "Traceback" not in err.decode()
    assert ", whose state is saved" in err.decode()
    assert list((tmp_path / "out" / "state").glob("checkpoint-*/complete"))
    done = await run(*command, "--out", tmp_path / "out")
    assert "going on behind step" in done.err
    check_same(whole, tmp_path / "out")


async def test_two_processes_share_a_batch_and_come_to_the_same_losses(given, tmp_path):
    command, whole, _ = given
    launched = [
        *(sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"),
        *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"),
        *("--main_process_port", "0", "-m", "tessy"),
    ]
    process = await asyncio.create_subprocess_exec(
        *launched,
        *map(str, [*command, "--out", tmp_path / "out"]),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **ENVIRONMENT},
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
        (["--lora-rank", "0", "--schedule", "up"], "--lora-rank 0: input should be"),
        (["--max-tokens", "99999"], "has a context of 4096"),
    ],
)
async def test_what_is_wrong_is_named_before_anything_is_trained(given, tmp_path, change, said):
    done = await run(*given[0], "--out", tmp_path / "out", *change)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "out" / "state").exists()
