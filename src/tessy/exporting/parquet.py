"""Parquet files with nested, typed columns, of bounded size, compressed with zstd."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessy.exporting.counts import Counts
from tessy.exporting.drops import Drop
from tessy.exporting.sample import Sample
from tessy.exporting.schema import schema, to_row

if TYPE_CHECKING:
    import pyarrow.parquet

GROUP_CHARACTERS = 32 << 20
"""Characters of text after which a row group ends: that much is held in memory."""
SHARD_CHARACTERS = 1 << 30
"""Characters of text after which a file ends."""
_SPAN_CHARACTERS = 40
"""What a span counts as."""


class Parquet:
    """Rows of all that a record holds."""

    folder = ""
    """Where the files go, below the export's folder."""

    def row(self, sample: Sample) -> dict[str, Any] | Drop:
        """A row for one sample."""
        return to_row(sample.record)

    def open(self, folder: Path, split: str) -> ParquetWriter:
        """Where the rows of a split go."""
        return ParquetWriter(folder / self.folder, split)

    def finish(self, folder: Path, name: str, counts: Counts) -> None:
        """Nothing goes with it."""


class ParquetWriter:
    """Writes rows into files named `SPLIT-00000-of-00003.parquet`.

    Args:
        folder: Where; it is made.
        split: Which part of the data.
        group: Characters of a row group.
        shard: Characters of a file.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        *,
        group: int = GROUP_CHARACTERS,
        shard: int = SHARD_CHARACTERS,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self._folder, self._split = folder, split
        self._group, self._shard = group, shard
        self._schema = schema()
        self._rows: list[dict[str, Any]] = []
        self._in_group = self._in_shard = 0
        self._writer: pyarrow.parquet.ParquetWriter | None = None
        self._parts: list[Path] = []

    def write(self, row: dict[str, Any]) -> None:
        """Add a row."""
        if self._in_shard >= self._shard:
            self._end_shard()
        self._rows.append(row)
        size = sum(len(message["content"]) for message in row["messages"])
        size += _SPAN_CHARACTERS * len(row["spans"]) + len(row["extra"] or "")
        self._in_group += size
        self._in_shard += size
        if self._in_group >= self._group:
            self._end_group()

    def close(self) -> None:
        """End the last file, and give all files their names, now that their number is known."""
        self._end_shard()
        for number, part in enumerate(self._parts):
            name = f"{self._split}-{number:05d}-of-{len(self._parts):05d}.parquet"
            part.rename(self._folder / name)

    def abandon(self) -> None:
        """Let go of the files as they are: they will be removed."""
        if self._writer:
            self._writer.close()
            self._writer = None

    def _end_group(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self._writer:
            path = self._folder / f"{self._split}-{len(self._parts):05d}.part"
            self._parts.append(path)
            self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._writer.write_table(pa.Table.from_pylist(self._rows, self._schema))
        self._rows, self._in_group = [], 0

    def _end_shard(self) -> None:
        if self._rows or not self._parts:
            self._end_group()
        if self._writer:
            self._writer.close()
        self._writer, self._in_shard = None, 0
