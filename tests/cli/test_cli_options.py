"""Options are a budget: whoever adds one adds it here, and thinks twice."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
import typer.main

from tessy.cli.main import app

_MODELS = [
    *("--student", "--teacher", "--student-tokenizer", "--teacher-tokenizer"),
    *("--student-format", "--teacher-format", "--config"),
]
OPTIONS = {
    "": ["--version"],
    "synth": [
        *("QUESTIONS", "--out", *_MODELS),
        *("--method", "--answer-by", "--teacher-only-system-prompt", "--candidates"),
        *("--verify", "--attempts", "--unsafe-no-sandbox"),
        *("--predictor", "--student-predictor", "--teacher-predictor"),
        *("--student-chunk", "--teacher-chunk"),
        *("--thinking-tokens", "--answer-tokens", "--on-thinking-limit"),
        *("--samples-per-question", "--mode", "--concurrency", "--workers", "--seed"),
        *("--limit", "--skip-bad", "--retry-failed", "--quiet"),
    ],
    "eval": [
        *("QUESTIONS", "--out", "--model", "--tokenizer", "--format", "--config"),
        *("--verify", "--runs", "--group", "--temperature", "--top-p", "--top-k"),
        *("--thinking-tokens", "--answer-tokens", "--concurrency", "--workers", "--seed"),
        *("--limit", "--retry-failed", "--unsafe-no-sandbox", "--quiet"),
    ],
    "doctor": _MODELS,
    "show": ["RUN", "SAMPLE", "--discarded", "--limit"],
    "view": ["RUN", "--port", "--no-open"],
    "export": [
        *("RUNS", "--to", "--out", "--mask", "--validation", "--seed"),
        *("--min-teacher-share", "--max-teacher-share", "--max-tokens", "--tokenizer"),
        *("--drop-forced", "--near-duplicates", "--decontaminate", "--ngram"),
        *("--licence", "--push", "--public", "--force", "--quiet"),
    ],
    "sft": [
        *("DATASET", "--out", "--model", "--config", "--loss", "--epochs", "--max-steps"),
        *("--batch", "--micro-batch", "--lr", "--warmup", "--schedule"),
        *("--max-length", "--over-length", "--lora", "--lora-rank", "--lora-alpha", "--dtype"),
        *("--chat-template", "--save-steps"),
        *("--eval", "--eval-runs", "--eval-verify", "--eval-group", "--eval-config"),
        *("--export", "--export-dtype", "--seed", "--quiet"),
    ],
    "report": [
        *("RUN", "--against", "--out", "--json", "--markdown", "--student-tokenizer", "--words"),
        *("--traces", "--samples", "--seed", "--student", "--student-format"),
        *("--student-weights", "--config", "--scored", "--quiet"),
    ],
    "verify": [
        *("RESPONSES", "--with", "--out", "--group", "--limit", "--at-once", "--cpu-seconds"),
        *("--memory-mb", "--unsafe-no-sandbox", "--quiet"),
    ],
    "predictor": [],
    "predictor annotate": [
        *("TRACES", "--annotator", "--out", "--count", "--words", "--before", "--seed"),
        *("--tokenizer", "--format", "--config", "--concurrency", "--quiet"),
    ],
    "predictor train": [
        *("SEGMENTS", "--out", "--base", "--shift", "--window", "--epochs", "--patience"),
        *("--batch", "--learning-rate", "--balance", "--cut-share", "--held-out", "--cost"),
        *("--hidden", "--vocabulary", "--onnx", "--seed", "--quiet"),
    ],
    "predictor evaluate": [
        *("PREDICTOR", "--gold", "--against", "--json", "--html", "--samples", "--quiet"),
    ],
}


def names(command) -> list[str]:
    """Its options, and its arguments in capitals."""
    found = []
    for parameter in command.params:
        is_argument = parameter.param_type_name == "argument"
        flags = [*parameter.opts, *parameter.secondary_opts]
        found += [parameter.name.upper()] if is_argument else flags
    return found


def commands(group, prefix="") -> dict[str, Any]:
    """Every command, and every command of a group of commands, by its whole name."""
    found = {}
    for name, command in group.commands.items():
        found[prefix + name] = command
        if hasattr(command, "commands"):
            found |= commands(command, f"{prefix}{name} ")
    return found


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tessy", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
    )


def test_these_are_all_commands_and_options():
    group = typer.main.get_command(app)
    found = {"": names(group)} | {name: names(c) for name, c in commands(group).items()}
    assert found == OPTIONS


@pytest.mark.parametrize("command", [name for name in OPTIONS if name])
def test_every_option_says_what_it_does(command):
    for parameter in commands(typer.main.get_command(app))[command].params:
        assert parameter.help, parameter.name


@pytest.mark.parametrize("command", OPTIONS)
def test_an_unknown_option_is_named(command):
    done = run(*command.split(), "--no-such-thing", "3")
    assert done.returncode == 2
    assert "--no-such-thing" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_command_is_named():
    done = run("synthesise")
    assert done.returncode == 2
    assert "synthesise" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["synth"], "Missing argument"),
        (["synth", "q.jsonl"], "--out"),
        (["show"], "Missing argument"),
        (["synth", "q.jsonl", "--out", "x", "--seed", "many"], "--seed"),
        (["synth", "q.jsonl", "--out", "x", "--limit", "0"], "--limit"),
        (["show", "x", "--limit", "0"], "--limit"),
        (["view"], "Missing argument"),
        (["view", "x", "--port", "65536"], "--port"),
    ],
)
def test_what_is_missing_or_wrong_is_named(arguments, said):
    done = run(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--seed", "-1", "seed = -1"),
        ("--student-chunk", "1", "student.chunk = 1"),
        ("--concurrency", "0", "concurrency = 0"),
        ("--on-thinking-limit", "despair", "limits.on_thinking_limit = 'despair'"),
        ("--method", "guess", "method = 'guess'"),
        ("--predictor", "guess", "'guess' is no predictor"),
        ("--student", "guess", "'guess'"),
        ("--student-format", "guess", "guess"),
        ("--config", "nothing.toml", "nothing.toml: no such configuration file"),
    ],
)
def test_a_value_out_of_bounds_is_named_before_anything_is_done(tmp_path, option, value, said):
    questions = tmp_path / "q.jsonl"
    questions.write_text('{"prompt": "What?"}\n')
    urls = ["--student", "http://127.0.0.1:9/v1", "--teacher", "http://127.0.0.1:9/v1"]
    done = run("synth", questions, "--out", tmp_path / "run", *urls, option, value)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_the_version():
    import tessy

    assert run("--version").stdout == f"tessy {tessy.__version__}\n"
