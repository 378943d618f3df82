"""Reads the records of a run as rows, like those of any data set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tessy.data.remote import RemotePath, is_url
from tessy.data.rows import rows
from tessy.errors import DataError
from tessy.runs.edits import is_changed
from tessy.runs.folder import RunFolder
from tessy.runs.missing import near_run
from tessy.runs.reader import JournalReader
from tessy.runs.remote import reading


def run_in(source: str | Path) -> RunFolder | None:
    """The folder of the run that a source names; None if it names something else.

    Args:
        source: A run's folder or its URL, or a data set.

    Raises:
        RemoteError: The URL can't be read.
        JournalError: A run of an older version of tessy, or one that can't be read.
    """
    path = Path(source)
    if is_url(source) and RemotePath(f"{str(source).rstrip('/')}/run.toml").info() is not None:
        path = reading(source)
    folder = RunFolder(path)
    return folder if path.is_dir() and folder.started_shards() else None


def lacking_in(source: str | Path) -> str | None:
    """What a run has not yet, or the data set in its folder, in a phrase; None if nothing.

    Args:
        source: A run's folder or its URL, or a data set, of which nothing else is known.

    Raises:
        RemoteError: The URL can't be read.
        JournalError: A journal can't be read.
    """
    folder, path = run_in(source), Path(source)
    if folder is None and (of_run := RunFolder(path.parent)).dataset == path and path.is_file():
        return _lacking_in_file(of_run) if of_run.started_shards() else None
    if folder is None:
        return None
    with JournalReader(folder) as reader:
        return reader.lacking()


def _lacking_in_file(folder: RunFolder) -> str | None:
    """What a data set lacks of its run; None if it was changed since it was written."""
    with JournalReader(folder) as reader:
        finished = reader.reasons()[None]
    with folder.dataset.open("rb") as file:
        written = sum(1 for _ in file)
    if written >= finished or is_changed(folder):
        return None
    return f"{finished - written:,} of {finished:,} samples that {folder.path} has are missing"


def rows_of(source: str | Path, *, what: str) -> Iterator[tuple[str, Any]]:
    """The rows of a data set; of a run, the records of all samples that finished so far.

    A run is read from its journals, all shards as one, in the order of the questions; so it may be
    active.

    Args:
        source: A run's folder or its URL, or a data set; see `tessy.data.rows.rows`.
        what: A plural noun for the rows, for messages.

    Yields:
        The place of a row, and the row.

    Raises:
        DataError: There is no such source, it can't be read, or it is a run whose data set was
            changed, which its journals do not have.
        JournalError: A journal can't be read.
    """
    folder = run_in(source)
    if folder is None:
        try:
            yield from rows(source, what=what)
        except DataError as error:
            near = None if is_url(source) or Path(source).exists() else near_run(Path(source))
            if near is None:
                raise
            raise DataError(error.message, hint=f"did you mean {near}?") from None
        return
    if is_changed(folder):
        raise DataError(
            f"{folder.dataset} was changed since it was written, and a run is read from its "
            "journals, without the changes",
            hint=f"to use the changed file, name it: {folder.dataset}; to go without, remove it",
        )
    with JournalReader(folder) as reader:
        for record in reader.records():
            yield f"{source}: sample {record['id']}", record
