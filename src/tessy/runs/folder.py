"""The folder of a run.

run.toml         the settings that the run was started with, the questions and their digest
journal.sqlite   the samples that ended, and the turns of unfinished ones
dataset.jsonl    finished samples, in the order of the questions
failures.jsonl   failed samples, each with its reason
lock             locked by the process that writes the run
"""

from __future__ import annotations

import datetime
import errno
import os
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from tessy.config import Config
from tessy.data.files import (
    is_temporary,
    is_there,
    lock_file,
    open_file,
    read_bytes,
)
from tessy.data.files import write_atomically as write_atomically  # also for other rooms
from tessy.errors import ConfigError, RunLocked, RunMismatch
from tessy.method.trajectory import Role

_WORKERS_END_S = 10.0
"""How long the workers of a killed run may take to exit."""
_MOST_SETTINGS = 16 << 20
"""Bytes of the settings of a run."""
_OTHER_OUT = "give another --out"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths of a run."""

    path: Path

    @property
    def settings(self) -> Path:
        """`run.toml`."""
        return self.path / "run.toml"

    @property
    def journal(self) -> Path:
        """`journal.sqlite`."""
        return self.path / "journal.sqlite"

    @property
    def dataset(self) -> Path:
        """`dataset.jsonl`."""
        return self.path / "dataset.jsonl"

    @property
    def failures(self) -> Path:
        """`failures.jsonl`."""
        return self.path / "failures.jsonl"

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Lock the folder; the lock ends with the process, however that ends.

        Yields:
            The lock's file descriptor; a child process that inherits it also holds the lock.

        Raises:
            RunLocked: Another process holds the lock.
            RunMismatch: The folder contains something other than a run, or a data set without its
                journal.
            ConfigError: The folder can't be created.
        """
        self._refuse_strangers()
        with held(self.path) as lock:
            self.refuse_lost_journal()
            yield lock

    def _refuse_strangers(self) -> None:
        journal = self.journal.name
        own = {"lock", journal, f"{journal}-wal", f"{journal}-shm", f"{journal}-journal"}
        refuse_strangers(self.settings, own, "run")

    def check_place(self) -> None:
        """Refuse what `locked` would refuse; nothing is created.

        Raises:
            TessyError: As `locked`.
        """
        self._refuse_strangers()
        above = self.path.absolute()
        place = next(each for each in (above, *above.parents) if os.path.lexists(each))
        if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
            why = errno.EACCES if place.is_dir() else errno.ENOTDIR
            raise _no_folder(self.path, OSError(why, os.strerror(why), str(place)))
        with suppress(FileNotFoundError), _opened_lock(self.path, os.O_RDWR):
            pass
        self.refuse_lost_journal()

    def begin(
        self, config: Config, questions: str, digest: str, version: str, *, begun: bool
    ) -> datetime.date:
        """Start a run in this folder, or make sure that the run in it can be resumed.

        Args:
            config: The settings.
            questions: The source of the questions.
            digest: The digest of the questions.
            version: tessy's version.
            begun: The run has written samples. Otherwise its settings may still change: a first
                start may have failed because of a typo.

        Returns:
            The date of the run's first start.

        Raises:
            RunMismatch: The folder contains a different run; the message says what differs.
        """
        if not begun:
            date = datetime.datetime.now(datetime.UTC).date()
            run = {"questions": questions, "digest": digest, "date": date, "version": version}
            text = tomli_w.dumps({"run": run, **_without_none(config.identity())})
            self._write(text)
            return date
        return self.refuse_other_run(config, questions, digest)

    def refuse_other_run(self, config: Config, questions: str, digest: str) -> datetime.date:
        """Make sure that the run in this folder is one with these settings and questions.

        Args:
            config: The settings.
            questions: The source of the questions.
            digest: The digest of the questions.

        Returns:
            The date of the run's first start.

        Raises:
            RunMismatch: It is a different run; the message says what differs.
        """
        there = read_settings(self.settings)
        run = there.pop("run", {})
        different = differences(there, _without_none(config.identity()))
        if run.get("digest") != digest:
            different.append(f"the questions: {run.get('questions')} then, {questions} now")
        refuse_others(self.path, different, "run")
        date = run.get("date")
        if not isinstance(date, datetime.date):
            raise RunMismatch(f"{self.settings} has no date", hint="give another --out")
        return date

    def same_models(self, names: dict[str, str]) -> None:
        """Make sure that the models are those that the run was started with.

        Args:
            names: The served models' names, by role.

        Raises:
            RunMismatch: A different model is served now.
        """
        there = read_settings(self.settings)
        self.refuse_other_models(there.setdefault("run", {}).setdefault("models", names), names)
        self._write(tomli_w.dumps(there))

    def refuse_other_models(self, known: dict[str, str], names: dict[str, str]) -> None:
        """Make sure that models are those of the run in this folder.

        Args:
            known: The names of the run's models, by role.
            names: The served models' names, by role.

        Raises:
            RunMismatch: They differ.
        """
        if different := differences(known, names):
            raise RunMismatch(
                f"{self.path} holds a run with other models:\n  " + "\n  ".join(different),
                hint="start again in another folder (--out), or serve the models of that run",
            )

    def _write(self, settings: str) -> None:
        try:
            write_atomically(self.settings, settings.encode())
        except OSError as error:
            raise ConfigError(
                f"{self.settings} can't be written: {error.strerror}", hint="give another --out"
            ) from None

    def refuse_lost_journal(self, finished: int | None = None) -> None:
        """Refuse to go on if that would overwrite samples that the journal does not have.

        Args:
            finished: Finished samples in the journal; None if it has not been opened.

        Raises:
            RunMismatch: The data set holds more samples than the journal.
        """
        try:
            if finished is None and is_there(self.journal) and self.journal.stat().st_size:
                return
            if not is_there(self.dataset):
                return
            with os.fdopen(open_file(self.dataset), "rb") as file:
                samples = sum(bool(line.strip()) for line in file)
        except OSError as error:
            raise RunMismatch(f"{error.filename}: {error.strerror}", hint=_OTHER_OUT) from None
        if samples > (finished or 0):
            lost = "is missing or empty" if finished is None else f"holds {finished:,} of them"
            raise RunMismatch(
                f"{self.dataset} has {samples:,} samples, but {self.journal.name} {lost}: to go on "
                "would overwrite them",
                hint=f"put the journal back, or {_OTHER_OUT}; nothing was changed",
            )

    def models(self) -> dict[str, str]:
        """The names of the run's models, by role; empty before they were first opened.

        Raises:
            RunMismatch: `run.toml` can't be read.
        """
        found: dict[str, str] = read_settings(self.settings).get("run", {}).get("models", {})
        return found

    def method(self) -> str:
        """The run's method, with `answer_by` if that is not the student.

        Raises:
            RunMismatch: `run.toml` can't be read.
        """
        there = read_settings(self.settings)
        method, answers = str(there.get("method", "?")), there.get("answer_by", Role.STUDENT)
        return method if answers == Role.STUDENT else f"{method}, answer_by {answers}"


@contextmanager
def held(folder: Path) -> Iterator[int]:
    """Create a folder and lock it; the lock ends with the process.

    Yields:
        The lock's file descriptor.

    Raises:
        RunLocked: Another process holds the lock.
        ConfigError: The folder can't be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _no_folder(folder, error) from None
    with _opened_lock(folder, os.O_RDWR | os.O_CREAT) as lock:
        with suppress(OSError):  # on a full disk the lock holds without its number
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
        yield lock


@contextmanager
def _opened_lock(folder: Path, flags: int) -> Iterator[int]:
    """Lock a folder.

    Raises:
        FileNotFoundError: It has no lock file, and none is to be created.
        RunLocked: Another process holds the lock.
        ConfigError: The lock file can't be opened.
    """
    try:
        lock = open_file(folder / "lock", flags)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _no_folder(folder, error) from None
    try:
        _lock(lock, folder)
        yield lock
    finally:
        os.close(lock)


def _no_folder(folder: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"{error.filename or folder}: {error.strerror}; {folder} can't be a run's folder",
        hint=_OTHER_OUT,
    )


def _lock(lock: int, folder: Path) -> None:
    """Lock a file; wait a moment for workers of a killed process, which still hold the lock."""
    deadline = time.monotonic() + _WORKERS_END_S
    while not lock_file(lock, folder):
        said = os.pread(lock, 20, 0).decode(errors="replace").strip()
        owner = said if said.isdecimal() else "?"
        if not said.isdecimal() or Path(f"/proc/{owner}").exists() or time.monotonic() > deadline:
            raise RunLocked(
                f"{folder}: process {owner} is working on this run",
                hint="wait for it, or give another --out",
            )
        time.sleep(0.05)


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
        raise ConfigError(f"{folder}: {error.strerror}", hint=_OTHER_OUT) from None
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
        settings = tomllib.loads(read_bytes(path, _MOST_SETTINGS).decode("utf-8"))
        _check_about(settings.get("run", {}))
    except (OSError, ValueError, RecursionError) as error:
        said = getattr(error, "strerror", None) or error
        raise RunMismatch(f"{path} can't be read: {said}", hint="give another --out") from None
    return settings


def _check_about(run: Any) -> None:
    """Check what `run.toml` says about the run.

    Raises:
        ValueError: It is not as tessy writes it.
    """
    kinds = {"date": datetime.date, "digest": str, "questions": str, "version": str, "models": dict}
    if not isinstance(run, dict):
        raise ValueError("run is no table")
    for name, kind in kinds.items():
        if name in run and type(run[name]) is not kind:
            raise ValueError(f"run.{name} is {run[name]!r:.80}")
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


def _without_none(tree: dict[str, Any]) -> dict[str, Any]:
    """Leave out settings that are None: TOML has no null."""
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in tree.items()
        if value is not None
    }
