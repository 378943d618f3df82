"""Reads settings: a file, with options over it, and values with names."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from tessy.errors import ConfigError
from tessy.settings.explain import explain, hint_for

S = TypeVar("S", bound=BaseModel)
NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
"""A name that a user gives to something."""
_TOML = 'settings are TOML: name = value, text as "text", tables as [student]'


def load_settings(
    kind: type[S],
    path: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    flags: Mapping[str, str] | None = None,
) -> S:
    """Read settings from a TOML file, and override some of them.

    Args:
        kind: The class of the settings.
        path: The file; None for defaults.
        overrides: Values by dotted key, such as `student.chunk`; None values are ignored.
        flags: Options that gave overrides, by key, for messages.

    Raises:
        ConfigError: The file is missing or not TOML, or settings are unknown, missing or out of
            bounds; the message names each and says what it must be.
    """
    tree = {} if path is None else read_toml(path)
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    for key, value in given.items():
        _put(tree, key, value)
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        said = explain(error, path, flags or {}, given=given)
        raise ConfigError(said, hint=hint_for(error, kind)) from None


def read_toml(path: Path) -> dict[str, Any]:
    """Read a file of settings.

    Raises:
        ConfigError: The file is missing or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}", hint=_TOML) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None


def _put(tree: dict[str, Any], key: str, value: object) -> None:
    """Put a setting into a tree of settings; a table is merged into an existing one.

    Raises:
        ConfigError: A part of the key is not a table.
    """
    *tables, last = key.split(".")
    for depth, each in enumerate(tables, 1):
        tree = tree.setdefault(each, {})
        if not isinstance(tree, dict):
            name = ".".join(tables[:depth])
            raise ConfigError(
                f"{name} = {tree!r} is not a table of settings, so {key} can't be set",
                hint=f"[{name}] with settings below it, such as {name}.model",
            )
    tree.update(merged(tree, {last: value}))


def merged(usual: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A tree of settings, put over another one."""
    found = dict(usual)
    for key, value in own.items():
        there = found.get(key)
        is_table = isinstance(there, dict) and isinstance(value, dict)
        found[key] = merged(there or {}, value) if is_table else value
    return found


def by_name(flag: str, values: Iterable[str]) -> tuple[str | None, dict[str, str]]:
    """The values of an option that may be repeated, as `VALUE` or as `NAME=VALUE`.

    What has a `:` or a `/` before its first `=` is a URL or a path, and has no name.

    Args:
        flag: The option.
        values: What it was given.

    Returns:
        The value without a name, None if there is none; and those with a name.

    Raises:
        ConfigError: A name or a value is missing, no name, or there twice.
    """
    own, named = list[str](), dict[str, str]()
    for value in values:
        name, equals, rest = value.partition("=")
        if not equals or re.search("[:/]", name):
            own.append(value)
        elif not re.fullmatch(NAME, name) or not rest:
            raise ConfigError(
                f"{flag} {value}: this is not NAME=VALUE",
                hint="a name has only letters, digits and . _ -",
            )
        elif name in named:
            raise ConfigError(
                f"{flag} {value}: {name} has a value already, {named[name]}",
                hint="replicas of one model are listed: NAME=URL,URL",
            )
        else:
            named[name] = rest
    if len(set(own)) > 1:
        raise ConfigError(
            f"{flag} is given several times: {', '.join(own)}",
            hint=f"several models have names: {flag} NAME=VALUE; replicas of one are listed: "
            "URL,URL",
        )
    return (own[0] if own else None), named
