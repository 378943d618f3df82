"""Checks, before any work, that a command can write its files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tessy.errors import ConfigError


def check_outputs(outputs: Mapping[str, Path | None], *, inputs: Iterable[str | Path] = ()) -> None:
    """Check that all files can be written, and that none of them is also an input.

    Args:
        outputs: The files, by the option that names each; None if a file is not written.
        inputs: The files that are read.

    Raises:
        ConfigError: A file can't be written, two are the same, or one is an input.
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
    resolved = {option: path.resolve() for option, path in wanted.items()}
    if len(set(resolved.values())) < len(resolved):
        raise ConfigError("two files have the same name", hint="give each its own name")
    read = {Path(each).resolve() for each in inputs}
    for option, path in resolved.items():
        if path in read:
            raise ConfigError(f"{option} {wanted[option]} is an input", hint="name a new file")
