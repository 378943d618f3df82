"""What a name `python:MODULE:FACTORY` names: code of the user."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from tessy.errors import ConfigError, meant


def import_factory(address: str) -> Any:
    """What a name `python:MODULE:FACTORY` names, imported.

    Args:
        address: The name without `python:`.

    Raises:
        ConfigError: It has another form, can't be imported, or the module has no such name.
    """
    module_name, colon, factory = address.rpartition(":")
    if not colon or not module_name or not factory:
        hint = f"python:MODULE:FACTORY, such as python:{address.strip(':') or 'mine'}:make"
        raise ConfigError(f"python:{address} names no factory", hint=hint)
    try:
        module = _imported(module_name)
    except ModuleNotFoundError as error:
        hint = "it is to be installed, or a file in this folder; PYTHONPATH=FOLDER names another"
        is_it = f"{module_name}.".startswith(f"{error.name}.")
        raise ConfigError(
            f"python:{address} can't be imported: {error}", hint=hint if is_it else None
        ) from error
    except Exception as error:  # it is the user's code: anything may happen
        raise ConfigError(f"python:{address} can't be imported: {error!r}") from error
    if not hasattr(module, factory):
        named = [each for each in dir(module) if not each.startswith("_")]
        hint = meant(factory, named) + "python:package.module:factory"
        raise ConfigError(
            f"python:{address} can't be imported: {module_name} has no {factory}", hint=hint
        )
    return getattr(module, factory)


def _imported(name: str) -> ModuleType:
    """A module; of the current folder if there is none of that name elsewhere.

    The command `tessy` does not search that folder, as `python -m tessy` does.
    """
    first, here = name.partition(".")[0], Path.cwd()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        is_here = (here / first).is_dir() or (here / f"{first}.py").is_file()
        if error.name != first or not is_here or str(here) in sys.path:
            raise
    sys.path.append(str(here))
    importlib.invalidate_caches()
    return importlib.import_module(name)
