"""Notices that somebody changed a data set that was written from the journals, and keeps it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import orjson

from tessy.data.files import open_file, read_bytes, replacing, write_atomically
from tessy.runs.folder import DatasetFolder

_LARGEST = 1 << 12


class _Version(NamedTuple):
    """A data set as it was written: bytes, time of the change in nanoseconds, digest."""

    size: int
    changed_ns: int
    sha256: str


def write_lines(folder: DatasetFolder, lines: Iterable[bytes]) -> Path | None:
    """Write dataset.jsonl.

    Args:
        folder: The folder of the run, or of a shard.
        lines: Its lines.

    Returns:
        Where one that somebody changed was put; None if it was as it was written.

    Raises:
        OSError: It can't be written.
    """
    before = _versions(folder)[:2]
    digest = hashlib.sha256()
    with replacing(folder.dataset) as file:
        for line in lines:
            file.write(line)
            digest.update(line)
        file.flush()
        is_now = os.fstat(file.fileno())
        version = _Version(is_now.st_size, is_now.st_mtime_ns, digest.hexdigest())
        # Both are known before the name changes hands: a crash leaves one of them.
        write_atomically(folder.versions, orjson.dumps([list(each) for each in (version, *before)]))
        return keep_changed(folder)


def is_changed(folder: DatasetFolder) -> bool:
    """Whether somebody changed dataset.jsonl since it was written; False if that is not known."""
    known = _versions(folder)
    try:
        is_now = folder.dataset.lstat()
        alike = [version for version in known if version.size == is_now.st_size]
        if not known or any(version.changed_ns == is_now.st_mtime_ns for version in alike):
            return False
        return not alike or _digest(folder.dataset) not in {version.sha256 for version in alike}
    except FileNotFoundError:
        return False
    except OSError:  # it is no file, or can't be read: it was not written so
        return True


def keep_changed(folder: DatasetFolder) -> Path | None:
    """Give a data set that somebody changed another name.

    Returns:
        Its new path; None if it was not changed.

    Raises:
        OSError: It can't be renamed.
    """
    if not is_changed(folder):
        return None
    number = 1
    while os.path.lexists(kept := folder.path / f"dataset.edited-{number}.jsonl"):
        number += 1
    folder.dataset.rename(kept)
    return kept


def _digest(path: Path) -> str:
    with os.fdopen(open_file(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _versions(folder: DatasetFolder) -> list[_Version]:
    """The latest versions that were written; none if that is not known, or can't be read."""
    with suppress(OSError, ValueError, TypeError):
        found = orjson.loads(read_bytes(folder.versions, _LARGEST))
        return [_Version(int(size), int(ns), str(digest)) for size, ns, digest in found]
    return []
