"""Files and folders at URLs (`s3://`, `gs://`, `hf://`, `https://`, …), by fsspec.

`RemotePath` reads and writes them, and says in one kind of error what is wrong: `RemoteError`.
Credentials are those that fsspec's packages find themselves (docs/remote.md).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tessy.data.files import write_atomically
from tessy.errors import ConfigError, RemoteError, meant

T = TypeVar("T")
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_COLLAPSED = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):(/(?!/).*)?$", re.DOTALL)
"""A URL of which one or both slashes are gone, as a `Path` makes one; not one with a port."""
_NAMES_A_PLACE = re.compile(r"(file|local):///.|(?!file:|local:)[^:]+://[^/]")
_ATTEMPTS = 5
_FIRST_WAIT_S = 1.0
_NOT_TAKEN = (405, 501)
"""What HTTP servers say that let files only be read."""
_RIGHTS = ("PermissionError", "NoCredentialsError", "CredentialRetrievalError", "RefreshError")


def is_url(text: object) -> bool:
    """Whether a text is a URL, such as `s3://bucket/run`."""
    return isinstance(text, str) and _URL.match(text) is not None


def is_place_at_url(place: str | Path) -> bool:
    """Whether a place to write to is at a URL.

    Raises:
        ConfigError: It is a URL whose slashes are gone, or one without a bucket.
    """
    if found := _COLLAPSED.match(str(place)):
        raise ConfigError(
            f"{place} is meant as a URL, and is none",
            hint=f"a URL has two slashes, and is text, not a Path: {found[1]}://…",
        )
    if is_url(place) and not _NAMES_A_PLACE.match(str(place)):
        raise ConfigError(
            f"{place} names no place",
            hint="file:///FOLDER has three slashes; others name a bucket or a host: s3://BUCKET/RUN",
        )
    return is_url(place)


def absolute(place: str | Path) -> str:
    """A place to write to, as other processes and machines name it.

    Raises:
        ConfigError: As `is_place_at_url`.
    """
    return str(place if is_place_at_url(place) else Path(place).absolute())


def shown_url(url: str) -> str:
    """A URL without what may be secret in it: a user's name and password, and a signature."""
    said = re.sub(r"://[^/@]*@", "://", url)
    return said.partition("?")[0] if said.startswith("http") else said


@dataclass(frozen=True, slots=True)
class RemotePath:
    """A file or folder at a URL.

    Attributes:
        url: The URL.

    Every method raises `RemoteError` if the URL can't be read or written.
    """

    url: str

    def __str__(self) -> str:
        return shown_url(self.url)

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(f"{self.url.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        """The last part of its path."""
        return str(self).rstrip("/").rpartition("/")[2] or "data"

    @property
    def suffix(self) -> str:
        """The last part of its name, from the point on."""
        return Path(self.name).suffix

    def read(self, most: int) -> bytes | None:
        """The bytes of a file; None if it is not there.

        Args:
            most: The size in bytes above which it is refused.
        """
        content = self.beginning(most + 1)
        if content is not None and len(content) > most:
            raise RemoteError(f"{self} is larger than {most:,} bytes")
        return content

    def beginning(self, most: int) -> bytes | None:
        """The first bytes of a file; None if it is not there."""
        with self._opened() as (system, path):
            try:
                with system.open(path, "rb") as file:
                    found: bytes = file.read(most)
            except FileNotFoundError:
                return None
        return found

    def write(self, content: bytes) -> None:
        """Write a file, which takes its name when it is complete."""
        with self._opened() as (system, path):
            if (local := _local(system, path)) is not None:
                local.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(local, content)
            else:
                system.pipe_file(path, content)

    def put(self, file: Path) -> None:
        """Upload a file, which takes its name when it is complete."""
        with self._opened() as (system, path):
            if (local := _local(system, path)) is not None:
                local.parent.mkdir(parents=True, exist_ok=True)
                with file.open("rb") as opened:
                    write_atomically(local, iter(lambda: opened.read(1 << 20), b""))
            else:
                system.put_file(str(file), path)

    def get(self, file: Path) -> None:
        """Download a file."""
        with self._opened() as (system, path):
            system.get_file(path, str(file))

    def remove(self) -> None:
        """Remove a file; one that is not there is removed."""
        with self._opened() as (system, path), suppress(FileNotFoundError):
            system.rm_file(path)

    def info(self) -> dict[str, Any] | None:
        """What is known about it, as fsspec says it; None if it is not there."""
        with self._opened() as (system, path):
            try:
                found: dict[str, Any] = system.info(path)
            except FileNotFoundError:
                return None
        return found

    def names(self) -> list[str]:
        """The names of what is in a folder; nothing if it is not there."""
        with self._opened() as (system, path):
            try:
                found = system.ls(path, detail=False)
            except FileNotFoundError:
                return []
        paths = {str(each).rstrip("/") for each in found} - {path.rstrip("/")}
        return sorted(each.rpartition("/")[2] for each in paths)

    def files(self, depth: int | None = None) -> list[str]:
        """The paths of files below a folder, relative to it; nothing if it is not there."""
        with self._opened() as (system, path):
            found = system.find(path, maxdepth=depth)
        above = path.rstrip("/") + "/"
        return sorted(str(each)[len(above) :] for each in found if str(each).startswith(above))

    def matching(self) -> list[RemotePath]:
        """The files whose names match this one, a glob."""
        with self._opened() as (system, path):
            return [RemotePath(system.unstrip_protocol(each)) for each in system.glob(path)]

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, str]]:
        """The file system and the path in it; what it raises is told as a `RemoteError`."""
        system, path = _file_system(self.url)
        try:
            yield system, path
        except RemoteError:  # which is an OSError
            raise
        except Exception as error:  # each file system has errors of its own
            raise _told(self, error) from error


def _file_system(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs
    from fsspec.registry import known_implementations

    protocol = url.partition("://")[0]
    name = shown_url(url)
    try:
        system, path = url_to_fs(url)
        system.invalidate_cache()  # others write there, too
    except ImportError as error:
        module = known_implementations.get(protocol, {}).get("class", "").partition(".")[0]
        raise _lasting(f"{name}: {error}", hint=f"pip install {module or protocol}") from None
    except ValueError as error:
        if protocol in known_implementations:
            raise _lasting(f"{name}: {error}") from None
        raise _lasting(
            f"{name}: there is no protocol {protocol!r}",
            hint=meant(protocol, known_implementations)
            + "s3://, gs://, az://, hf://, https:// and others of fsspec are known",
        ) from None
    except Exception as error:
        raise _told(RemotePath(url), error) from error
    return system, path


def _told(place: RemotePath, error: Exception) -> RemoteError:
    """What a file system raised, as an error that names the URL and says what to do."""
    kinds = {each.__name__ for each in type(error).__mro__}
    said = str(error).strip() or type(error).__name__
    if getattr(error, "status", None) in _NOT_TAKEN:
        return _lasting(
            f"{place}: its server takes no files: {said}",
            hint="name a URL that can be written to, such as s3://BUCKET/RUN",
        )
    if kinds.intersection(_RIGHTS):
        return _lasting(
            f"{place}: no rights: {said}",
            hint="give credentials that may read and write there: docs/remote.md",
        )
    if isinstance(error, FileNotFoundError):
        return _lasting(
            f"{place}: there is no such file, folder or bucket: {said}",
            hint="create the bucket, or name another URL",
        )
    if isinstance(error, IsADirectoryError | NotADirectoryError | FileExistsError):
        return _lasting(f"{place}: {said}", hint="name another URL")
    if isinstance(error, NotImplementedError):
        return _lasting(f"{place} can't be written to", hint="name a URL that can")
    return RemoteError(
        f"{place} can't be reached: {type(error).__name__}: {said}",
        hint="when it can be reached again, the same command goes on",
    )


def _lasting(message: str, *, hint: str | None = None) -> RemoteError:
    made = RemoteError(message, hint=hint)
    made.lasting = True
    return made


def _local(system: Any, path: str) -> Path | None:
    """The path of a file on this machine: there, writing is not atomic by itself."""
    from fsspec.implementations.local import LocalFileSystem

    return Path(path) if isinstance(system, LocalFileSystem) else None


def persistently(
    action: Callable[[], T],
    *,
    say: Callable[[str], None] = lambda _: None,
    attempts: int = _ATTEMPTS,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Do something at a URL, again after temporary failures, with longer and longer waits.

    Args:
        action: What to do.
        say: Called with a line about each failure.
        attempts: How often it is tried at most.
        sleep: Waits for so many seconds.

    Raises:
        RemoteError: It failed each time, or in a way that another attempt would not change.
    """
    for number in range(attempts):
        try:
            return action()
        except RemoteError as error:
            if error.lasting or number + 1 == attempts:
                raise
            say(f"{error.message}; trying again")
            sleep(_FIRST_WAIT_S * 2**number)
    raise AssertionError


def check_writable(place: RemotePath) -> None:
    """Make sure that files can be written to a folder.

    Raises:
        RemoteError: They can't be.
    """
    probe = place / ".tessy-probe"
    persistently(lambda: probe.write(b"tessy checks that it may write here\n"))
    probe.remove()
