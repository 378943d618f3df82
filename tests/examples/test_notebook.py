"""examples/notebook.ipynb, run from its first cell to its last in a kernel of its own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nbformat
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_every_cell_runs_and_shows_something(tmp_path, monkeypatch):
    monkeypatch.setenv("TESSY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    for name in ("notebook.ipynb", "sums.jsonl", "demo.toml"):
        shutil.copy(EXAMPLES / name, tmp_path)
    book = nbformat.read(tmp_path / "notebook.ipynb", 4)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert all(cell.outputs for cell in code), "readers see what they will get"
    where = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(book, timeout=300, resources=where).execute()  # a cell that fails raises
    assert all(cell.outputs for cell in code)
    exported = (tmp_path / "runs/notebook-trl/train.jsonl").read_text().splitlines()
    assert len(exported) == 12
