"""Predictors by name."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tessy.boundary.lexicon import LexiconPredictor
from tessy.boundary.protocol import Predictor
from tessy.boundary.registry import load
from tessy.errors import ConfigError, MissingExtra, PredictorError, install_hint
from tessy.testing.predictors import DigitPredictor

MODULE = """
class Fine:
    name = "fine"
    batched = False
    def judge(self, passages):
        return []

class Nameless:
    batched = False
    def judge(self, passages):
        return []

class Mute:
    name = "mute"
    batched = False

def nothing():
    pass

def raises():
    raise KeyError("oops")

def demands():
    from tessy.errors import MissingExtra
    raise MissingExtra("it needs a snark", hint="hunt one")

def needs(argument):
    return Fine()

fine = Fine()
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of the user's, in the folder where he is."""
    name = f"predictors_of_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    (tmp_path / f"{name}_broken.py").write_text("import tessy.nothing_of_the_kind")
    (tmp_path / f"{name}_garbled.py").write_text("def :")
    (tmp_path / f"{name}_raising.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_the_built_in_one():
    assert isinstance(load("lexicon"), LexiconPredictor)


def test_a_factory_of_a_module(module):
    assert isinstance(load("python:tessy.testing.predictors:digits"), DigitPredictor)
    assert load(f"python:{module}:Fine").name == "fine"
    assert isinstance(load(f"python:{module}:Fine"), Predictor)


@pytest.mark.parametrize(
    "name",
    [
        *("", ":", "lexikon", "Lexicon", "lexicon:", "lexicon:en", "python", "python:"),
        *("transformers", "transformers:", "digits", "tessy.testing.predictors:digits"),
        "hf:owner/name",
    ],
)
def test_names_that_mean_nothing(name):
    with pytest.raises(ConfigError, match="is no predictor") as error:
        load(name)
    assert repr(name) in str(error.value)
    for kind in ("lexicon", "transformers:", "python:"):
        assert kind in error.value.hint


@pytest.mark.parametrize(
    ("file", "scheme"),
    [("window.npz", "window"), ("model.onnx", "onnx"), ("config.json", "transformers")],
)
def test_the_folder_of_a_predictor_is_called_by_its_kind(tmp_path, file, scheme):
    (tmp_path / file).touch()
    with pytest.raises(ConfigError, match="is no predictor") as error:
        load(str(tmp_path))
    assert error.value.hint == f"write {scheme}:{tmp_path}"


@pytest.mark.parametrize("rest", ["module", ":factory", "module:", "::", ":"])
def test_a_python_name_of_another_form(rest):
    with pytest.raises(ConfigError) as error:
        load(f"python:{rest}")
    assert error.value.hint.startswith("python:MODULE:FACTORY, such as python:")
    assert "names no factory" in str(error.value)


@pytest.mark.parametrize(
    ("tail", "said"),
    [
        ("_nothing:Fine", "No module named"),
        (":Nothing", "has no Nothing"),
        ("_broken:Fine", "tessy.nothing_of_the_kind"),
        ("_garbled:Fine", "invalid syntax"),
        ("_raising:Fine", "division by zero"),
    ],
)
def test_what_cannot_be_imported(module, tail, said):
    with pytest.raises(ConfigError, match="can't be imported") as error:
        load(f"python:{module}{tail}")
    assert said in str(error.value)
    assert ("PYTHONPATH" in (error.value.hint or "")) == (tail == "_nothing:Fine")


def test_a_file_in_the_current_folder_is_a_module(tmp_path, monkeypatch):
    """The command's own `sys.path` has its script's folder in place of the current one."""
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beside.py").write_text("from tessy.testing.predictors import digits as made\n")
    (tmp_path / "of_mine.py").write_text("from beside import made\n")
    (tmp_path / "json.py").write_text("raise SystemExit('the standard library comes first')\n")
    assert load("python:of_mine:made").name == load("python:tessy.testing.predictors:digits").name
    with pytest.raises(ConfigError, match="has no made"):
        load("python:json:made")


@pytest.mark.parametrize("relative", [".module:factory", "..:factory", "a..b:factory"])
def test_a_module_named_relatively(relative):
    with pytest.raises(ConfigError, match="can't be imported"):
        load(f"python:{relative}")


@pytest.mark.parametrize(
    ("factory", "made"), [("Nameless", "Nameless"), ("Mute", "Mute"), ("nothing", "NoneType")]
)
def test_a_factory_that_makes_no_predictor(module, factory, made):
    with pytest.raises(PredictorError, match=f"made a {made}, which is no predictor") as error:
        load(f"python:{module}:{factory}")
    assert "name, batched and judge(passages)" in error.value.hint


@pytest.mark.parametrize(
    ("factory", "said"),
    [("raises", "oops"), ("needs", "argument"), ("fine", "not callable")],
)
def test_a_factory_that_fails(module, factory, said):
    with pytest.raises(PredictorError, match=f"python:{module}:{factory}") as error:
        load(f"python:{module}:{factory}")
    assert said in str(error.value)


def test_a_factory_that_says_what_it_needs(module):
    with pytest.raises(MissingExtra, match="it needs a snark"):
        load(f"python:{module}:demands")


def test_what_is_missing_is_said_with_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match="transformers:x needs torch and transformers") as error:
        load("transformers:x")
    assert error.value.hint == install_hint("train")
    assert load("lexicon").name == "lexicon"


def test_the_command_line_says_so_too(tmp_path):
    """In a process in which torch can't be imported, as without the extra."""
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['torch'] = None")
    questions = tmp_path / "q.jsonl"
    questions.write_text('{"prompt": "What?"}\n')
    models = ["--student", "http://127.0.0.1:9/v1", "--teacher", "http://127.0.0.1:9/v1"]
    command = ["synth", questions, "--out", tmp_path / "run", "--predictor", "transformers:x"]
    done = subprocess.run(
        [sys.executable, "-m", "tessy", *command, *models],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        },
    )
    assert done.returncode == 1
    assert "error: transformers:x needs torch and transformers" in done.stderr
    assert f"hint: {install_hint('train')}" in done.stderr
    assert "Traceback" not in done.stderr
