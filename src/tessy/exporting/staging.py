"""A folder that is there whole or not at all.

An export is written into a hidden folder beside its own, and takes its name when it is done. So
an export that is killed leaves nothing under that name; the next export to the same place removes
what it left under the hidden one.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import filterfalse
from pathlib import Path

import orjson

from tessy.data.files import lock_file, open_file
from tessy.errors import ConfigError, RunLocked

MANIFEST = "export.json"
"""The file that marks a folder as an export; only such a folder is overwritten."""
LOCK = "lock"
_NOT_KEPT = (".cache", ".DS_Store")
"""What uploads and file managers put into a folder."""


@contextmanager
def staged(out: Path, *, force: bool = False) -> Iterator[Path]:
    """Give a folder to write into that becomes `out` if the context ends without an error.

    Args:
        out: The folder's final name.
        force: Overwrite an earlier export there.

    Raises:
        ConfigError: Something is there already, or a folder can't be made there.
        RunLocked: Another process is exporting to the same place.
    """
    refuse(out, force=force)
    try:
        out = out.resolve()  # a link stays one, and the folder that it names is written
        folder = out.with_name(f".{out.name}.part")
        _refuse_stranger(folder, LOCK)
        _refuse_stranger(_old(out), MANIFEST)
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.fdopen(open_file(folder / LOCK, os.O_WRONLY | os.O_CREAT), "a")
    except (OSError, RuntimeError) as error:  # the latter: links in a circle
        said = getattr(error, "strerror", None) or error
        raise ConfigError(f"{out} can't be a folder: {said}", hint="another --out") from None
    with lock:
        if not lock_file(lock.fileno(), out):
            raise RunLocked(
                f"{out}: another process is exporting to it", hint="wait for it, or another --out"
            )
        try:
            _clear(folder)
            yield folder
            _sync(folder)
            _rename(folder, out, force=force)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def refuse(out: Path, *, force: bool) -> None:
    """Make sure that an export may be written here.

    Raises:
        ConfigError: It may not.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / MANIFEST).is_file():
        raise ConfigError(f"{out} exists, and is no export", hint="give another --out")
    refuse_again(str(out), (out / MANIFEST).read_bytes(), files_in(out), force=force)


def files_in(folder: Path) -> list[str]:
    """The files in a folder, by their paths below it."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def refuse_again(out: str, manifest: bytes, files: Iterable[str], *, force: bool) -> None:
    """Make sure that an export may be overwritten: nothing else is lost.

    Args:
        out: Its place, for messages.
        manifest: Its `export.json`.
        files: What is there, by paths below it.
        force: To overwrite it was asked for.

    Raises:
        ConfigError: It may not.
    """
    if not force:
        raise ConfigError(
            f"{out} holds an export already", hint="give another --out, or overwrite it: --force"
        )
    try:
        own = orjson.loads(manifest).get("files")
    except (ValueError, AttributeError):
        raise ConfigError(f"{out}/{MANIFEST} can't be read", hint="give another --out") from None
    added = [] if own is None else [*filterfalse({*own, MANIFEST}.__contains__, files)]
    if added := [name for name in added if name.split("/")[0] not in _NOT_KEPT]:
        more = f" and {len(added) - 1:,} more" if len(added) > 1 else ""
        raise ConfigError(
            f"{out} holds {added[0]}{more}, which the export there did not write",
            hint="move it elsewhere, or give another --out",
        )


def _old(out: Path) -> Path:
    """Where an earlier export is while the new one takes its name."""
    return out.with_name(f".{out.name}.old")


def _refuse_stranger(folder: Path, mark: str) -> None:
    """Make sure that a hidden folder, which is emptied or removed, is one of ours.

    Args:
        folder: It need not exist.
        mark: The file that says so; a folder without any file is taken, too.

    Raises:
        ConfigError: It is a link, a file, or a folder that holds something else.
    """
    if not os.path.lexists(folder):
        return
    is_ours = stat.S_ISDIR(folder.lstat().st_mode) and (
        os.path.lexists(folder / mark) or not any(folder.iterdir())
    )
    if not is_ours:
        raise ConfigError(
            f"{folder} is in the way, and was not made by an export",
            hint="remove it, or give another --out",
        )


def _clear(folder: Path) -> None:
    """Remove what a killed export left."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != LOCK:
            entry.unlink()


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _rename(folder: Path, out: Path, *, force: bool) -> None:
    refuse(out, force=force)  # something may have come there meanwhile
    old = _old(out)
    _refuse_stranger(old, MANIFEST)
    if out.exists():
        shutil.rmtree(old, ignore_errors=True)
        out.rename(old)
    folder.rename(out)
    (out / LOCK).unlink()
    shutil.rmtree(old, ignore_errors=True)
