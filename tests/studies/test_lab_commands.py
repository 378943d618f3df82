"""`tessy lab` as its user types it."""

from __future__ import annotations

import signal

import pytest

from e2e.conftest import lines, start, tessy
from tessy.boundary.training.segments import read_segments
from tessy.data.questions import read
from studies.lab.families import FAMILIES
from studies.lab.questions import Split, questions, split_of

pytest.importorskip("reasoning_gym", reason="it needs a C compiler to install")

TINY = [*("--batch", "2", "--hidden", "32", "--layers", "1")]


async def test_questions_are_a_file_that_synthesis_reads(tmp_path):
    path = tmp_path / "q.jsonl"
    done = await tessy("lab", "questions", "--out", path, "--count", 3, "--seed", 5)
    assert done.code == 0, done.err
    assert f"{3 * len(FAMILIES)} lines" in done.err
    found = read(path).good
    assert [row.extra["family"] for row in found] == [name for name in FAMILIES for _ in range(3)]
    wanted = list(questions(FAMILIES["chain_sum"], Split.TEST, 3, 5))
    assert lines(path)[:3] == wanted
    again = tmp_path / "again.jsonl"
    await tessy("lab", "questions", "--out", again, "--count", 3, "--seed", 5)
    assert again.read_bytes() == path.read_bytes()


async def test_segments_are_a_file_that_a_predictor_is_trained_on(tmp_path):
    path = tmp_path / "s.jsonl"
    done = await tessy("lab", "segments", "--out", path, "--count", 6, "--split", "sft")
    assert done.code == 0, done.err
    asked = {segment.question.partition("\nReference")[0] for segment in read_segments(path)}
    assert {split_of(question) for question in asked} == {Split.SFT}


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["questions", "--family", "chain_sums"], "'chain_sums' is no family"),
        (["questions", "--split", "tset"], "'tset' is no split"),
        (["segments", "--split", "tset"], "'tset' is no split"),
        (["train", "pupil"], "'pupil' is no model of the lab"),
        (["train", "student", "--hidden", "8"], "--hidden: Input should be greater"),
        (["train", "student", "--hidden", "36"], "--hidden"),
    ],
)
async def test_what_means_nothing_is_named_before_any_work(tmp_path, command, says):
    out = tmp_path / "out"
    done = await tessy("lab", *command, "--out", out)
    assert done.code == 2, done.err
    assert says in done.err
    assert not out.exists()


async def test_a_file_that_is_there_stays(tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_text("mine")
    done = await tessy("lab", "questions", "--out", path)
    assert done.code == 2
    assert "is there already" in done.err
    done = await tessy("lab", "questions", "--out", tmp_path / "no" / "q.jsonl")
    assert done.code == 2
    assert "there is no folder" in done.err
    assert path.read_text() == "mine"


async def test_a_killed_training_goes_on_with_the_same_command(tmp_path):
    out = tmp_path / "student"
    command = ["lab", "train", "student", "--out", out, "--steps", "260", *TINY]
    process = await start(*command)
    async for line in process.stderr:
        if b"step 150 of" in line:
            break
    process.send_signal(signal.SIGKILL)
    await process.wait()
    assert (out / "checkpoint.pt").is_file()
    done = await tessy(*command)
    assert done.code == 0, done.err
    assert "going on from step 100" in done.err
    assert not (out / "checkpoint.pt").exists()
    assert (out / "model.gguf").is_file()
    done = await tessy(*command, "--seed", "1")
    assert done.code == 2
    assert "trained with other settings" in done.err


async def test_ctrl_c_ends_a_training_in_a_word(tmp_path):
    process = await start("lab", "train", "student", "--out", tmp_path / "s", *TINY)
    async for line in process.stderr:
        if b"step 50 of" in line:
            break
    process.send_signal(signal.SIGINT)
    rest = await process.stderr.read()
    assert await process.wait() == 130
    assert b"Traceback" not in rest
    assert b"stopped" in rest
