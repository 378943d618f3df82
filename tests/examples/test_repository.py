"""Files for building, releasing and citing: schemas accept them, they name what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from check_jsonschema import main as check_jsonschema
from click.testing import CliRunner

from tessy._version import __version__

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def accepts(schema: str, path: Path) -> bool:
    return (
        CliRunner().invoke(check_jsonschema, ["--builtin-schema", schema, str(path)]).exit_code == 0
    )


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_is_what_its_schema_accepts(path, tmp_path):
    assert accepts("vendor.github-workflows", path)
    assert accepts("custom.github-workflows-require-timeout", path)
    wrong = tmp_path / path.name
    wrong.write_text(path.read_text().replace("runs-on", "runs_on"))
    assert not accepts("vendor.github-workflows", wrong)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_no_rights_but_those_that_a_job_takes(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}


def test_make_has_the_targets_that_are_called():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    files = (*WORKFLOWS, ROOT / ".devcontainer/devcontainer.json", ROOT / ".pre-commit-config.yaml")
    called = [
        name
        for path in files
        for names in re.findall(r"\bmake ((?:[a-z][\w-]* ?)+)", path.read_text())
        for name in names.split()
    ]
    assert called
    assert set(called) <= targets


def test_the_citation_is_of_this_version():
    path = ROOT / "CITATION.cff"
    assert accepts("vendor.citation-file-format", path)
    assert yaml.safe_load(path.read_text())["version"] == __version__


def test_the_linter_of_commits_is_that_of_make_check():
    (pinned,) = re.findall(r"^ruff==(.*)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (revision,) = [repo["rev"] for repo in hooks["repos"] if "ruff" in repo["repo"]]
    assert revision == f"v{pinned}"


def test_an_image_is_built_of_files_that_are_there():
    copied = re.findall(r"^COPY (.*) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line[0] == "!"}
    assert names
    assert all((ROOT / name).exists() for name in names)
    assert set(names) <= kept
