"""`tessy sft --eval`: a curve that grows during training, stopped and killed in an evaluation.

All samples have the same answer, so two epochs are enough for a tiny model to learn it, and it
answers half of the questions correctly.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from contextlib import suppress

import pytest

from commands import run, start
from e2e.test_sft import PATIENCE_S
from tessy.errors import JournalError
from tessy.runs.folder import RunFolder
from tessy.runs.reader import JournalReader
from training.made import sample, student, write

QUESTIONS = 16


def questions() -> list[dict]:
    """Every other one has the answer of the data."""
    return [
        {
            "id": f"q{number}",
            "prompt": f"What is {2 + number % 2}+{2 + number % 2}?",
            "answer": "4" if number % 2 == 0 else "6",
            "verifier": "number",
            "kind": "seen" if number % 2 == 0 else "other",
        }
        for number in range(QUESTIONS)
    ]


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A command, the folder of an uninterrupted training, and what the command printed."""
    folder = tmp_path_factory.mktemp("sft-eval")
    data = write(folder / "d.jsonl", [sample(2, id=str(number)) for number in range(48)])
    asked = write(folder / "q.jsonl", questions())
    config = folder / "eval.toml"
    config.write_text(
        "concurrency = 2\n[student.sampling]\ntemperature = 0\n"
        "[limits]\nthinking_tokens = 80\nanswer_tokens = 20\n"
    )
    command = [
        *("sft", data, "--model", student(folder / "model"), "--epochs", 2, "--batch-size", 4),
        *(
            "--learning-rate",
            5e-3,
            "--export-dtype",
            "f32",
            "--eval",
            asked,
            "--eval-config",
            config,
        ),
        *("--eval-group", "kind"),
    ]
    done = run(*command, "--out", folder / "whole")
    assert done.code == 0, done.err
    return command, folder / "whole", done


def test_questions_that_are_trained_on_are_said(given):
    _, whole, done = given
    assert "the training data has 1 of the 2 questions of the evaluation" in done.err
    assert "**The training data has 1 of these questions**" in (whole / "README.md").read_text()


def curve(folder) -> list[dict]:
    return json.loads((folder / "evaluation.json").read_text())["epochs"]


def ended(folder) -> int:
    """Samples of a run that have ended so far."""
    with suppress(JournalError), JournalReader(RunFolder(folder)) as reader:
        return sum(1 for _ in reader.ended())
    return 0


def test_the_curve_is_there_in_every_form(given):
    _, whole, done = given
    points = curve(whole)
    assert [point["epoch"] for point in points] == [0, 1, 2]
    assert [point["loss"] is None for point in points] == [True, False, False]
    assert points[0]["pass_at_1"]["value"] == 0
    last = points[2]
    assert (last["questions"], last["samples"], last["unmeasured"]) == (QUESTIONS, QUESTIONS, 0)
    assert last["groups"]["seen"]["value"] == 1
    assert last["pass_at_1"]["value"] == 0.5
    assert (whole / "evaluation.png").read_bytes().startswith(b"\x89PNG")
    card = (whole / "README.md").read_text()
    assert "| epoch | pass@1 | other | seen |" in card
    assert "| 2 | 50.0% (" in card
    for said in (
        f"evaluating the untrained model on {QUESTIONS} questions",
        f"untrained: pass@1 0.0% (0.0–19.4) of {QUESTIONS} questions",
        "epoch 2 of 2: pass@1 50.0% (",
        f"the curve: {whole / 'evaluation.png'}",
    ):
        assert said in done.err
    assert (whole / "eval" / "epoch-2" / "evaluation.json").is_file()
    assert f"{QUESTIONS} of {QUESTIONS} done" in (whole / "eval" / "epoch-2.log").read_text()
    assert not (whole / "eval" / "untrained").exists()


def test_stopped_and_killed_in_evaluations_it_resumes_where_it_was(given, tmp_path, wandb):
    command, whole, _ = given
    command = [*command, "--log-to", "wandb"]
    out = tmp_path / "out"
    interrupt_when(lambda: ended(out / "eval" / "epoch-0") > 0)
    stopped = run(*command, "--out", out)
    assert stopped.code == 130, stopped.err
    assert curve(out) == []
    assert 0 < ended(out / "eval" / "epoch-0") < QUESTIONS
    asyncio.run(killed(command, out))
    assert [point["epoch"] for point in curve(out)] == [0]
    assert 0 < ended(out / "eval" / "epoch-1") < QUESTIONS
    done = run(*command, "--out", out)
    assert done.code == 0, done.err
    assert "the untrained model" not in done.err, "what is done is not done again"
    assert curve(out) == curve(whole)
    assert (out / "README.md").read_text() == (whole / "README.md").read_text()
    scores = [each["log"] for each in wandb() if "eval/pass_at_1" in each.get("log", {})]
    assert [(each["step"], each["eval/pass_at_1"]) for each in scores] == [
        (12 * point["epoch"], point["pass_at_1"]["value"]) for point in curve(out)
    ]
    assert scores[-1]["eval/group/seen"] == 1


def interrupt_when(is_time) -> None:
    """Press Ctrl-C in this process when something is true."""

    def wait() -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not is_time() and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=wait, daemon=True).start()


async def killed(command, out) -> None:
    """Run the command in a process of its own, and kill it in the evaluation of the first epoch."""
    process = await start(*command, "--out", out, OMP_NUM_THREADS="1")
    async with asyncio.timeout(PATIENCE_S):
        while not ended(out / "eval" / "epoch-1"):
            assert process.returncode is None, (await process.communicate())[1].decode()
            await asyncio.sleep(0.005)
        process.kill()
        _, err = await process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert "Warning" not in err.decode()
    assert "forked" not in err.decode(), "tokenizers warns of forks: none is made"
