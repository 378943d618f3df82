"""The wheel and the source distribution, as users install them."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tessy._version import DISTRIBUTION, __version__

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Path, Path]:
    """A source distribution, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (source,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return source, wheel


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory) -> Path:
    """A folder with what the wheel installs."""
    folder = tmp_path_factory.mktemp("installed")
    command = ["install", "--quiet", "--no-deps", "--no-index", "--target", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", *command, str(built[1])], check=True)
    return folder


def test_all_files_of_the_package_are_in_both(built):
    files = {
        path.relative_to(SOURCE).as_posix()
        for path in (SOURCE / "tessy").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    source, wheel = built
    with tarfile.open(source) as archive:
        names = archive.getnames()
    inside = {name.partition("/src/")[2] for name in names}
    assert files <= inside
    assert files == {
        name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name
    }
    beside = {name.split("/")[1] for name in names if "/" in name}
    assert beside <= {
        *("src", "tests", "docs", "examples", "pyproject.toml", "PKG-INFO", ".gitignore"),
        *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"),
    }, "nothing else of the repository, or of the machine that builds"


def test_it_writes_samples_where_it_is_installed(installed, tmp_path):
    """With the models and the predictor that ship."""
    question = {"id": "one", "prompt": "Add up: 3 7 5"}
    (tmp_path / "q.jsonl").write_text(json.dumps(question) + "\n")
    models = ["--student", "lab:student", "--teacher", "lab:teacher", "--predictor", "lab"]
    command = ["-P", "-m", "tessy", "synth", "q.jsonl", "--out", "run", *models]
    done = subprocess.run(
        [sys.executable, *command, "--limit", "1"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    ended = list((tmp_path / "run").glob("*.jsonl"))
    assert done.returncode in (0, 1), done.stderr  # 1: the models could not answer this one
    assert sum(len(path.read_text().splitlines()) for path in ended) == 1, done.stderr
    where = "import tessy; print(tessy.__file__)"
    found = subprocess.run(
        [sys.executable, "-P", "-c", where],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(found.stdout.strip()).is_relative_to(installed)


def test_it_is_named_as_messages_name_it(installed):
    (found,) = importlib.metadata.distributions(name=DISTRIBUTION, path=[str(installed)])
    assert found.version == __version__
    extras = set(found.metadata.get_all("Provides-Extra") or ())
    assert {"export", "hub", "ray", "report", "train", "verify", "gym"} <= extras
    (script,) = found.entry_points.select(group="console_scripts")
    assert script.name == "tessy"
