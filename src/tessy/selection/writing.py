"""Writes rows as they are, as lines of JSON or as Parquet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessy.data.exact import dumps
from tessy.data.files import replacing
from tessy.data.rows import row_bytes
from tessy.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pyarrow

SUFFIXES = (".jsonl", ".parquet")
"""The kinds of files that can be written."""
_GROUP_ROWS, _GROUP_BYTES = 1_000, 16 << 20
"""Rows of a row group, and about so many bytes of them: that much is held in memory."""
_BEFORE, _SHOWN = 20, 80
"""Characters of a value that are shown before it differs, and in all."""
_INSTEAD = "name a .jsonl file: it holds any row"

Row = dict[str, Any]


def check_suffix(out: str) -> None:
    """Make sure that a file of this name can be written.

    Raises:
        ConfigError: Its suffix is not known.
    """
    if not out.endswith(SUFFIXES):
        raise ConfigError(
            f"--out {out}: only {' and '.join(SUFFIXES)} are written",
            hint="name such a file; its folder has to be there",
        )


def write_rows(path: Path, rows: Callable[[], Iterable[Row]]) -> None:
    """Write a file, which takes its name when it is complete.

    Args:
        path: The file.
        rows: Reads the rows, each time that it is called.

    Raises:
        DataError: Parquet can't hold the rows as they are.
        OSError: The file can't be written.
    """
    if path.suffix == ".parquet":
        schema = _schema(rows())
        with replacing(path) as file:
            _write_parquet(file, schema, rows())
    else:
        with lines(path) as write:
            for row in rows():
                write(row)


@contextmanager
def lines(path: Path) -> Iterator[Callable[[Row], None]]:
    """Open a file of lines of JSON, which takes its name when it is complete."""
    with replacing(path) as file:

        def write(row: Row) -> None:
            file.write(dumps(row) + b"\n")

        yield write


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    size = 0
    for row in rows:
        group.append(row)
        size += len(dumps(row))
        if len(group) == _GROUP_ROWS or size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _schema(rows: Iterable[Row]) -> pyarrow.Schema:
    """The columns of all rows, each with the one type that holds all of its values.

    Raises:
        DataError: There is none.
    """
    import pyarrow as pa

    known, name = pa.schema([]), ""
    try:
        for group in _groups(rows):
            names = dict.fromkeys(name for row in group for name in row)
            for name in names:
                values = pa.array([row.get(name) for row in group])
                column = pa.schema([(name, values.type)])
                known = pa.unify_schemas([known, column], promote_options="permissive")
    except (pa.ArrowException, OverflowError) as error:
        raise DataError(f"Parquet can't hold the column {name!r}: {error}", hint=_INSTEAD) from None
    return known


def _write_parquet(file: Any, schema: pyarrow.Schema, rows: Iterable[Row]) -> None:
    """Write rows, and make sure that they are what is read again.

    Raises:
        DataError: A row would be changed.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for group in _groups(rows):
                table = pa.Table.from_pylist(group, schema)
                for row, held in zip(group, table.to_pylist(), strict=True):
                    _refuse_change(row, held)
                writer.write_table(table)
    except (pa.ArrowException, OverflowError) as error:
        raise DataError(f"Parquet can't hold these rows: {error}", hint=_INSTEAD) from None


def _refuse_change(row: Row, held: Row) -> None:
    """Make sure that Parquet holds a row as it is; a column that it lacks may be null there.

    Raises:
        DataError: It does not.
    """
    for name, value in held.items():
        if value is None and row.get(name) is None:
            continue
        if row_bytes({name: value}) != row_bytes({name: row[name]}):
            ours, theirs = (dumps(each).decode() for each in (row[name], value))
            same = takewhile(lambda pair: pair[0] == pair[1], zip(ours, theirs, strict=False))
            begin = max(0, sum(1 for _ in same) - _BEFORE)
            raise DataError(
                f"Parquet would change {name} of a row: {_cut(ours, begin)} to "
                f"{_cut(theirs, begin)}",
                hint=_INSTEAD,
            )


def _cut(text: str, begin: int) -> str:
    """A part of a text that begins shortly before it differs."""
    end = begin + _SHOWN
    return ("…" if begin else "") + text[begin:end] + ("…" if text[end:] else "")
