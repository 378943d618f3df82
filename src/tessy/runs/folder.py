"""The folder of a run, and those of its shards.

run.toml         the settings that the run was started with, the questions and their digest
shards/0000/     a shard of the run: a part of the questions, written by one process at a time
  journal.sqlite   the samples that ended, and the turns of unfinished ones
  lock             locked by the process that writes the shard
  dataset.jsonl, failures.jsonl   what `--shard` wrote of the data set
dataset.jsonl    finished samples, in the order of the questions
failures.jsonl   failed samples, each with its reason
lock             locked by the process that writes the whole run; shared by those that write shards
settings.lock    locked by a process that changes run.toml
ray.log          what Ray said, if the shards were written on a cluster
tracker-id       the id by which trackers know the run; see `tessy.tracking`
"""

from __future__ import annotations

import errno
import math
import os
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tessy.data.files import is_folder, is_there, open_file
from tessy.display import count_of
from tessy.errors import JournalError, RunMismatch
from tessy.runs.database import mode_for
from tessy.runs.identity import refuse_strangers
from tessy.runs.locks import OTHER_OUT, held, is_held, no_folder, opened_lock
from tessy.runs.run_toml import RunToml

CANARY = "canary"
"""The folder in a run's with the teacher's run of `--canary`."""
_SHARD = re.compile(r"[0-9]{4}")
_SILENT_S = 120.0
"""After how long without a change nobody is taken to write a run on another machine."""


@dataclass(frozen=True, slots=True)
class DatasetFolder:
    """A folder with a data set: that of a run, or a shard's part.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def dataset(self) -> Path:
        """`dataset.jsonl`."""
        return self.path / "dataset.jsonl"

    @property
    def failures(self) -> Path:
        """`failures.jsonl`."""
        return self.path / "failures.jsonl"

    @property
    def versions(self) -> Path:
        """Which versions of `dataset.jsonl` were written; see `edits`."""
        return self.path / "dataset.versions.json"


@dataclass(frozen=True, slots=True)
class ShardFolder(DatasetFolder):
    """The paths of a shard of a run.

    Attributes:
        number: Its number, from 0.
    """

    number: int

    @property
    def run(self) -> Path:
        """The run's folder."""
        return self.path.parent.parent

    @property
    def journal(self) -> Path:
        """`journal.sqlite`."""
        return self.path / "journal.sqlite"

    def locked(self) -> AbstractContextManager[int]:
        """Lock the shard; see `held`."""
        return held(self.path)


@dataclass(frozen=True, slots=True)
class RunFolder(DatasetFolder):
    """The paths of a run."""

    @property
    def run_toml(self) -> RunToml:
        """The settings that the run was started with, its questions and models."""
        return RunToml(self.path)

    @property
    def settings(self) -> Path:
        """`run.toml`."""
        return self.run_toml.path

    @property
    def versions(self) -> Path:
        """Which versions of `dataset.jsonl` were written; see `edits`."""
        return self.path / "shards" / "dataset.versions.json"

    def shard(self, number: int) -> ShardFolder:
        """A shard, which need not have been started."""
        return ShardFolder(self.path / "shards" / f"{number:04}", number)

    def shards(self) -> list[ShardFolder]:
        """The shards that have a folder, in order.

        Raises:
            JournalError: The run is of an older version of tessy, or can't be read.
        """
        if os.path.lexists(old := self.path / "journal.sqlite"):
            raise JournalError(
                f"{old}: a run of an older version of tessy, which had no shards",
                hint="read it with that version, or start again in another folder",
            )
        above = self.path / "shards"
        try:
            names = sorted(each.name for each in above.iterdir()) if is_folder(above) else []
            shards = [self.shard(int(name)) for name in names if _SHARD.fullmatch(name)]
            return [shard for shard in shards if is_folder(shard.path)]
        except OSError as error:
            raise JournalError(f"{error.filename}: {error.strerror}") from None

    def started_shards(self) -> list[ShardFolder]:
        """The shards that have a journal, in order.

        Raises:
            JournalError: As `shards`.
        """
        return [shard for shard in self.shards() if os.path.lexists(shard.journal)]

    def remove_journals(self) -> None:
        """Delete the journals of a start that wrote nothing: settings and questions may change.

        Raises:
            JournalError: One can't be deleted.
        """
        for shard in self.started_shards():
            for suffix in ("", "-wal", "-shm"):
                path = shard.journal.with_name(shard.journal.name + suffix)
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:
                    raise JournalError(f"{path}: {error.strerror}") from None

    def check_there(self, lock: int) -> None:
        """Make sure that the folder is still where it was when it was locked.

        Args:
            lock: The file descriptor of its lock.

        Raises:
            JournalError: It was moved, replaced or deleted.
        """
        held = os.fstat(lock)
        try:
            there = (self.path / "lock").lstat()
        except OSError:
            raise moved(self.path) from None
        if (there.st_dev, there.st_ino) != (held.st_dev, held.st_ino):
            raise moved(self.path)

    def is_written(self) -> bool:
        """Whether a process is writing the run, or a shard of it.

        On a file system that several machines share, whether a journal changed a moment ago.

        Raises:
            JournalError: As `shards`.
        """
        shards = self.started_shards()
        if mode_for(self.path) == "wal":
            return any(is_held(path) for path in (self.path, *(shard.path for shard in shards)))
        since = time.time() - _SILENT_S
        return any(_changed(shard.journal) > since for shard in shards)

    @contextmanager
    def locked(self, *, shared: bool = False) -> Iterator[int]:
        """Lock the folder; the lock ends with the process, however that ends.

        Args:
            shared: Only some shards are to be written; others may be written at the same time.

        Yields:
            The lock's file descriptor; a child process that inherits it also holds the lock.

        Raises:
            RunLocked: Another process holds the lock.
            RunMismatch: The folder contains something other than a run, or a data set without its
                journal.
            ConfigError: The folder can't be created.
        """
        self._refuse_strangers()
        with held(self.path, shared=shared) as lock:
            self.refuse_lost_journal()
            yield lock

    def _refuse_strangers(self) -> None:
        own = {"lock", "settings.lock"}
        with suppress(OSError):
            if all(_SHARD.fullmatch(each.name) for each in (self.path / "shards").iterdir()):
                own.add("shards")
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
            raise no_folder(self.path, OSError(why, os.strerror(why), str(place)))
        with suppress(FileNotFoundError), opened_lock(self.path, os.O_RDWR):
            pass
        self.refuse_lost_journal()

    def refuse_lost_journal(self, finished: int | None = None) -> None:
        """Refuse to go on if that would overwrite samples that the journals do not have.

        Args:
            finished: Finished samples in all journals; None if they have not been opened.

        Raises:
            RunMismatch: The data set holds more samples than the journals.
        """
        try:
            if finished is None and any(_has_content(s.journal) for s in self.started_shards()):
                return
        except JournalError:  # which is an OSError
            raise
        except OSError as error:
            raise RunMismatch(f"{error.filename}: {error.strerror}", hint=OTHER_OUT) from None
        refuse_lost(self, finished)


def _has_content(path: Path) -> bool:
    """Whether a file is there, with content; another start may remove an empty one meanwhile."""
    try:
        return is_there(path) and path.stat().st_size > 0
    except FileNotFoundError:
        return False


def _changed(path: Path) -> float:
    """When a file changed, as a Unix time; the oldest time if it is not there."""
    try:
        return path.lstat().st_mtime
    except OSError:
        return -math.inf


def refuse_lost(folder: DatasetFolder, finished: int | None) -> None:
    """Refuse to overwrite samples that the journals do not have.

    A data set that somebody added lines to is not overwritten: it is given another name.

    Args:
        folder: The folder of a run, or of a shard with its part of the data set.
        finished: Finished samples in the journals; None if no journal is there.

    Raises:
        RunMismatch: The data set holds more samples.
    """
    from tessy.runs.edits import is_changed  # which imports this module

    dataset = folder.dataset
    try:
        if not is_there(dataset):
            return
        with os.fdopen(open_file(dataset), "rb") as file:
            samples = sum(bool(line.strip()) for line in file)
    except OSError as error:
        raise RunMismatch(f"{error.filename}: {error.strerror}", hint=OTHER_OUT) from None
    if samples > (finished or 0) and not (finished is not None and is_changed(folder)):
        lost = "no journal is there" if finished is None else f"the journals hold {finished:,}"
        raise RunMismatch(
            f"{dataset} has {count_of(samples, 'sample')}, but {lost}: "
            "to go on would overwrite them",
            hint=f"put the folder shards back, or {OTHER_OUT}; nothing was changed",
        )


def moved(folder: Path) -> JournalError:
    """The error that a run's folder is no longer where it was."""
    return JournalError(
        f"{folder} was moved, replaced or deleted while its run went on",
        hint="if it was moved, nothing is lost: give its new path as --out, and the run "
        "goes on there; if it was deleted, the same command begins again",
    )
