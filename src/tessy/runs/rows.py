"""Parts of the data set in Parquet, written as samples end (`rows_per_file`).

    shards/0003/part-00000.parquet   so many finished samples of the shard, in the order they ended

A full part is never written again. What is not yet in full parts is written at each stop, as one
part more, which is replaced later. The journal notes how far the full parts go (`Mark.PARTS`).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from tessy.data.files import is_there
from tessy.data.parquet import write_records
from tessy.runs import contents
from tessy.runs.database import BROKEN, connect, journal_error
from tessy.runs.dataset import made_from_journal
from tessy.runs.edits import keep_changed
from tessy.runs.folder import RunFolder, ShardFolder
from tessy.runs.reader import JournalReader
from tessy.runs.schema import Mark
from tessy.runs.shard_reader import checked_record

_NAME = re.compile(r"part-(\d{5,})\.parquet")
_Place = tuple[int, int, int]
"""Transaction and position of the last sample in full parts, and how many there are."""


def part_files(shard: ShardFolder) -> list[Path]:
    """The parts of a shard on this machine, in order."""
    return sorted(path for path in shard.path.glob("part-*.parquet") if _NAME.match(path.name))


def number_of(name: str) -> int | None:
    """The number of a part, from 0; None if a file's name is no part's."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None


def full_parts(journal: Path) -> int:
    """How many full parts a shard has, by its journal.

    Raises:
        JournalError: It can't be read.
    """
    with _reading(journal), closing(connect(journal)) as connection:
        return _place(connection, journal)[2]


def write_parts(shard: ShardFolder, rows: int, *, rest: bool = False) -> list[Path]:
    """Write the finished samples of a shard that are in no full part yet.

    Args:
        shard: The shard, which this process writes.
        rows: Samples of a full part.
        rest: Also those that make no full part.

    Returns:
        The files that were written.

    Raises:
        JournalError: The journal can't be read, or a file not be written.
    """
    written: list[Path] = []
    with _reading(shard.journal), closing(connect(shard.journal, write=True)) as connection:
        while True:
            change, position, number = _place(connection, shard.journal)
            found = list(islice(_after(connection, shard.journal, change, position), rows))
            is_full = len(found) == rows
            if not is_full and not (rest and found):
                return written
            path = shard.path / f"part-{number:05}.parquet"
            if not is_full and _has_rows(path, len(found)):
                return written
            _write(path, (record for *_, record in found))
            written.append(path)
            if not is_full:
                return written
            place = f"{found[-1][0]} {found[-1][1]} {number + 1}"
            connection.execute("insert or replace into marks values (?, ?)", (Mark.PARTS, place))


def _has_rows(path: Path, count: int) -> bool:
    """Whether a file holds so many rows: then the rest is what it was at the last stop."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return is_there(path) and bool(pq.read_metadata(path).num_rows == count)
    except (OSError, pa.ArrowInvalid):
        return False


def is_ordered(name: str) -> bool:
    """Whether a file of a run's folder is its data set in the questions' order."""
    return name == "dataset.jsonl" or (name.startswith("dataset-") and name.endswith(".parquet"))


def remove_ordered(folder: RunFolder) -> Path | None:
    """Remove the data set in the questions' order, which more samples have made out of date.

    Returns:
        Where a dataset.jsonl that somebody changed was put; None if nobody did.
    """
    kept = keep_changed(folder)
    for path in folder.path.iterdir():
        if is_ordered(path.name):
            path.unlink()
    return kept


def write_ordered(folder: RunFolder, rows: int) -> tuple[Path | None, list[Path]]:
    """Write the data set of a run as `dataset-00000.parquet`, …, in the order of the questions.

    Args:
        folder: The run's folder.
        rows: Samples of a file.

    Returns:
        Where a `dataset.jsonl` that somebody changed was put, if one was; and the files. Older
        ones, and `dataset.jsonl`, are removed.

    Raises:
        JournalError: There is no journal, or a file can't be written.
    """
    written: list[Path] = []
    with JournalReader(folder) as reader:
        records = reader.records()
        while (first := next(records, None)) is not None or not written:
            path = folder.path / f"dataset-{len(written):05}.parquet"
            _write(path, _begun_with(first, islice(records, rows - 1)))
            written.append(path)
    kept = keep_changed(folder)
    for path in {folder.dataset, *folder.path.glob("dataset-*.parquet")}.difference(written):
        path.unlink(missing_ok=True)
    return kept, written


def _begun_with(
    first: dict[str, Any] | None, others: Iterator[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    if first is not None:
        yield first
        yield from others


def _after(
    connection: sqlite3.Connection, journal: Path, change: int, position: int
) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Finished samples after one, in the order in which they ended."""
    rows = connection.execute(
        "select change, position, id, reason, record from samples where change >= ?"
        " and (change, position) > (?, ?) and reason is null order by change, position",
        (change, change, position),
    )
    for number, place, sample_id, reason, blob in rows:
        yield number, place, checked_record(journal, sample_id, reason, blob)


def _place(connection: sqlite3.Connection, journal: Path) -> _Place:
    row = connection.execute("select value from marks where name = ?", (Mark.PARTS,)).fetchone()
    with contents.reading(f"{journal}: the mark {Mark.PARTS.value!r}"):
        change, position, number = map(int, row[0].split()) if row else (0, -1, 0)
    return change, position, number


def _write(path: Path, records: Iterator[dict[str, Any]]) -> None:
    with made_from_journal(path):
        write_records(path, records)


@contextmanager
def _reading(journal: Path) -> Iterator[None]:
    try:
        yield
    except BROKEN as error:
        raise journal_error(journal, error) from None
