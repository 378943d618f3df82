"""What identifies a run or a training: settings in its folder, which a resumed one must have."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tessy import lab
from tessy.config import STUDENT_ONLY, OnWrong
from tessy.data.files import is_temporary, read_bytes
from tessy.errors import ConfigError, RunMismatch
from tessy.runs.locks import OTHER_OUT

MOST_SETTINGS = 16 << 20
"""Bytes of the settings of a run."""
MOST_SHARDS = 10_000


def refuse_strangers(settings: Path, own: set[str], what: str) -> None:
    """Refuse a folder that contains other files but no settings.

    Args:
        settings: The path of the settings file in the folder.
        own: Names of files that may exist before it.
        what: What the folder is for, such as `run`, for messages.

    Raises:
        RunMismatch: The folder contains other files and no settings.
        ConfigError: There can be no such folder.
    """
    folder = settings.parent
    try:
        if settings.exists() or not folder.is_dir():
            return
    except OSError as error:  # such as a name that is too long
        raise ConfigError(f"{folder}: {error.strerror}", hint=OTHER_OUT) from None
    entries = {entry.name for entry in folder.iterdir() if not is_temporary(entry.name)}
    if there := entries - own:
        raise RunMismatch(
            f"{folder} is no {what}, but holds {', '.join(sorted(there)[:5])}",
            hint="give the path of a new or empty folder",
        )


def read_settings(path: Path) -> dict[str, Any]:
    """Read the settings that a run or a training was started with.

    Raises:
        RunMismatch: They can't be read, or `run` in them is not as tessy writes it.
    """
    try:
        settings = tomllib.loads(read_bytes(path, MOST_SETTINGS).decode("utf-8"))
        _check_about(settings.get("run", {}))
    except (OSError, ValueError, RecursionError) as error:
        said = getattr(error, "strerror", None) or error
        hint = "put it back as it was, or name the folder of another run"
        raise RunMismatch(f"{path} can't be read: {said}", hint=hint) from None
    return settings


def student_tokenizer(settings: Mapping[str, Any]) -> str | None:
    """The tokenizer of a run's student, by its `run.toml`; a model that ships brings its own.

    Returns:
        A folder, a Hugging Face id, or the address of a model that ships; None if none is named.
    """
    student = settings.get("student")
    if not isinstance(student, Mapping):
        return None
    named, model = student.get("tokenizer"), str(student.get("model", ""))
    if isinstance(named, str):
        return named
    return model if lab.own_folder(model) else None


def evaluated_model(settings: Mapping[str, Any]) -> str | None:
    """The model that `tessy eval` measures in a run; None if that did not write it.

    Args:
        settings: The content of its `run.toml`.
    """
    kind = settings.get("method"), settings.get("on_wrong")
    if kind != (STUDENT_ONLY, OnWrong.KEEP_JUDGED) or not settings.get("verify"):
        return None
    named = settings.get("run", {}).get("models", {}).get("student")
    student = settings.get("student")
    given = student.get("model") if isinstance(student, Mapping) else None
    return str(named or given or "?")


def _check_about(run: Any) -> None:
    """Check what `run.toml` says about the run.

    Raises:
        ValueError: It is not as tessy writes it.
    """
    kinds = {
        "date": datetime.date,
        "digest": str,
        "questions": str,
        "version": str,
        "models": dict,
        "shards": int,
    }
    if not isinstance(run, dict):
        raise ValueError("run is no table")
    for name, kind in kinds.items():
        if name in run and type(run[name]) is not kind:
            raise ValueError(f"run.{name} is {run[name]!r:.80}")
    if not 1 <= run.get("shards", 1) <= MOST_SHARDS:
        raise ValueError(f"run.shards is {run['shards']}")
    for role, name in run.get("models", {}).items():
        if not isinstance(name, str):
            raise ValueError(f"run.models.{role} is {name!r:.80}")


def refuse_others(folder: Path, different: list[str], what: str) -> None:
    """Refuse to resume with different settings.

    Args:
        folder: The folder.
        different: The differences, one line each.
        what: What the folder is for, such as `run`, for messages.

    Raises:
        RunMismatch: There are differences.
    """
    if different:
        raise RunMismatch(
            f"{folder} holds a {what} with other settings:\n  " + "\n  ".join(different),
            hint=f"start again in another folder (--out), or give the settings of that {what}",
        )


def differences(there: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """The differences between two trees of settings, one line each."""
    found = []
    for key in sorted({*there, *now}):
        old, new = there.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found += differences(old, new, f"{prefix}{key}.")
        elif old != new:
            found.append(f"{prefix}{key}: {_shown(old)} then, {_shown(new)} now")
    return found


def _shown(value: Any) -> str:
    return "not set" if value is None else repr(value)


def without_none(tree: dict[str, Any]) -> dict[str, Any]:
    """Leave out settings that are None: TOML has no null."""
    return {
        key: without_none(value) if isinstance(value, dict) else value
        for key, value in tree.items()
        if value is not None
    }
