"""Makes a copy on this machine of a shard at a URL, from its parts; only new ones are fetched."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tessy.data.remote import RemotePath, persistently
from tessy.errors import JournalError
from tessy.runs.folder import ShardFolder
from tessy.runs.parts import (
    CopyState,
    PartMade,
    PartName,
    add_part,
    chain,
    copy_state,
    lacking,
    note_part,
    parts_of,
    read_part,
)

PARTS = "parts"
"""The folder of a shard's parts."""
_AT_ONCE = 16
"""Parts that are fetched at once."""


def parts_at(shard: RemotePath) -> list[PartName]:
    """The parts of a shard at a URL, of all writers, in no order.

    Raises:
        RemoteError: The URL can't be read.
    """
    return parts_of(persistently((shard / PARTS).names))


def restore(shard: ShardFolder, there: RemotePath, parts: Sequence[PartName]) -> bool:
    """Make a shard's journal what its parts say; nobody else writes to it meanwhile.

    A journal that holds all of them is kept, with what it may hold beyond them.

    Args:
        shard: The shard on this machine.
        there: The shard at the URL.
        parts: Its parts, of all writers.

    Returns:
        Whether rows were taken back: the journal was replaced.

    Raises:
        JournalError: A part is missing, or is not as a run writes it.
        RemoteError: A part can't be fetched.
    """
    known = copy_state(shard.journal)
    copy = known or CopyState()
    wanted = chain(parts, str(there))
    missing = lacking(wanted, copy)
    if missing is None:
        _rebuild(shard, there, wanted)
        return known is not None
    if not missing and wanted and copy.part != str(wanted[-1]):
        _note_last(shard, there, wanted[-1])
    shard.path.mkdir(parents=True, exist_ok=True)
    _add(shard.journal, there, missing)
    return False


def _rebuild(shard: ShardFolder, there: RemotePath, wanted: Sequence[PartName]) -> None:
    new = shard.path / "restored"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    _add(new / shard.journal.name, there, wanted)
    for path in (shard.dataset, shard.failures, *_files(shard.journal)):
        path.unlink(missing_ok=True)
    for path in shard.path.glob("part-*.parquet"):
        path.unlink(missing_ok=True)
    if wanted:
        for old, path in zip(_files(new / shard.journal.name), _files(shard.journal), strict=True):
            if old.exists():
                old.rename(path)
    shutil.rmtree(new)


def _files(journal: Path) -> list[Path]:
    return [journal.with_name(journal.name + suffix) for suffix in ("-wal", "-shm", "")]


def _add(journal: Path, there: RemotePath, wanted: Sequence[PartName]) -> None:
    """Fetch parts, several at once, and add them in order."""
    with (
        tempfile.TemporaryDirectory(prefix="tessy-parts-") as folder,
        ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="fetch") as pool,
    ):
        for first in range(0, len(wanted), _AT_ONCE):
            some = wanted[first : first + _AT_ONCE]
            files = pool.map(lambda name: _fetched(there, name, Path(folder)), some)
            for name, file in zip(some, files, strict=True):
                add_part(journal, name, file, str(there))
                file.unlink()


def _fetched(there: RemotePath, name: PartName, folder: Path) -> Path:
    file = folder / str(name)
    persistently(lambda: (there / PARTS / str(name)).get(file))
    return file


def _note_last(shard: ShardFolder, there: RemotePath, last: PartName) -> None:
    """Note the last part, which this copy wrote, but was killed before it could note that."""
    with tempfile.TemporaryDirectory(prefix="tessy-parts-") as folder:
        until, marks = read_part(last, _fetched(there, last, Path(folder)), str(there))
    state = copy_state(shard.journal)
    if state is None:
        raise JournalError(f"{shard.journal} is empty")
    note_part(shard.journal, PartMade(last, until, marks))
