"""Formats by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from tessy.exporting.alpaca import Alpaca
from tessy.exporting.counts import Counts
from tessy.exporting.drops import Drop
from tessy.exporting.hf import HuggingFace
from tessy.exporting.parquet import Parquet
from tessy.exporting.sample import Sample
from tessy.exporting.settings import ExportSettings, FormatName
from tessy.exporting.sharegpt import ShareGpt
from tessy.exporting.source import Source
from tessy.exporting.trl import Trl


class Writer(Protocol):
    """Takes the rows of one split."""

    def write(self, row: dict[str, Any]) -> None:
        """Add a row."""

    def close(self) -> None:
        """All rows are there."""

    def abandon(self) -> None:
        """The export failed: let go of files, whatever is in them."""


class Format(Protocol):
    """What one tool wants."""

    def row(self, sample: Sample) -> dict[str, Any] | Drop:
        """A sample as a row, or why it can't be one."""

    def open(self, folder: Path, split: str) -> Writer:
        """Where the rows of a split go."""

    def finish(self, folder: Path, name: str, counts: Counts) -> None:
        """Write what goes with the data, once that is there."""


def make(settings: ExportSettings, sources: Sequence[Source]) -> Format:
    """The format that the settings name."""
    match settings.to:
        case FormatName.TRL:
            return Trl(settings.mask)
        case FormatName.SHAREGPT:
            return ShareGpt()
        case FormatName.ALPACA:
            return Alpaca()
        case FormatName.PARQUET:
            return Parquet()
        case FormatName.HF:
            return HuggingFace(settings, sources)
