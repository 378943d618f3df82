"""For Hugging Face: a data set's folder, Parquet with a card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tessy.exporting.card import card
from tessy.exporting.counts import Counts
from tessy.exporting.drops import Drop
from tessy.exporting.parquet import Parquet
from tessy.exporting.portable import portable
from tessy.exporting.sample import Sample
from tessy.exporting.settings import ExportSettings
from tessy.exporting.source import Source

DATA = "data"
"""Where the Parquet files lie."""


class HuggingFace(Parquet):
    """`data/*.parquet`, with the columns of `Parquet`, and README.md.

    Args:
        settings: Of the export, for the card.
        sources: Where the samples come from, for the card.
    """

    folder = DATA

    def __init__(self, settings: ExportSettings, sources: Sequence[Source]) -> None:
        self._settings, self._sources = settings, sources

    def row(self, sample: Sample) -> dict[str, Any] | Drop:
        """A row; models and predictors that are files of this machine lose their folders."""
        models = portable(sample.record.get("models"))
        return super().row(Sample({**sample.record, "models": models}))

    def finish(self, folder: Path, name: str, counts: Counts) -> None:
        """Write the card."""
        text = card(name, self._settings, self._sources, counts)
        (folder / "README.md").write_text(text, "utf-8")
