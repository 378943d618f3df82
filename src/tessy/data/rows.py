"""Reads rows of a data set from JSONL, Parquet or Hugging Face."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from tessy.errors import DataError, MissingExtra

ROLES = ("system", "user", "assistant")
"""Roles of messages in a conversation."""
_SUFFIXES = {".jsonl", ".ndjson", ".json", ".parquet", ".pq", ".gz", ".csv", ".tsv", ".txt"}
"""File suffixes; other names with a dot, such as `owner/model-v3.1`, may be on Hugging Face."""


def rows(source: str | Path, *, what: str) -> Iterator[tuple[str, Any]]:
    """Read rows; a line that is not JSON is yielded as a `ValueError` with the reason.

    Args:
        source: A `.jsonl` (also `.jsonl.gz`) or `.parquet` file, or a data set on Hugging Face
            (`owner/name`, `owner/name:split`; needs the `hub` extra).
        what: A plural noun for the rows, for messages.

    Yields:
        The file and line of a row, and the row.

    Raises:
        DataError: There is no such source, or it can't be read.
        MissingExtra: `datasets` is needed.
    """
    path = Path(source)
    kinds = f"{what} are a .jsonl or .parquet file, or a Hugging Face data set: owner/name:split"
    if path.is_dir():
        raise DataError(f"{path} is a folder", hint="name a .jsonl or .parquet file in it")
    if path.exists():
        name = path.name.removesuffix(".gz")
        if name.endswith((".parquet", ".pq")):
            yield from _parquet(path)
        elif name.endswith((".jsonl", ".ndjson", ".json")):
            yield from _jsonl(path)
        else:
            raise DataError(f"{path}: {path.suffix or 'no suffix'} is not known", hint=kinds)
    elif (
        path.suffix.lower() in _SUFFIXES
        or str(source).count("/") != 1
        or str(source).startswith((".", "/"))
    ):
        raise DataError(f"{source}: no such file", hint=kinds)
    else:
        yield from _hub(str(source))


def _jsonl(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                where = f"{path}:{number}"
                try:
                    yield where, orjson.loads(line.removeprefix(b"\xef\xbb\xbf"))
                except orjson.JSONDecodeError as error:
                    yield where, ValueError(f"not JSON: {error}")
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: {error}") from None


def _parquet(path: Path) -> Iterator[tuple[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        number = 0
        for batch in file.iter_batches(batch_size=1000):
            for row in batch.to_pylist():
                number += 1
                yield f"{path}: row {number}", row
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: {error}") from None


def _hub(name: str) -> Iterator[tuple[str, Any]]:
    repository, _, split = name.partition(":")
    try:
        import datasets
    except ImportError:
        raise MissingExtra(
            f"{name}: no such file, and reading a Hugging Face data set needs `datasets`",
            hint="pip install 'tessy[hub]'",
        ) from None
    try:
        found: Iterable[Any] = datasets.load_dataset(repository, split=split or "train")
    except Exception as error:
        raise DataError(f"{name}: no such file, and no data set: {error}") from None
    for number, row in enumerate(found, 1):
        yield f"{name}: row {number}", dict(row)


def row_bytes(row: Any) -> bytes:
    """A row as bytes for hashing; the order of its columns does not matter."""
    stable = orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    return orjson.dumps(row if isinstance(row, dict) else str(row), str, stable)


def conversation(value: Any, column: str, *, last: str) -> tuple[dict[str, str], ...]:
    """Check the messages of a row.

    Args:
        value: The column's value: a list of `{role, content}`.
        column: The column's name, for messages.
        last: The role that the last message must have.

    Raises:
        ValueError: The value is not such a conversation; the message says why.
    """
    if not isinstance(value, list) or not value:
        raise ValueError(f"{column} must be a list of at least one {{role, content}}")
    for index, message in enumerate(value):
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise ValueError(f"{column}[{index}].role must be one of {', '.join(ROLES)}")
        check_text(message.get("content"), f"{column}[{index}].content")
    if value[-1]["role"] != last:
        raise ValueError(f"{column} must end with the {last}, not the {value[-1]['role']}")
    return tuple({"role": each["role"], "content": each["content"]} for each in value)


def check_text(value: Any, name: str) -> str:
    """Check that a value is text and not blank.

    Args:
        value: The value.
        name: Its name, for messages.

    Raises:
        ValueError: It is not; the message names it.
    """
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text, not {type(value).__name__}")
    if not value.strip():
        raise ValueError(f"{name} is empty")
    return value
