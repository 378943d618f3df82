"""Records as rows of Parquet, with typed, nested columns.

What has no column of its own is in `extra`, a JSON object, under its own name: other columns of
the questions, and fields of later versions. So all records of a stream fit one schema,
and `from_row(to_row(record)) == record`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessy.data.exact import dumps, loads
from tessy.data.files import replacing

if TYPE_CHECKING:
    import pyarrow

_GROUP = 500
"""Rows of a row group: that many are held in memory."""
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


def write_records(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Write records to a file, which takes its name when it is complete.

    Args:
        path: The file.
        records: Checked records.

    Raises:
        OSError: It can't be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns, held = schema(), []
    with replacing(path) as file, pq.ParquetWriter(file, columns, compression="zstd") as writer:
        for record in records:
            held.append(to_row(record))
            if len(held) == _GROUP:
                writer.write_table(pa.Table.from_pylist(held, columns))
                held = []
        if held:
            writer.write_table(pa.Table.from_pylist(held, columns))
