"""Questions that a program has in memory: they become a file, which is read like any other.

A run reads its questions more than once, and workers read them in other processes.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from tessy.data.cache import given_folder
from tessy.errors import DataError

Given = str | Path | Iterable[str | Mapping[str, Any]]
"""A source by its name; or rows, prompts, a data set of Hugging Face, or a table of pandas."""
_HINT = "a list of prompts or of rows such as {'prompt': '…'}, a data set, a table, or a path"


def as_source(given: Given) -> str | Path:
    """The source of questions that were given: the name, or the path of a file with the rows.

    Args:
        given: A source by its name; or rows (mappings), prompts (texts), a data set of `datasets`,
            or a table of pandas. Equal rows have the same file, in tessy's cache.

    Raises:
        DataError: It is none of these, or a row can't be written as JSON.
    """
    if isinstance(given, str | Path):
        return given
    if hasattr(given, "to_parquet"):  # of pandas and of datasets
        more = {"index": False} if hasattr(given, "iloc") else {}
        return _kept(".parquet", lambda file: given.to_parquet(file, **more))
    if isinstance(given, Mapping) or not isinstance(given, Iterable):
        raise DataError(f"questions can't be given as {type(given).__name__}", hint=_HINT)

    def write(file: BinaryIO) -> None:
        for number, row in enumerate(given):
            file.write(_line(row, number))

    return _kept(".jsonl", write)


def _line(row: Any, number: int) -> bytes:
    made = {"prompt": row} if isinstance(row, str) else row
    if not isinstance(made, Mapping):
        raise DataError(
            f"questions[{number}] must be a text or a mapping, not {type(row).__name__}", hint=_HINT
        )
    try:
        return orjson.dumps(
            dict(made), option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
        )
    except TypeError as error:
        raise DataError(f"questions[{number}] can't be written as JSON: {error}") from None


def _kept(suffix: str, write: Callable[[BinaryIO], object]) -> Path:
    """The path of a file in the cache that is named by its content."""
    folder = given_folder()
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, suffix=suffix)
    path = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return path.rename(folder / f"{digest[:32]}{suffix}")
    finally:
        path.unlink(missing_ok=True)
