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
