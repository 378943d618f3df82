"""GGUF files of models that are not servers."""

from __future__ import annotations

import pytest

from tessy.errors import LocalModelError
from tessy.models import weights
from tessy.models.address import parse


def test_a_local_file(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "m.gguf").write_bytes(b"GGUF and more")
    assert weights.fetch(parse("gguf:~/m.gguf")) == tmp_path / "m.gguf"
    assert weights.fetch(parse("lab:student")).is_file()
    for use in (weights.fetch, weights.refuse_missing):
        with pytest.raises(LocalModelError, match="no such file") as error:
            use(parse(f"gguf:{tmp_path}/n.gguf"))
        assert error.value.hint.startswith("did you mean m.gguf? ")
    (tmp_path / "text.gguf").write_text("hello")
    with pytest.raises(LocalModelError, match="is not a GGUF file"):
        weights.fetch(parse(f"gguf:{tmp_path}/text.gguf"))


def test_a_file_of_hugging_face(tmp_path, monkeypatch):
    made = tmp_path / "b.gguf"
    made.write_bytes(b"GGUF")
    said, asked = [], []

    def download(repository, file):
        asked.append((repository, file))
        if file != "a/b.gguf":
            raise OSError("no such thing")
        return str(made)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    assert weights.fetch(parse("hf:owner/repo/a/b.gguf"), said.append) == made
    assert asked == [("owner/repo", "a/b.gguf")]
    assert said == ["fetching a/b.gguf of owner/repo from Hugging Face"]
    with pytest.raises(LocalModelError, match="can't be fetched: no such thing"):
        weights.fetch(parse("hf:owner/repo/c.gguf"))


def test_a_folder_is_no_file_and_the_one_in_it_is_named(tmp_path):
    address = parse(f"gguf:{tmp_path}")
    with pytest.raises(LocalModelError, match="is a folder, and gguf: takes a file") as error:
        weights.refuse_missing(address)
    assert "--export gguf" in error.value.hint
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(LocalModelError) as error:
        weights.refuse_missing(address)
    assert error.value.hint == f"gguf:{tmp_path / 'model.gguf'}"
