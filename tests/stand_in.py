"""A stand-in for W&B's library, in this process and in those that it starts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parent / "tracking" / "library"


@pytest.fixture
def wandb(tmp_path, monkeypatch):
    """What the library was told, in order, as a function.

    The environment variable TROUBLE breaks it (`library/wandb/__init__.py`).
    """
    file = tmp_path / "written-down"
    file.touch()
    monkeypatch.syspath_prepend(LIBRARY)
    paths = [str(LIBRARY), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("WRITTEN_DOWN", str(file))
    return lambda: [json.loads(line) for line in file.read_text().splitlines()]
