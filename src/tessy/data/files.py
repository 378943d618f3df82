"""Files in folders that may come from elsewhere: downloaded, or from a colleague.

Such a folder can hold anything under the names of tessy's files. So links are not followed, nothing
but regular files is opened, files are read up to a bound, and new files are written under a random
name beside their own, which they take when they are complete.

What is not kept out: a program of the same user that exchanges files while tessy opens them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from tessy.errors import ConfigError

_SAFELY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""No link is followed, and a FIFO without a writer does not block."""
_TEMPORARY = re.compile(r"\.tessy-[0-9a-f]{16}\.part")
_FORGOTTEN_S = 3600.0
"""A temporary file that was not written to for so long was left by a killed process."""
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


def is_there(path: Path) -> bool:
    """Whether a regular file has this name; links are not followed.

    Raises:
        OSError: The name is that of a link, a folder, a FIFO or a device.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, f"it is {_kind(mode)}, not a file", str(path))
    return True


def is_folder(path: Path) -> bool:
    """Whether a folder has this name; links are not followed.

    Raises:
        OSError: The name is that of something else.
    """
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not stat.S_ISDIR(mode):
        raise OSError(errno.ENOTDIR, f"it is {_kind(mode)}, not a folder", str(path))
    return True


def open_file(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a regular file; links are not followed.

    Args:
        path: The file.
        flags: As for `os.open`.

    Returns:
        The file descriptor.

    Raises:
        OSError: There is no such file, it is something else, or it can't be opened.
    """
    is_there(path)  # opening a device can have effects
    descriptor = os.open(path, flags | _SAFELY, 0o666)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, f"it is {_kind(mode)}, not a file", str(path))
    return descriptor


def read_bytes(path: Path, most: int) -> bytes:
    """Read a regular file.

    Args:
        path: The file.
        most: The size in bytes above which it is refused.

    Raises:
        OSError: It can't be read, is no regular file, or is larger.
    """
    with os.fdopen(open_file(path), "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most:,} bytes", str(path))
    return content


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes its name when it is complete: a crash leaves the old one or the new.

    Something else under that name is replaced; a link there is replaced, and not followed.

    Args:
        path: The file.

    Raises:
        OSError: It can't be written.
    """
    _remove_leftovers(path.parent)
    temporary = path.with_name(f".tessy-{secrets.token_hex(8)}.part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write a file so that a crash leaves the old one or the new one, never a part.

    Args:
        path: The file.
        content: The content, or its parts in order.

    Raises:
        OSError: The file can't be written.
    """
    with replacing(path) as file:
        file.writelines((content,) if isinstance(content, bytes) else content)


def is_temporary(name: str) -> bool:
    """Whether `replacing` gives such names."""
    return _TEMPORARY.fullmatch(name) is not None


def _remove_leftovers(folder: Path) -> None:
    """Remove files that `replacing` left in a folder when its process was killed."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            if not is_temporary(entry.name) or not entry.is_file(follow_symlinks=False):
                continue
            if time.time() - entry.stat(follow_symlinks=False).st_mtime > _FORGOTTEN_S:
                Path(entry.path).unlink(missing_ok=True)


def lock_file(descriptor: int, folder: Path, *, shared: bool = False) -> bool:
    """Lock an open file against other processes; the lock ends with the process.

    Args:
        descriptor: The file's.
        folder: What it locks, for messages.
        shared: Others may have the lock too, if they share it.

    Returns:
        Whether this process has the lock; if not, another one has it.

    Raises:
        ConfigError: The folder's file system has no locks.
    """
    try:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise ConfigError(
            f"{folder} is on a file system without locks (flock: {error.strerror}), so two "
            "commands could write to it at once",
            hint="give an --out on a local disk, and copy the folder when the command has ended",
        ) from None
    return True


def _kind(mode: int) -> str:
    kinds = {
        stat.S_ISLNK: "a link",
        stat.S_ISDIR: "a folder",
        stat.S_ISFIFO: "a FIFO",
        stat.S_ISREG: "a file",
    }
    return next((name for test, name in kinds.items() if test(mode)), "a device or a socket")
