"""Writes dataset.jsonl and failures.jsonl from journals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tessy.data.files import write_atomically
from tessy.display import visible_line
from tessy.errors import JournalError
from tessy.runs.edits import write_lines
from tessy.runs.folder import DatasetFolder, RunFolder, ShardFolder
from tessy.runs.reader import JournalReader
from tessy.runs.shard_reader import ShardReader


def write_dataset(folder: RunFolder, *, finished: bool = True) -> Path | None:
    """Write dataset.jsonl and failures.jsonl of a run, in the order of the questions.

    Args:
        folder: The run's folder.
        finished: Also dataset.jsonl.

    Returns:
        Where a data set that somebody changed was put; None if nobody did.

    Raises:
        JournalError: There is no journal, or a file can't be written.
    """
    with JournalReader(folder) as reader:
        return _write_files(folder, lambda failed: reader.lines(failed=failed), finished=finished)


def write_part(shard: ShardFolder, *, finished: bool = True) -> Path | None:
    """Write dataset.jsonl and failures.jsonl of a shard: its part of the data set.

    Args:
        shard: The shard.
        finished: Also dataset.jsonl.

    Returns:
        As `write_dataset`.

    Raises:
        JournalError: There is no journal, or a file can't be written.
    """
    with ShardReader(shard) as reader:
        lines = reader.lines
        return _write_files(
            shard, lambda failed: (line for _, line in lines(failed)), finished=finished
        )


def _write_files(
    folder: DatasetFolder, lines: Callable[[bool], Iterable[bytes]], *, finished: bool
) -> Path | None:
    with made_from_journal(folder.failures):
        write_atomically(folder.failures, lines(True))
    if not finished:
        return None
    with made_from_journal(folder.dataset):
        return write_lines(folder, lines(False))


def told(kept: Path) -> str:
    """What to say of a data set that somebody changed."""
    place = visible_line(str(kept))
    return f"dataset.jsonl was changed since it was written: the changed one is now {place}"


@contextmanager
def made_from_journal(path: Path) -> Iterator[None]:
    """Say of a file that can't be written that it can be made again.

    Raises:
        JournalError: It can't be written.
    """
    try:
        yield
    except JournalError:  # which is an OSError
        raise
    except OSError as error:
        raise JournalError(
            f"{path}: {error.strerror or error}",
            hint="nothing is lost: the same command writes it again from the journal",
        ) from None
