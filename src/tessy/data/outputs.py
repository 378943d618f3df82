"""Where commands write: checks before any work, and uploads to URLs at the end."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tessy.data.cache import cache_folder
from tessy.data.remote import RemotePath, check_writable, is_place_at_url, persistently
from tessy.errors import ConfigError, RemoteError

Say = Callable[[str], None]
_BEGINNING = 4096
"""Bytes of a file by which it is known what wrote it."""


def check_outputs(
    outputs: Mapping[str, Path | None],
    *,
    inputs: Iterable[str | Path] = (),
    begins: Mapping[str, bytes] | None = None,
) -> None:
    """Check that all files can be written, and that nothing but an older output is lost by it.

    Args:
        outputs: The files, by the option that names each; None if a file is not written.
        inputs: The files that are read.
        begins: By the same options, how each output begins, as a regular expression: a file that
            is there and begins otherwise was written by somebody else.

    Raises:
        ConfigError: A file can't be written, two are the same, one is an input, or something else
            is there.
    """
    wanted = {option: path for option, path in outputs.items() if path is not None}
    for option, path in wanted.items():
        if not path.parent.is_dir():
            raise ConfigError(
                f"{option} {path}: there is no folder {path.parent}", hint="make it first"
            )
        if path.is_dir():
            raise ConfigError(f"{option} {path} is a folder", hint="name a file in it")
        if path.exists() and not path.is_file():  # a file is replaced, and a device would be
            raise ConfigError(f"{option} {path} is no file", hint="name a new file")
        if path.is_file() and not _is_ours(path, (begins or {}).get(option)):
            raise _not_ours(f"{option} {path}")
    resolved = {option: path.resolve() for option, path in wanted.items()}
    if len(set(resolved.values())) < len(resolved):
        raise ConfigError("two files have the same name", hint="give each its own name")
    read = {Path(each).resolve() for each in inputs}
    for option, path in resolved.items():
        if path in read:
            raise ConfigError(f"{option} {wanted[option]} is an input", hint="name a new file")


def _is_ours(path: Path, begins: bytes | None) -> bool:
    """Whether a file may be replaced: it is empty, or begins as an older output does."""
    with path.open("rb") as file:
        return _begins(file.read(_BEGINNING), begins)


def _begins(found: bytes, begins: bytes | None) -> bool:
    return begins is None or not found or re.match(begins, found) is not None


def _not_ours(place: str) -> ConfigError:
    return ConfigError(
        f"{place} is there, and is not what this command writes",
        hint="name a new file, or delete this one",
    )


def is_there(place: str) -> bool:
    """Whether something is at a path or a URL.

    Raises:
        RemoteError: The URL can't be read.
    """
    if is_place_at_url(place):
        return RemotePath(place).info() is not None
    return Path(place).exists()


@contextmanager
def written_to(
    out: str | Path,
    *,
    resumed: bool = False,
    begins: bytes | None = None,
    say: Say = lambda _: None,
) -> Iterator[Path]:
    """Where a command writes a file or folder; one at a URL is uploaded when all is written.

    Args:
        out: A path, or a URL.
        resumed: If it fails or is stopped, what is written is kept on this machine, and given again
            for the same URL.
        begins: How a file at a URL must begin to be replaced, as in `check_outputs`.
        say: Called with lines about the upload.

    Raises:
        ConfigError: Something else is at the URL.
        RemoteError: The URL can't be written to. If that turns out only at the end, nothing is
            lost: the message says where it is.
    """
    if not is_place_at_url(out):
        yield Path(out)
        return
    there = RemotePath(str(out).rstrip("/"))
    check_writable(RemotePath(there.url.rpartition("/")[0]) if there.suffix else there)
    if begins is not None and not _begins(there.beginning(_BEGINNING) or b"", begins):
        raise _not_ours(str(there))
    if resumed:
        digest = hashlib.sha256(there.url.encode()).hexdigest()[:16]
        path = (cache_folder() / "out" / digest / there.name).absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
    else:
        path = Path(tempfile.mkdtemp(prefix="tessy-out-")) / there.name
    try:
        yield path
    except BaseException:
        if not resumed:
            _remove(path)
        raise
    upload(path, there, say)
    if not resumed:
        _remove(path)


def upload(path: Path, there: RemotePath, say: Say = lambda _: None) -> None:
    """Upload a file or a folder.

    Raises:
        RemoteError: It can't be uploaded; the message says where it is on this machine.
    """
    files = [each for each in sorted(path.rglob("*")) if each.is_file()] or [path]
    try:
        for file in files:
            to = there if file == path else there / file.relative_to(path).as_posix()
            persistently(lambda file=file, to=to: to.put(file), say=say)  # type: ignore[misc]
    except RemoteError as error:
        raise RemoteError(error.message, hint=f"nothing is lost: it is in {path}") from None
    say(f"uploaded: {there}")


def _remove(path: Path) -> None:
    shutil.rmtree(path.parent, ignore_errors=True)
