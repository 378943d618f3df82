"""Reads rows of a data set from JSON, CSV, Parquet, Arrow or Hugging Face, exactly."""

from __future__ import annotations

import csv
import datetime
import json
import logging
import lzma
import math
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from itertools import islice, repeat
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from tessy.data.exact import TO_UTF_8, decimal, dumps, integer, not_utf_8, parse
from tessy.data.fetched import shown_file
from tessy.data.parquet import from_row
from tessy.data.sources import (
    LONGEST_LINE,
    STDIN,
    UTF_16,
    find_files,
    lines,
    name_of,
    open_bytes,
    suffix_of,
)
from tessy.errors import DataError, MissingExtra, install_hint

_LARGEST_ARRAY = 1 << 30
"""Bytes of the largest file that is one array: it is read as a whole."""
_IS_ARRAY = "a file that begins with [ is one array of objects"
_BLANKS = re.compile(r"[ \t\r\n]*")
_ENDS = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
"""Finds where the items of an array end; it refuses no value."""
_DEEPEST = 250
_HUB = re.compile(r"(?P<name>[^:]+)(?::(?P<config>[^:\[\]]+)(?=:))?(?::(?P<split>.+))?")

_BATCH_ROWS = 1000
_BATCH_BYTES = 16 << 20
"""Of Parquet and Arrow, so many rows and about so many bytes are held at once, at most."""

RowWithPlace = tuple[str, Any]
"""The file and line of a row, and the row; a `ValueError` where it can't be read."""
Wanted = Iterator[object]
"""Says of each row in order, by true or false, whether it is wanted; it never ends."""
_UNWANTED: RowWithPlace = ("", None)


def rows(source: str | Path, *, what: str, wanted: Wanted | None = None) -> Iterator[RowWithPlace]:
    """Read rows; a row that can't be read is yielded as a `ValueError` with the reason.

    Few rows are held at once: only a file that is one JSON array, and a record batch of Arrow, are
    read as a whole.

    Args:
        source: A file (`.jsonl`, `.json`, `.csv`, `.tsv`, `.parquet`, `.arrow`; also compressed), a
            run's folder, a folder of shards or of `save_to_disk`, a glob, `-` for standard input,
            or a data set on Hugging Face (`owner/name:config:split`; needs the `hub` extra).
        what: A plural noun for the rows, for messages.
        wanted: Which rows to read; by default all. Of the others the time to parse them is saved.

    Yields:
        The file and line of a row, and the row; for one that is not wanted, `("", None)`.

    Raises:
        DataError: There is no such source, or it can't be read.
        MissingExtra: `datasets` is needed.
    """
    files = find_files(source, what=what)
    wanted = wanted or repeat(True)
    if files is None:
        yield from _only(_hub(str(source)), wanted)
        return
    for path in files:
        name = name_of(source) if str(source) == STDIN else shown_file(path)
        try:
            match suffix_of(path):
                case ".parquet" | ".pq" | ".arrow":
                    found = _columns(path, name, wanted)
                    yield from ((where, _record(row)) for where, row in found)
                case ".csv" | ".tsv" as suffix:
                    with open_bytes(path) as file:
                        table = _table(file, name, "\t" if suffix == ".tsv" else ",")
                        yield from _only(table, wanted)
                case _:
                    with open_bytes(path) as file:
                        yield from _json(file, name, wanted)
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            said = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise DataError(f"{name}: {said}") from None


def _only(found: Iterable[RowWithPlace], wanted: Wanted) -> Iterator[RowWithPlace]:
    return (row if is_wanted else _UNWANTED for row, is_wanted in zip(found, wanted, strict=False))


def _record(row: Any) -> Any:
    """A row of Parquet that tessy wrote, as the record that it was."""
    return from_row(row) if isinstance(row, dict) else row


# --- JSON ---------------------------------------------------------------------------------------


def _json(file: BinaryIO, name: str, wanted: Wanted) -> Iterator[RowWithPlace]:
    """An object a line, or one array of objects."""
    is_first = True
    for number, line in lines(file, name):
        if is_first and line.lstrip().startswith(b"["):
            yield from _only(_array(line + file.read(_LARGEST_ARRAY + 1), name, number), wanted)
            return
        if is_first and line.strip() == b"{":
            raise DataError(
                f"{name}: an object over several lines",
                hint="write an object a line, or one array of objects: [{…}, {…}]",
            )
        is_first = False
        yield (f"{name}:{number}", _parsed(line)) if next(wanted) else _UNWANTED


def _parsed(line: bytes) -> Any:
    try:
        return parse(line)
    except ValueError as error:
        end = "" if line.endswith(b"\n") else "; it is the last line and has no line end"
        return ValueError(f"{error}{end}")


def _array(raw: bytes, name: str, first: int) -> Iterator[RowWithPlace]:
    """The items of an array that begins on line `first`; a bad item does not spoil the others."""
    if len(raw) > _LARGEST_ARRAY:
        raise DataError(
            f"{name}: an array of more than {_LARGEST_ARRAY >> 30} GiB",
            hint="write an object a line: jq -c '.[]'",
        )
    number = 0
    try:
        for number, item in enumerate(_items(raw.decode()), 1):
            yield f"{name}: item {number}", _parsed(item.encode() + b"\n")
    except json.JSONDecodeError as error:
        line = error.lineno + first - 1
        raise DataError(f"{name}:{line}: not JSON: {error.msg}", hint=_IS_ARRAY) from None
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: {not_utf_8(error)}", hint=TO_UTF_8) from None
    except RecursionError as error:
        raise DataError(f"{name}: after item {number}: {error}", hint=_IS_ARRAY) from None


def _items(text: str) -> Iterator[str]:
    """The items of an array, as text.

    Raises:
        json.JSONDecodeError: It is no array.
    """
    at = _after_blanks(text, text.index("[") + 1)
    while text[at : at + 1] != "]":
        end = _ENDS.raw_decode(text, at)[1]
        yield text[at:end]
        at = _after_blanks(text, end)
        if text[at : at + 1] == ",":
            at = _after_blanks(text, at + 1)
            if text[at : at + 1] == "]":
                raise json.JSONDecodeError("a comma and no item", text, at)
        elif text[at : at + 1] != "]":
            raise json.JSONDecodeError("expected , or ]", text, at)
    at = _after_blanks(text, at + 1)
    if at < len(text):
        raise json.JSONDecodeError("there is more after the array", text, at)


def _after_blanks(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    assert found is not None  # it matches nothing, too
    return found.end()


# --- CSV ----------------------------------------------------------------------------------------


def _table(file: BinaryIO, name: str, delimiter: str) -> Iterator[RowWithPlace]:
    """Lines of values below a line of names; all values are text, and an empty one is null."""
    csv.field_size_limit(min(LONGEST_LINE, sys.maxsize))
    bad: dict[int, str] = {}
    reader = csv.reader(_decoded(file, name, bad), delimiter=delimiter, strict=True)
    names: list[str] | None = None
    try:
        for values in reader:
            where = f"{name}:{reader.line_num}"
            if not values:
                continue
            if names is None:
                names = [each.strip() for each in values]
                _check_names(names, where, bad)
            elif bad:
                yield where, ValueError(f"{bad.popitem()[1]}; {TO_UTF_8}")
                bad.clear()
            elif len(values) != len(names):
                said = f"{len(values)} values, and {len(names)} columns: is a quote missing?"
                yield where, ValueError(said)
            else:
                yield where, {key: value or None for key, value in zip(names, values, strict=True)}
    except csv.Error as error:
        raise DataError(f"{name}:{reader.line_num}: {error}", hint="is a quote missing?") from None


def _decoded(file: BinaryIO, name: str, bad: dict[int, str]) -> Iterator[str]:
    """The lines as text; what is not UTF-8 is noted in `bad`."""
    for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), 1):
        if number == 1 and line.startswith(UTF_16):
            raise DataError(f"{name} is UTF-16", hint=f"iconv -f UTF-16 -t UTF-8 {name} > NEW")
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            bad[number] = not_utf_8(error)
            yield line.decode("utf-8", "replace")


def _check_names(names: list[str], where: str, bad: dict[int, str]) -> None:
    if bad:
        raise DataError(f"{where}: {bad.popitem()[1]}", hint=TO_UTF_8)
    if "" in names:
        raise DataError(f"{where}: a column has no name", hint="the first line names the columns")
    if twice := next((each for each in names if names.count(each) > 1), None):
        raise DataError(f"{where}: the column {twice!r} is there twice")


# --- Parquet, Arrow and Hugging Face ------------------------------------------------------------


def _columns(path: Path, name: str, wanted: Wanted) -> Iterator[RowWithPlace]:
    import pyarrow

    number = 0
    try:
        for batch in _batches(path):
            names = batch.schema.names
            if twice := next((each for each in names if names.count(each) > 1), None):
                raise DataError(f"{name}: the column {twice!r} is there twice")
            flags = [bool(flag) for flag in islice(wanted, len(batch))]
            others = [field.name for field in batch.schema if not _is_plain(field.type)]
            found = iter(batch.filter(pyarrow.array(flags, pyarrow.bool_())).to_pylist())
            for flag in flags:
                number += 1
                if flag:
                    yield f"{name}: row {number}", _plain_row(next(found), others)
                else:
                    yield _UNWANTED
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{name}: after row {number}: {error}") from None


def _is_plain(kind: Any) -> bool:
    """Whether JSON has all values of a type of Arrow."""
    import pyarrow

    is_any = (pyarrow.types.is_string, pyarrow.types.is_large_string, pyarrow.types.is_integer)
    return any(each(kind) for each in (*is_any, pyarrow.types.is_boolean, pyarrow.types.is_null))


def _batches(path: Path) -> Iterator[Any]:
    """Record batches of a file, of few rows each."""
    import pyarrow
    import pyarrow.parquet

    if suffix_of(path) != ".arrow":
        # Otherwise whole columns of a row group are read at once, and it may have all rows.
        in_parts: dict[str, Any] = {"buffer_size": 1 << 20, "pre_buffer": False}
        with pyarrow.parquet.ParquetFile(path, **in_parts) as file:
            groups = (file.metadata.row_group(index) for index in range(file.num_row_groups))
            size = sum(group.total_byte_size for group in groups)
            yield from file.iter_batches(_batch_rows(size, file.metadata.num_rows))
        return
    with pyarrow.OSFile(str(path)) as file:  # a map of a file that is cut short kills the process
        try:  # `datasets` writes streams
            reader = pyarrow.ipc.open_stream(file)
        except pyarrow.ArrowInvalid:
            whole = pyarrow.ipc.open_file(file)
            reader = (whole.get_batch(index) for index in range(whole.num_record_batches))
        for batch in reader:
            batch.validate(full=True)
            most = _batch_rows(batch.nbytes, len(batch))
            for start in range(0, len(batch), most):
                yield batch.slice(start, most)


def _batch_rows(size: int, count: int) -> int:
    """How many rows to read at once, of so many bytes in so many rows."""
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES * count // max(1, size)))


def _hub(source: str) -> Iterator[RowWithPlace]:
    found = _HUB.fullmatch(source)
    if found is None:
        raise DataError(f"{source}: no such file", hint="owner/name:config:split")
    try:
        import datasets
    except ImportError:
        raise MissingExtra(
            f"{source}: no such file, and reading a Hugging Face data set needs `datasets`",
            hint=install_hint("hub"),
        ) from None
    # The errors of its retries are in the last one's message.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        loaded: Iterable[Any] = datasets.load_dataset(
            found["name"], found["config"], split=found["split"] or "train"
        )
    except Exception as error:
        raise DataError(
            f"{source}: no such file, and no data set: {error}",
            hint="owner/name:config:split; with one part after the name it is the split",
        ) from None
    for number, row in enumerate(loaded, 1):
        made = dict(row)
        yield f"{source}: row {number}", _plain_row(made, list(made))


def _plain_row(row: dict[str, Any], columns: list[str]) -> dict[str, Any] | ValueError:
    """A row with the values of these columns as JSON has them."""
    try:
        return row | {column: plain(row[column], column) for column in columns}
    except ValueError as error:
        return error


def plain(value: Any, column: str, depth: int = 1) -> Any:
    """A value of Arrow as JSON has it: NaN becomes null, a date its ISO text.

    Args:
        value: The value.
        column: Its column, for messages.
        depth: The depth of nesting that it is at.

    Raises:
        ValueError: JSON has no such value: bytes, infinity, an image.
    """
    if depth > _DEEPEST:
        raise ValueError(f"{column} is nested too deeply (more than {_DEEPEST} levels)")
    match value:
        case None | str() | int():
            return value
        case float():
            if math.isinf(value):
                raise ValueError(f"{column} is infinite: write null, or text")
            return None if math.isnan(value) else value
        case dict():
            return {str(key): plain(each, column, depth + 1) for key, each in value.items()}
        case list() | tuple():
            return [plain(each, column, depth + 1) for each in value]
        case datetime.date() | datetime.time():
            return value.isoformat()
        case datetime.timedelta():
            return str(value)
        case Decimal() if value.is_finite():
            read: Callable[[str], Any] = decimal if "." in str(value) else integer
            return read(format(value, "f"))
        case _:
            raise ValueError(
                f"{column} holds {type(value).__name__}, which JSON can't hold: leave it out"
            )


def row_bytes(row: Any) -> bytes:
    """A row as bytes for hashing; the order of its columns does not matter."""
    stable = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
    return dumps(row if isinstance(row, dict) else str(row), stable)
