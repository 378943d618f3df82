"""Options: their text in `--help`, its imports, and how bad options are refused."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import tessy
from commands import run
from tessy.cli.options import meaning_for

ROOT = Path(__file__).parents[2]
REFERENCE = runpy.run_path(str(ROOT / "docs" / "reference.py"))
COMMANDS = REFERENCE["commands"]()
HEAVY = {
    *("torch", "transformers", "aiohttp", "tokenizers", "pyarrow", "xllamacpp", "jinja2"),
    *("datasets", "huggingface_hub", "sqlite3", "asyncio", "numpy", "onnxruntime", "sklearn"),
}
"""Packages that are slow to import; pydantic is not listed, since options are made with it."""


def test_the_reference_is_what_the_definitions_say():
    """After a change, run `make docs`. Is each new option in tests/cli/options.txt needed?"""
    for path, text in REFERENCE["files"]().items():
        assert path.read_text("utf-8") == text, f"{path.relative_to(ROOT)}: make docs"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_says_what_it_does_and_its_default(command):
    shown = " ".join(run(*command.split(), "--help", COLUMNS="1000").out.split())
    for setting in COMMANDS[command]:
        assert setting.help
        assert setting.help.endswith((".", "…"))
        assert (setting.flag or f" {setting.key}") in shown
        assert setting.default not in (None, ()) or setting.table or setting.option.unset
        assert not setting.usual or f"[default: {setting.usual}]" in shown


def test_help_imports_nothing_heavy():
    code = (
        "import contextlib, io, json, sys\n"
        "from tessy.cli.main import main\n"
        "codes = []\n"
        "for command in json.loads(sys.argv[1]):\n"
        "    with contextlib.redirect_stdout(io.StringIO()):\n"
        "        try:\n"
        "            main([*command.split(), '--help'])\n"
        "        except SystemExit as end:\n"
        "            codes.append(end.code)\n"
        "print(json.dumps([codes, [*sys.modules]]))"
    )
    every = ["", "predictor", *COMMANDS]
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(every)], capture_output=True, text=True, check=True
    )
    codes, imported = json.loads(done.stdout)
    assert codes == [0] * len(every)
    assert not {name.partition(".")[0] for name in imported} & HEAVY


@dataclass
class Named:
    """What `meaning_for` looks at."""

    key: str
    help: str
    default: object = None
    choices: tuple[str, ...] = ()

    @property
    def flag(self):
        return f"--{self.key.replace('_', '-')}"


def test_other_options_are_named_as_they_are_typed_but_values_and_splits_are_not():
    every = [
        Named("base", "`window` or `small`, with `cut_share` or `base`.", "window"),
        Named("window", "Of `small`."),
        Named("kind", "One of them.", None, ("small",)),
        Named("small", "A split `small` of `kind`, by `dry_run`."),
        Named("cut_share", "A split `cut_share`."),
    ]
    assert [meaning_for(each, every) for each in every] == [
        "`window` or `small`, with `--cut-share` or `base`.",
        "Of `small`.",
        "One of them.",
        "A split `small` of `--kind`, by `dry_run`.",
        "A split `cut_share`.",
    ]


def test_no_help_takes_a_base_or_a_split_for_an_option():
    text = " ".join(run("predictor", "train", "--help").out.split())
    assert "any base but window" in text.replace("│ │", "").replace("  ", " ")
    assert "--window, a small network" not in text
    assert "split --validation" not in " ".join(run("export", "--help").out.split())


# --- What is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--window", "99"], "the base window does not use --window"),
        (["--window", "99", "--balance", "0"], "does not use --window, --balance"),
        (["--cut-share", "0.5"], "the base window does not use --cut-share"),
        (["--base", "some/model", "--hidden", "64"], "the base some/model does not use --hidden"),
    ],
)
def test_what_does_nothing_for_a_base_is_refused(tmp_path, options, said):
    done = run("predictor", "train", tmp_path / "none.jsonl", "--out", tmp_path / "p", *options)
    assert done.code == 2
    assert said in done.err


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_an_unknown_option_is_named(command):
    done = run(*command.split(), "--no-such-thing", "3")
    assert done.code == 2
    assert "--no-such-thing" in done.err


def test_an_unknown_command_is_named():
    done = run("synthesise")
    assert done.code == 2
    assert "synthesise" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["synth"], "Missing argument"),
        (["synth", "q.jsonl"], "--out"),
        (["show"], "Missing argument"),
        (["show", "x", "--limit", "0"], "--limit 0: should be at least 1"),
        (["view"], "Missing argument"),
        (["view", "x", "--port", "65536"], "--port 65536: should be at most 65535"),
        (["export", "x", "--out", "y"], "--to"),
        (["export", "x", "--out", "y", "--to", "csv"], "--to csv: input should be 'trl'"),
        (["sft", "x", "--out", "y"], "--model"),
        (["sft", "x", "--out", "y", "--model", "m", "--lora-rank", "0"], "--lora-rank 0"),
        (["eval", "x", "--out", "y"], "--model"),
        (
            ["predictor", "train", "x", "--out", "y", "--held-out", "1"],
            "--held-out 1: should be below 1",
        ),
    ],
)
def test_what_is_missing_or_wrong_is_named(arguments, said):
    done = run(*arguments)
    assert done.code == 2
    assert said in done.err


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--seed", "-1", "--seed -1: should be at least 0"),
        ("--seed", "many", "--seed many: should be a whole number"),
        ("--limit", "0", "--limit 0: should be at least 1"),
        ("--student-chunk", "1", "--student-chunk 1: should be at least"),
        ("--concurrency", "0", "--concurrency 0: should be at least 1"),
        ("--on-thinking-limit", "despair", "--on-thinking-limit despair: input should be 'fail'"),
        ("--method", "guess", "method = 'guess'"),
        ("--method", "teser", "did you mean tessy? one of tessy, student-only"),
        ("--predictor", "lexikon", "did you mean lexicon? a predictor is"),
        ("--predictor", "onxx:here", "did you mean onnx? a predictor is"),
        ("--predictor", "onnx:nofolder", "onnx:nofolder: no such folder"),
        ("--predictor", "python:tessy.testing.predictors:digit", "did you mean digits?"),
        ("--verify", "python:tessy.testing.predictors:digit", "predictors has no digit"),
        ("--student-format", "qwen", "did you mean qwen3? one of qwen3, "),
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
    assert done.code == 2, done.err
    assert said in done.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("option", "setting"),
    [
        ("--prompts", "prompts"),
        ("--context-tokens", "limits.context_tokens"),
        ("--limits-context-tokens", "limits.context_tokens"),
        ("--connect-s", "student.timeouts.connect_s"),
    ],
)
def test_an_option_that_is_a_setting_of_the_file_is_named(tmp_path, option, setting):
    done = run("synth", tmp_path / "q.jsonl", "--out", tmp_path / "run", option, "1")
    assert done.code == 2
    said = " ".join(done.err.replace("│", " ").split())
    assert f"No such option: {option}: {setting} is a setting of the TOML file" in said
    without = run("show", tmp_path, option, "1")
    assert (without.code, "TOML" in without.err) == (2, False)


def test_what_happens_to_wrong_answers_is_for_answers_that_are_verified(tmp_path):
    (tmp_path / "q.jsonl").write_text('{"prompt": "What?"}\n')
    models = ["--student", "lab:student", "--teacher", "lab:teacher", "--on-wrong", "keep"]
    done = run("synth", tmp_path / "q.jsonl", "--out", tmp_path / "run", *models)
    assert done.code == 2
    assert "on_wrong = 'keep' is about answers that a verifier rejects" in done.err
    assert "hint: --verify NAME, or leave --on-wrong out" in done.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", [["synth", "q.jsonl", "--out", "run"], ["doctor"]])
@pytest.mark.parametrize("missing", ["student", "teacher"])
def test_a_model_that_is_not_given_is_asked_for(tmp_path, monkeypatch, command, missing):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "q.jsonl").write_text('{"prompt": "What?"}\n')
    other = {"student": "teacher", "teacher": "student"}[missing]
    done = run(*command, f"--{other}", "http://127.0.0.1:9/v1")
    assert done.code == 2
    assert f"error: no {missing} is given" in done.err
    assert f"--{missing} http://localhost:800" in done.err
    assert f"[{missing}]" in done.err
    assert not (tmp_path / "run").exists()


def test_the_version():
    assert run("--version").out == f"tessy {tessy.__version__}\n"
