"""Records as typed, nested columns, for Parquet; and back.

What a column is not made for stands in `extra`, a JSON object, under its own name: other columns
of the questions, and fields of later versions. So every record fits one schema, whatever comes
later in a stream, and `from_row(to_row(record)) == record`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    import pyarrow

EXTRA = "extra"
_TEXT = ("id", "method")
_STATS = (
    *("student_tokens", "teacher_tokens", "thinking_tokens", "answer_tokens"),
    *("student_discarded_tokens", "teacher_discarded_tokens", "turns", "hand_overs"),
)
_FLAGS = ("thinking_cut_off",)
_MODELS = ("student", "teacher", "student_predictor", "teacher_predictor")
_LARGEST = 2**63


def schema() -> pyarrow.Schema:
    """The columns, nested and typed."""
    import pyarrow as pa

    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    span = pa.struct(
        [("role", pa.string()), ("start", pa.int64()), ("end", pa.int64()), ("forced", pa.bool_())]
    )
    numbers = [(name, pa.int64()) for name in _STATS]
    flags = [(name, pa.bool_()) for name in _FLAGS]
    return pa.schema(
        [
            ("id", pa.string()),
            ("messages", pa.list_(message)),
            ("spans", pa.list_(span)),
            ("stats", pa.struct([*numbers, *flags])),
            ("method", pa.string()),
            ("models", pa.struct([(name, pa.string()) for name in _MODELS])),
            ("seed", pa.int64()),
            (EXTRA, pa.string()),
        ]
    )


def to_row(record: dict[str, Any]) -> dict[str, Any]:
    """A record as a row of the schema.

    Args:
        record: A checked record; see `tessy.exporting.sample`.
    """
    rest = dict(record)
    row: dict[str, Any] = {
        "messages": rest.pop("messages"),
        "spans": [_span(span) for span in rest.pop("spans")],
    }
    for name in _TEXT:
        row[name] = rest.pop(name) if isinstance(rest.get(name), str) else None
    row["seed"] = rest.pop("seed") if _is_number(rest.get("seed")) else None
    row["stats"] = _take(rest, "stats", _is_number, _STATS) | _take(rest, "stats", _is_flag, _FLAGS)
    row["models"] = _take(rest, "models", _is_text, _MODELS)
    row[EXTRA] = orjson.dumps(rest, default=str).decode()
    return row


def _span(span: dict[str, Any]) -> dict[str, Any]:
    return {
        "role": span["role"],
        "start": span["start"],
        "end": span["end"],
        "forced": bool(span.get("forced")),
    }


def _take(rest: dict[str, Any], column: str, fits: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Move what fits out of one column of `rest`; a column of which nothing is left goes."""
    there = rest.get(column)
    if not isinstance(there, dict):
        return {}
    taken = {name: there[name] for name in names if fits(there.get(name))}
    left = {name: value for name, value in there.items() if name not in taken}
    rest.pop(column)
    if left:
        rest[column] = left
    return taken


def _is_number(value: Any) -> bool:
    return type(value) is int and -_LARGEST <= value < _LARGEST


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def from_row(row: dict[str, Any]) -> dict[str, Any]:
    """The record that `to_row` was given; a row of another schema is left as it is.

    Args:
        row: As read from Parquet: what was not given is None.
    """
    if not isinstance(row.get(EXTRA), str) or not isinstance(row.get("stats"), dict):
        return row
    try:
        extra = orjson.loads(row[EXTRA])
    except orjson.JSONDecodeError:
        return row
    record = {key: value for key, value in row.items() if value is not None and key != EXTRA}
    for column in ("stats", "models"):
        there = {k: v for k, v in (record.pop(column, None) or {}).items() if v is not None}
        if there or isinstance(extra.get(column), dict):
            record[column] = {**there, **extra.pop(column, {})}
    return {**extra, **record}
