"""The shape of the package; which room imports which is checked by import-linter (`make check`)."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import tessy

PACKAGE = Path(tessy.__file__).parent
ROOT = PACKAGE.parent.parent
MODULES = sorted(PACKAGE.rglob("*.py"))
ROOMS = sorted(
    path.parent
    for path in PACKAGE.glob("*/__init__.py")
    if path.parent.name not in ("cli", "lab", "testing")  # their docstrings show how to use them
)


def test_a_class_name_stands_for_one_class():
    names = Counter(
        node.name.lstrip("_")
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_a_document_that_is_cited_is_there():
    for module in MODULES:
        for cited in re.findall(r"docs/[\w./-]+\.md", module.read_text("utf-8")):
            assert (ROOT / cited).is_file(), f"{module} cites {cited}"


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_a_room_says_what_it_is_and_lists_its_files(room):
    said = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8"))) or ""
    there = {path.stem for path in room.iterdir() if path.suffix == ".py"}
    there |= {path.parent.name for path in room.glob("*/__init__.py")}
    listed = set(re.findall(r"^ *(\w+)/? {2,}\S", said, re.M))
    assert listed == there - {"__init__", "__main__"}


def test_importing_tessy_imports_no_room():
    code = "import sys, tessy; print(*sorted(m for m in sys.modules if m.startswith('tessy.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["tessy._version", "tessy.errors"]
