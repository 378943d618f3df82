"""Parquet files of bounded size, compressed with zstd; their rows are those of `data.parquet`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessy.data.parquet import schema, to_row
from tessy.exporting.formats import Format, WriteRow
from tessy.exporting.samples import Drop, ExportSample

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet

GROUP_CHARACTERS = 32 << 20
"""Characters of text after which a row group ends: that much is held in memory."""
SHARD_CHARACTERS = 1 << 30
"""Characters of text after which a file ends."""
_SPAN_CHARACTERS = 40
"""What a span counts as."""


class Parquet(Format):
    """Rows of all that a record holds."""

    folder = ""
    """Where the files go, inside the export's folder."""

    def row(self, sample: ExportSample) -> dict[str, Any] | Drop:
        """A row of the schema."""
        return to_row(sample.record)

    @contextmanager
    def open(self, folder: Path, split: str) -> Iterator[WriteRow]:
        """Open the files of a split, named `SPLIT-00000-of-00003.parquet`."""
        writer = ParquetWriter(folder / self.folder, split)
        try:
            yield writer.write
        except BaseException:
            writer.close_file()
            raise
        writer.finish()


class ParquetWriter:
    """Writes the rows of a split into files of bounded size.

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
        self._file: pyarrow.parquet.ParquetWriter | None = None
        self._parts: list[Path] = []

    def write(self, row: dict[str, Any]) -> None:
        """Add a row."""
        self._rows.append(row)
        self._in_group += sum(len(message["content"]) for message in row["messages"])
        self._in_group += _SPAN_CHARACTERS * len(row["spans"]) + len(row["extra"])
        if self._in_group >= self._group:
            self._write_group()

    def finish(self) -> None:
        """End the last file, and name all files, now that their number is known."""
        if self._rows or not self._parts:
            self._write_group()
        self.close_file()
        for number, part in enumerate(self._parts):
            name = f"{self._split}-{number:05d}-of-{len(self._parts):05d}.parquet"
            part.rename(self._folder / name)

    def close_file(self) -> None:
        """Close the file that is being written."""
        if self._file:
            self._file.close()
        self._file, self._in_shard = None, 0

    def _write_group(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self._file:
            self._parts.append(self._folder / f"{self._split}-{len(self._parts):05d}.part")
            self._file = pq.ParquetWriter(self._parts[-1], self._schema, compression="zstd")
        self._file.write_table(pa.Table.from_pylist(self._rows, self._schema))
        self._in_shard += self._in_group
        self._rows, self._in_group = [], 0
        if self._in_shard >= self._shard:
            self.close_file()
