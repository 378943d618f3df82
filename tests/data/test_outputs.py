"""Output files that can't be written, or are inputs, are refused before any work."""

from __future__ import annotations

from pathlib import Path

import pytest

from tessy.data.outputs import check_outputs
from tessy.errors import ConfigError


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ({"--out": Path("nowhere/a.jsonl")}, "there is no folder nowhere"),
        ({"--out": Path("folder")}, "folder is a folder"),
        ({"--out": Path("/dev/null")}, "/dev/null is no file"),
        ({"--json": Path("a"), "--html": Path("folder/../a")}, "the same name"),
        ({"--out": Path("folder/../in.jsonl")}, "in.jsonl is an input"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, monkeypatch, outputs, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "in.jsonl").write_text("{}")
    with pytest.raises(ConfigError, match=said):
        check_outputs(outputs, inputs=["in.jsonl", "lexicon"])
    assert (tmp_path / "in.jsonl").read_text() == "{}"


def test_what_can_be_written_is_not_touched(tmp_path):
    check_outputs({"--json": tmp_path / "a", "--html": None}, inputs=[tmp_path / "b"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", [b"", b"# Report: older\n"])
def test_an_older_output_may_be_replaced(tmp_path, there):
    (tmp_path / "a.md").write_bytes(there)
    check_outputs({"--markdown": tmp_path / "a.md"}, begins={"--markdown": rb"# Report: "})


@pytest.mark.parametrize("there", [b"# My notes\n", b'{"id":"q0"}\n', b"\n# Report: \n"])
def test_what_another_has_written_is_not_replaced(tmp_path, there):
    (tmp_path / "a.md").write_bytes(there)
    with pytest.raises(ConfigError, match=r"--markdown .*a\.md is there, and is not what this"):
        check_outputs({"--markdown": tmp_path / "a.md"}, begins={"--markdown": rb"# Report: "})
    assert (tmp_path / "a.md").read_bytes() == there
