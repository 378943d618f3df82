"""What a shell offers after Tab."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tessy.synthesis.methods import METHODS

_COMMAND = "import sys; sys.argv = ['tessy']; from tessy.cli.main import main; main()"


def offered(line: str) -> set[str]:
    """What bash offers at the end of a line; a shell asks a process of its own."""
    asked = {
        "COMP_WORDS": line,
        "COMP_CWORD": str(line.count(" ")),
        "_TESSY_COMPLETE": "complete_bash",
    }
    done = subprocess.run(
        [sys.executable, "-c", _COMMAND],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=False,
    )
    return set(done.stdout.split())


def test_commands_and_options_are_offered():
    assert {"synth", "show", "sft"} <= offered("tessy s")
    assert {"--student", "--student-tokenizer"} <= offered("tessy synth --stu")


@pytest.mark.parametrize("begun", ["", "teacher-"])
def test_methods_are_offered(begun):
    expected = {name for name in METHODS if name.startswith(begun)}
    assert offered(f"tessy synth --method {begun}") == expected


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("tessy synth --mode ", {"auto", "stream", "chunks"}),
        ("tessy synth --predictor l", {"lexicon", "lab"}),
        ("tessy synth --verify m", {"math"}),
        ("tessy export --to t", {"trl"}),
    ],
)
def test_values_are_offered(line, values):
    assert values <= offered(line)


def test_files_are_left_to_the_shell():
    assert offered("tessy synth --config ") == set()
