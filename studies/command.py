"""How a command of the studies ends: with an exit code, and a message if something went wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from tessy.display import visible
from tessy.errors import ConfigError, InputError, TessyError


def finish(command: Callable[[], None]) -> int:
    """Run a command; an error becomes a message and a hint.

    Returns:
        The exit code, as of `tessy`: 2 for something that can't be used, 1 for another failure, 130
        if it was stopped.
    """
    try:
        command()
    except TessyError as error:
        tell(f"error: {error}")
        if error.hint:
            tell(f"hint: {error.hint}")
        return 2 if isinstance(error, InputError) else 1
    except KeyboardInterrupt:
        tell("stopped")
        return 130
    return 0


def tell(line: str) -> None:
    """Print a line about the progress, to standard error."""
    print(visible(line), file=sys.stderr, flush=True)


def silent(line: str) -> None:
    """Print nothing: for `--quiet`."""


def check_new(path: Path) -> None:
    """Check that a file can be written.

    Raises:
        ConfigError: It exists already, or its folder does not.
    """
    if path.exists():
        raise ConfigError(f"{path} exists already", hint="name a new file, or remove this one")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: there is no folder {path.parent}", hint="make it first")
