"""The folder of a run.

run.toml         the settings that the run was started with, the questions and their digest
journal.sqlite   the samples that ended, and the turns of unfinished ones
dataset.jsonl    finished samples, in the order of the questions
failures.jsonl   failed samples, each with its reason
lock             locked by the process that writes the run
"""

from __future__ import annotations

import datetime
import fcntl
import os
import time
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import tomli_w

from tessy.config import Config
from tessy.errors import ConfigError, RunLocked, RunMismatch
from tessy.method.trajectory import Role

_WORKERS_END_S = 10.0
"""How long the workers of a killed run may take to exit."""


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
            RunMismatch: The folder contains something other than a run.
            ConfigError: The folder can't be created.
        """
        journal = self.journal.name
        own = {"lock", journal, f"{journal}-wal", f"{journal}-shm", f"{journal}-journal"}
        own.add(f"{self.settings.name}.part")  # left by a first start that was killed
        refuse_strangers(self.settings, own, "run")
        with held(self.path) as lock:
            yield lock

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
        wanted = config.identity()
        if not begun:
            date = datetime.datetime.now(datetime.UTC).date()
            run = {"questions": questions, "digest": digest, "date": date, "version": version}
            text = tomli_w.dumps({"run": run, **_without_none(wanted)})
            write_atomically(self.settings, text.encode())
            return date
        there = read_settings(self.settings)
        run = there.pop("run", {})
        different = differences(there, _without_none(wanted))
        if run.get("digest") != digest:
            different.append(f"the questions: {run.get('questions')} then, {questions} now")
        refuse_others(self.path, different, "run")
        date = run["date"]
        assert isinstance(date, datetime.date)
        return date

    def same_models(self, names: dict[str, str]) -> None:
        """Make sure that the models are those that the run was started with.

        Args:
            names: The served models' names, by role.

        Raises:
            RunMismatch: A different model is served now.
        """
        there = read_settings(self.settings)
        known = there["run"].setdefault("models", names)
        if different := differences(known, names):
            raise RunMismatch(
                f"{self.path} holds a run with other models:\n  " + "\n  ".join(different),
                hint="start again in another folder (--out), or serve the models of that run",
            )
        write_atomically(self.settings, tomli_w.dumps(there).encode())

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
        opened = (folder / "lock").open("a+")
    except OSError as error:
        raise ConfigError(
            f"{folder} can't be a run's folder: {error.strerror}", hint="give another --out"
        ) from None
    with opened as file:
        _lock(file, folder)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield file.fileno()


def _lock(file: IO[str], folder: Path) -> None:
    """Lock a file; wait a moment for workers of a killed process, which still hold the lock."""
    deadline = time.monotonic() + _WORKERS_END_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip()
        if Path(f"/proc/{owner or 'self'}").exists() or time.monotonic() > deadline:
            raise RunLocked(
                f"{folder}: process {owner or '?'} is working on this run",
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
    """
    folder = settings.parent
    if settings.exists() or not folder.is_dir():
        return
    if there := {entry.name for entry in folder.iterdir()} - own:
        raise RunMismatch(
            f"{folder} is no {what}, but holds {', '.join(sorted(there)[:5])}",
            hint="give the path of a new or empty folder",
        )


def read_settings(path: Path) -> dict[str, Any]:
    """Read the settings that a run or a training was started with.

    Raises:
        RunMismatch: They can't be read.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunMismatch(f"{path} can't be read: {error}", hint="give another --out") from None


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


def write_atomically(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write a file so that a crash leaves the old one or the new one, never a part.

    Args:
        path: The file.
        content: The content, or its parts in order.

    Raises:
        OSError: The file can't be written.
    """
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        file.writelines((content,) if isinstance(content, bytes) else content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
