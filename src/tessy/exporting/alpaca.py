"""For tools that read Alpaca's form: `instruction`, `input`, `output`, `system`, `history`.

Earlier turns go into `history`, pairs of what was said. `input` is empty: a question has one
text. `datasets`, with which LLaMA-Factory reads, takes a column's type from the first 10 MB of a
file and fails if an empty `history` there is followed by a filled one; so samples with a history
come first.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tessy.exporting.counts import Counts
from tessy.exporting.drops import Drop, Reason
from tessy.exporting.jsonl import JsonlWriter
from tessy.exporting.sample import Sample, turns
from tessy.exporting.sharegpt import OUT_OF_TURN, write_dataset_info

_COLUMNS = {
    "prompt": "instruction",
    "query": "input",
    "response": "output",
    "system": "system",
    "history": "history",
}


class Alpaca:
    """Lines of `id`, `instruction`, `input`, `output`, `system` and `history`."""

    def row(self, sample: Sample) -> dict[str, Any] | Drop:
        """A line; a conversation in which nobody takes turns has none."""
        found = turns(sample)
        if found is None:
            return Drop(Reason.NOT_EXPRESSIBLE, OUT_OF_TURN)
        system, pairs = found
        question, response = pairs[-1]
        return {
            "id": sample.id,
            "instruction": question,
            "input": "",
            "output": response,
            "system": system,
            "history": [list(pair) for pair in pairs[:-1]],
        }

    def open(self, folder: Path, split: str) -> AlpacaWriter:
        """Where the lines of a split go."""
        return AlpacaWriter(folder / f"{split}.jsonl")

    def finish(self, folder: Path, name: str, counts: Counts) -> None:
        """Write LLaMA-Factory's dataset_info.json."""
        write_dataset_info(folder, name, counts, {"formatting": "alpaca", "columns": _COLUMNS})


class AlpacaWriter:
    """A file of lines in which those with a history come first.

    Args:
        path: The file; the other lines wait in one beside it until it is closed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting = path.with_name(path.name + ".waiting")
        self._with_history = JsonlWriter(path)
        self._without = JsonlWriter(self._waiting)

    def write(self, row: dict[str, Any]) -> None:
        """Add a line."""
        (self._with_history if row["history"] else self._without).write(row)

    def close(self) -> None:
        """Put the two together."""
        self._with_history.close()
        self._without.close()
        with self._path.open("ab") as file, self._waiting.open("rb") as waiting:
            shutil.copyfileobj(waiting, file, 1 << 20)
        self._waiting.unlink()

    def abandon(self) -> None:
        """Let go of the files as they are: they will be removed."""
        self._with_history.abandon()
        self._without.abandon()
