"""For TRL: `messages`, and on request which characters of the response carry loss.

`weights` are made, and turned into the labels that TRL's trainer takes, by `tessy.training.masks`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tessy.exporting.counts import Counts
from tessy.exporting.drops import Drop
from tessy.exporting.jsonl import JsonlWriter
from tessy.exporting.sample import Sample
from tessy.exporting.settings import Mask
from tessy.training.masks import LossPart, character_weights

_LOSS = {
    Mask.CAPABILITY: LossPart.CAPABILITY,
    Mask.STYLE: LossPart.STYLE,
    Mask.NONE: LossPart.RESPONSE,
}


class Trl:
    """Lines of `id`, `messages` and, with a mask, `weights`.

    Args:
        mask: What the loss is kept on; None for no column.
    """

    def __init__(self, mask: Mask | None = None) -> None:
        self._mask = mask

    def row(self, sample: Sample) -> dict[str, Any] | Drop:
        """A line; `weights` are `[start, end, weight]`, half-open offsets into the response."""
        row: dict[str, Any] = {"id": sample.id, "messages": sample.messages}
        if self._mask is not None:
            loss = frozenset({_LOSS[self._mask]})
            runs = character_weights(sample.content, sample.spans, loss)
            row["weights"] = [list(run) for run in runs]
        return row

    def open(self, folder: Path, split: str) -> JsonlWriter:
        """Where the lines of a split go."""
        return JsonlWriter(folder / f"{split}.jsonl")

    def finish(self, folder: Path, name: str, counts: Counts) -> None:
        """Nothing goes with it."""
