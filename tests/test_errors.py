"""What errors say to do, and how an extra is installed: from where tessy itself came."""

from __future__ import annotations

import json
import pickle
import traceback

import pytest

from tessy.errors import ConfigError, install_hint

REPOSITORY = "https://github.com/OWNER/tessy"


@pytest.mark.parametrize(
    ("direct", "hint"),
    [
        (None, "pip install 'tessy-synth[report]'"),
        ({"url": "file:///a%20b/tessy", "dir_info": {}}, "pip install '/a b/tessy[report]'"),
        (
            {"url": "file:///a/tessy", "dir_info": {"editable": True}},
            "pip install -e '/a/tessy[report]'",
        ),
        (
            {"url": "file:///a/tessy_synth-1-py3-none-any.whl", "archive_info": {}},
            "pip install '/a/tessy_synth-1-py3-none-any.whl[report]'",
        ),
        (
            {"url": REPOSITORY, "vcs_info": {"vcs": "git", "commit_id": "0a1b"}},
            f"pip install 'tessy-synth[report] @ git+{REPOSITORY}'",
        ),
    ],
    ids=["index", "clone", "editable", "wheel", "git"],
)
def test_an_extra_is_installed_from_where_tessy_was(tmp_path, monkeypatch, direct, hint):
    installed = tmp_path / "tessy_synth-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Name: tessy-synth\nVersion: 1\n")
    if direct is not None:
        (installed / "direct_url.json").write_text(json.dumps(direct))
    monkeypatch.syspath_prepend(tmp_path)
    assert install_hint("report") == hint


def test_tessy_that_runs_from_its_source_is_installed_from_its_clone(monkeypatch):
    monkeypatch.setattr("sys.path", [])
    assert install_hint("report") == "pip install '.[report]' in a clone of tessy"


def test_python_shows_the_hint_below_a_traceback():
    error = pickle.loads(pickle.dumps(ConfigError("it is wrong", hint="write this")))
    assert traceback.format_exception(error)[-1] == "hint: write this\n"
    assert str(error) == "it is wrong"
    error.hint = "write that"
    assert "".join(traceback.format_exception(error)).count("hint: ") == 1
    error.hint = None
    assert "hint" not in "".join(traceback.format_exception(error))
