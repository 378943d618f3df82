"""`python -m studies.lab` as its user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studies import command
from studies.lab.__main__ import main
from studies.lab.families import FAMILIES
from studies.lab.questions import Split, questions, split_of
from tessy.boundary.training.segments import read_segments
from tessy.data.questions import read
from tessy.errors import LocalModelError

pytest.importorskip("reasoning_gym", reason="it needs a C compiler to install")

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def run(*arguments) -> int:
    return main([str(each) for each in arguments])


def test_questions_are_a_file_that_synthesis_reads(tmp_path, capsys):
    path, again = tmp_path / "q.jsonl", tmp_path / "again.jsonl"
    assert run("questions", "--out", path, "--count", 3, "--seed", 5) == 0
    assert f"{3 * len(FAMILIES)} lines" in capsys.readouterr().err
    found = list(read(path))
    assert [row.extra["family"] for row in found] == [name for name in FAMILIES for _ in range(3)]
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert rows[:3] == list(questions(FAMILIES["chain_sum"], Split.TEST, 3, 5))
    assert run("questions", "--out", again, "--count", 3, "--seed", 5) == 0
    assert again.read_bytes() == path.read_bytes()


def test_segments_are_a_file_that_a_predictor_is_trained_on(tmp_path):
    path = tmp_path / "s.jsonl"
    assert run("segments", "--out", path, "--count", 6, "--split", "sft") == 0
    asked = {segment.question.partition("\nReference")[0] for segment in read_segments(path)}
    assert {split_of(question) for question in asked} == {Split.SFT}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["questions", "--family", "chain_sums"], "invalid choice: 'chain_sums'"),
        (["segments", "--split", "tset"], "invalid choice: 'tset' (choose from 'train'"),
        (["train", "pupil"], "invalid choice: 'pupil'"),
        (["train", "student", "--hidden", "x"], "--hidden"),
        (["train", "student", "--batch-size", "0"], "--batch-size: Input should be greater"),
        (["train", "student", "--hidden", "8"], "--hidden: Input should be greater"),
        (["train", "student", "--hidden", "36"], "hidden is a multiple of 8"),
        (["questions", "--family", "chain_sum"], "{out} exists already"),
    ],
)
def test_what_cannot_be_used_is_named_before_any_work(tmp_path, capsys, arguments, message):
    out = tmp_path / "out"
    if "{out}" in message:
        out.write_text("mine")
    try:
        code = run(*arguments, "--out", out)
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert message.format(out=out) in capsys.readouterr().err
    assert not out.exists() or out.read_text() == "mine"


def test_a_file_in_no_folder_is_refused(tmp_path, capsys):
    assert run("questions", "--out", tmp_path / "no" / "q.jsonl") == 2
    assert f"there is no folder {tmp_path / 'no'}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "stopped\n"),
        (LocalModelError("it failed", hint="fix it"), 1, "error: it failed\nhint: fix it\n"),
    ],
)
def test_a_command_that_is_stopped_or_fails_ends_in_a_word(capsys, error, code, message):
    def fail():
        raise error

    assert command.finish(fail) == code
    assert capsys.readouterr().err == message


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lab.jsonl", ["--split", "sft", "--count", "10"]),
        ("sums.jsonl", ["--family", "chain_sum", "--split", "test", "--count", "40"]),
    ],
)
def test_the_questions_in_examples_are_made_as_its_readme_says(tmp_path, name, options):
    assert run("questions", *options, "--seed", "1", "--out", tmp_path / name) == 0
    assert (tmp_path / name).read_bytes() == (EXAMPLES / name).read_bytes()
