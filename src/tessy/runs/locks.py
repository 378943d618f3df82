"""Locks of a run's folder and of its shards: advisory ones of the operating system (`flock`).

A lock ends with its process, however that ends, and is inherited by child processes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tessy.data.files import lock_file, open_file
from tessy.errors import ConfigError, RunLocked

OTHER_OUT = "give another --out"
_WORKERS_END_S = 10.0
"""How long the workers of a killed run may take to exit."""
_WAIT_S = 0.05


@contextmanager
def held(folder: Path, *, shared: bool = False) -> Iterator[int]:
    """Create a folder and lock it; the lock ends with the process.

    Args:
        folder: The folder.
        shared: Others may hold the lock too, if they share it.

    Yields:
        The lock's file descriptor.

    Raises:
        RunLocked: Another process holds the lock.
        ConfigError: The folder can't be created.
    """
    create_folder(folder)
    with opened_lock(folder, os.O_RDWR | os.O_CREAT, shared=shared) as lock:
        _sign(lock, "" if shared else str(os.getpid()))
        yield lock


@contextmanager
def held_if_free(folder: Path) -> Iterator[bool]:
    """Lock a folder unless another process has it; yields whether this one has it now.

    Raises:
        FileNotFoundError: There is no such folder.
        ConfigError: The lock file can't be opened.
    """
    lock = _open(folder, os.O_RDWR | os.O_CREAT)
    try:
        free = lock_file(lock, folder)
        if free:
            _sign(lock, str(os.getpid()))
        yield free
    finally:
        os.close(lock)


def is_held(folder: Path) -> bool:
    """Whether a process of this machine has the lock of a folder, and did not share it.

    The lock is only tried while the process that signed it is there: so nobody who begins, or looks
    for a free shard, finds it taken by this look.
    """
    try:
        lock = open_file(folder / "lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        owner = os.pread(lock, 20, 0).decode(errors="replace").strip()
        alive = owner.isdecimal() and Path(f"/proc/{owner}").exists()
        return alive and not lock_file(lock, folder, shared=True)
    except ConfigError:  # a file system without locks
        return True
    finally:
        os.close(lock)


def create_folder(folder: Path) -> None:
    """Create a folder of a run.

    Raises:
        ConfigError: It can't be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise no_folder(folder, error) from None


@contextmanager
def opened_lock(folder: Path, flags: int, *, shared: bool = False) -> Iterator[int]:
    """Lock a folder.

    Args:
        folder: The folder.
        flags: As for `os.open`.
        shared: Others may hold the lock too, if they share it.

    Raises:
        FileNotFoundError: It has no lock file, and none is to be created.
        RunLocked: Another process holds the lock.
        ConfigError: The lock file can't be opened.
    """
    lock = _open(folder, flags)
    try:
        _lock(lock, folder, shared=shared)
        yield lock
    finally:
        os.close(lock)


def _open(folder: Path, flags: int) -> int:
    try:
        return open_file(folder / "lock", flags)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise no_folder(folder, error) from None


def no_folder(folder: Path, error: OSError) -> ConfigError:
    """The error that a folder can't be a run's."""
    return ConfigError(
        f"{error.filename or folder}: {error.strerror}; {folder} can't be a run's folder",
        hint=OTHER_OUT,
    )


def _sign(lock: int, owner: str) -> None:
    with suppress(OSError):  # on a full disk the lock holds without its number
        os.ftruncate(lock, 0)
        os.pwrite(lock, owner.encode(), 0)


def _lock(lock: int, folder: Path, *, shared: bool) -> None:
    """Lock a file; wait a moment for workers of a killed process, which still hold the lock."""
    deadline = time.monotonic() + _WORKERS_END_S
    while not lock_file(lock, folder, shared=shared):
        said = os.pread(lock, 20, 0).decode(errors="replace").strip()
        owner = said if said.isdecimal() else "?"
        if not said.isdecimal() or Path(f"/proc/{owner}").exists() or time.monotonic() > deadline:
            who = f"process {owner} is" if said else "other processes are"
            raise RunLocked(
                f"{folder}: {who} working on this run",
                hint="wait for its end, or write something else",
            )
        time.sleep(_WAIT_S)
