"""The examples at the end of each command's help."""

from __future__ import annotations

import re
import shlex

import pytest

from commands import run
from tessy.cli.examples import EXAMPLES
from tessy.cli.main import app

COMMANDS = {command.name: command.callback for command in app.registered_commands}


def test_every_command_has_two():
    assert EXAMPLES.keys() == COMMANDS.keys()
    assert all(len(examples) == 2 for examples in EXAMPLES.values())


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_has_only_options_that_there_are(name):
    settings = {setting.flag: setting for setting in COMMANDS[name].settings}
    for example in EXAMPLES[name]:
        program, command, *words = shlex.split(example)
        assert (program, command) == ("tessy", name)
        given = dict(zip(words, [*words[1:], ""], strict=True))
        for flag in (word for word in words if word.startswith("--")):
            choices = settings[flag].choices
            assert not choices or given[flag] in choices


def test_help_ends_with_them():
    done = run("show", "--help", COLUMNS="200")
    shown = re.sub(r"\s+", " ", done.out)
    assert shown.rstrip().endswith(" ".join(["Examples:", *EXAMPLES["show"]]))


HERE = [
    example
    for name, examples in EXAMPLES.items()
    for example in examples
    if name not in ("doctor", "serve") and not re.search(r"s3://|sft data\S+ --model", example)
]


@pytest.mark.parametrize("example", HERE)
def test_the_options_of_an_example_go_together(tmp_path, monkeypatch, example):
    """In an empty folder, only the files are missing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = run(*shlex.split(example)[1:])
    assert re.search("no such|is no run", done.err), done.err
