"""Files and folders at URLs, fetched once into the cache folder, and read there.

What is at a URL may change, so each version has a folder of its own. Messages name the URL of a
file, not its copy (`shown_file`).
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from tessy.data.cache import GIVEN, cache_folder, given_folder
from tessy.data.remote import RemotePath, is_url, persistently, shown_url
from tessy.errors import ConfigError, RemoteError

_VERSION = ("size", "ETag", "etag", "mtime", "last_modified", "LastModified", "Last-Modified",
            "created", "generation", "oid", "blob_id", "md5Hash", "Content-MD5")  # fmt: skip
"""What file systems say of a file that changes with it."""
_urls: dict[Path, str] = {}


def shown_file(path: Path) -> str:
    """What messages call a file: its URL, if it was fetched; not its copy in tessy's cache."""
    return GIVEN if path.parent == given_folder() else _urls.get(path, str(path))


def local_folder(name: str) -> str:
    """A folder's name; of one at a URL, that of its copy on this machine.

    Args:
        name: A URL, or anything else, which is returned as it is.

    Raises:
        RemoteError: The URL can't be read, or nothing is there.
    """
    if not is_url(name):
        return name
    there = RemotePath(name.rstrip("/"))
    if not (names := persistently(there.files)):
        raise RemoteError(f"{there}: there is no such folder", hint="name the URL of a folder")
    return str(fetch_files(there, names))


def local_file(name: str) -> str:
    """A file's name; of one at a URL, that of its copy on this machine.

    Args:
        name: A URL, or anything else, which is returned as it is.

    Raises:
        RemoteError: The URL can't be read, or there is no file.
    """
    if not is_url(name):
        return name
    return str(fetch_file(RemotePath(name)))


def fetch_file(there: RemotePath) -> Path:
    """A copy of a file at a URL.

    Raises:
        RemoteError: It can't be read, or is not there.
    """
    info = _info(there)
    path = _place(there.url, [info]) / there.name
    _fetch(there, path, trusted=_has_version(info))
    return path


def fetch_files(there: RemotePath, names: list[str]) -> Path:
    """A folder with copies of some files of a folder at a URL.

    Args:
        there: The folder.
        names: The files' paths, relative to it.

    Raises:
        RemoteError: One can't be read.
    """
    infos = [_info(there / name) for name in names]
    folder = _place(there.url, infos) / there.name
    _urls[folder] = str(there)
    for name, info in zip(names, infos, strict=True):
        if ".." in name.split("/"):
            raise RemoteError(f"{there / name}: a path with '..' is not fetched")
        _fetch(there / name, folder / name, trusted=_has_version(info))
    return folder


def stand_in(there: RemotePath, names: list[str], read: tuple[str, ...]) -> Path:
    """A folder of empty files with the names of those at a URL, to choose among them.

    Args:
        there: The folder.
        names: The files' paths, relative to it.
        read: Names of small files that are fetched.

    Raises:
        RemoteError: One can't be read.
    """
    folder = Path(tempfile.mkdtemp(prefix="tessy-names-")) / there.name
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.name in read:
            persistently(lambda name=name, path=path: (there / name).get(path))  # type: ignore[misc]
        else:
            path.touch()
    return folder


def _place(url: str, infos: list[dict[str, Any]]) -> Path:
    versions = [[info.get(name) for name in _VERSION] for info in infos]
    version = hashlib.sha256(orjson.dumps([url, versions], default=str)).hexdigest()[:20]
    return (cache_folder() / "fetched" / version).absolute()


def _info(there: RemotePath) -> dict[str, Any]:
    found = persistently(there.info)
    if found is None:
        raise RemoteError(f"{there}: there is no such file", hint="look at its name")
    return found


def _has_version(info: dict[str, Any]) -> bool:
    return any(info.get(name) for name in _VERSION if name != "size")


def _fetch(there: RemotePath, path: Path, *, trusted: bool) -> None:
    """Fetch a file, unless this version is here."""
    _urls[path] = shown_url(there.url)
    if trusted and path.exists():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".tessy-") as folder:
            new = Path(folder) / "new"
            persistently(_get(there, new))
            new.replace(path)
    except RemoteError:  # which is an OSError
        raise
    except OSError as error:
        raise ConfigError(
            f"{there} can't be fetched: {error.filename}: {error.strerror}",
            hint="TESSY_CACHE=FOLDER names another folder for copies",
        ) from None


def _get(there: RemotePath, path: Path) -> Callable[[], None]:
    return lambda: there.get(path)
