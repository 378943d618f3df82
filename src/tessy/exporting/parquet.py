"""Parquet files with typed, nested columns, of bounded size, compressed with zstd.

What has no column of its own is in `extra`, a JSON object, under its own name: other columns of
the questions, and fields of later versions. So all records of a stream fit one schema,
and `from_row(to_row(record)) == record`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessy.data.exact import dumps, loads
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
_INT64 = range(-(2**63), 2**63)
_STATS = {
    "student_tokens": int,
    "teacher_tokens": int,
    "thinking_tokens": int,
    "answer_tokens": int,
    "student_discarded_tokens": int,
    "teacher_discarded_tokens": int,
    "turns": int,
    "hand_overs": int,
    "thinking_cut_off": bool,
}
_MODELS = dict.fromkeys(("student", "teacher", "student_predictor", "teacher_predictor"), str)


def schema() -> pyarrow.Schema:
    """The columns, nested and typed."""
    import pyarrow as pa

    types = {int: pa.int64(), bool: pa.bool_(), str: pa.string()}

    def struct(fields: Mapping[str, type]) -> pa.DataType:
        return pa.struct([(name, types[kind]) for name, kind in fields.items()])

    span = {"role": str, "start": int, "end": int, "forced": bool, "tolerated": bool}
    return pa.schema(
        [
            ("id", pa.string()),
            ("messages", pa.list_(struct({"role": str, "content": str}))),
            ("spans", pa.list_(struct(span))),
            ("stats", struct(_STATS)),
            ("method", pa.string()),
            ("models", struct(_MODELS)),
            ("seed", pa.int64()),
            ("extra", pa.string()),
        ]
    )


def to_row(record: dict[str, Any]) -> dict[str, Any]:
    """A record as a row of the schema.

    Args:
        record: A checked record; see `tessy.exporting.samples`.
    """
    rest = dict(record)
    row: dict[str, Any] = {
        "messages": rest.pop("messages"),
        "spans": [
            {
                "role": span["role"],
                "start": span["start"],
                "end": span["end"],
                "forced": bool(span.get("forced")),
                "tolerated": bool(span.get("tolerated")),
            }
            for span in rest.pop("spans")
        ],
        **_take(rest, {"id": str, "method": str, "seed": int}),
    }
    for column, fields in (("stats", _STATS), ("models", _MODELS)):
        values = rest.get(column)
        if isinstance(values, dict):
            values = dict(rest.pop(column))
            row[column] = _take(values, fields)
            if values:
                rest[column] = values
    row["extra"] = dumps(rest).decode()
    return row


def _take(values: dict[str, Any], fields: Mapping[str, type]) -> dict[str, Any]:
    """Move the values that fit their fields out of a dictionary."""

    def fits(value: Any, kind: type) -> bool:
        return type(value) is kind and (kind is not int or value in _INT64)

    return {name: values.pop(name) for name in fields if fits(values.get(name), fields[name])}


def from_row(row: dict[str, Any]) -> dict[str, Any]:
    """The record that `to_row` was given; a row of another schema is left as it is.

    Args:
        row: As read from Parquet: what was not given is None.
    """
    if not isinstance(row.get("extra"), str) or not isinstance(row.get("stats"), dict):
        return row
    try:
        extra = loads(row["extra"])
    except ValueError:
        return row
    if not isinstance(extra, dict):
        return row
    record = {key: value for key, value in row.items() if value is not None and key != "extra"}
    for column in ("stats", "models"):
        values = {k: v for k, v in (record.pop(column, None) or {}).items() if v is not None}
        if values or isinstance(extra.get(column), dict):
            record[column] = {**values, **extra.pop(column, {})}
    return {**extra, **record}


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
