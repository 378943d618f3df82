"""`run.toml`: the settings that a run was started with, its questions and its models."""

from __future__ import annotations

import datetime
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from tessy.config import Config
from tessy.data.files import open_file, write_atomically
from tessy.errors import ConfigError, RunMismatch
from tessy.method.trajectory import Role
from tessy.runs.identity import (
    differences,
    evaluated_model,
    read_settings,
    refuse_others,
    without_none,
)
from tessy.runs.locks import OTHER_OUT, no_folder


@dataclass(frozen=True, slots=True)
class RunToml:
    """The settings of a run.

    Attributes:
        folder: The run's folder.
    """

    folder: Path

    @property
    def path(self) -> Path:
        """`run.toml`."""
        return self.folder / "run.toml"

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Keep other processes from changing `run.toml` for a moment.

        Raises:
            ConfigError: The folder can't be written to.
        """
        try:
            lock = open_file(self.folder / "settings.lock", os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise no_folder(self.folder, error) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def begin(
        self,
        config: Config,
        questions: str,
        digest: str,
        version: str,
        *,
        shards: int,
        date: datetime.date | None = None,
    ) -> datetime.date:
        """Start a run in this folder.

        Args:
            config: The settings.
            questions: The source of the questions.
            digest: The digest of the questions.
            version: tessy's version.
            shards: The number of shards.
            date: The date of its first start; by default this is the first.

        Returns:
            The date of its first start.

        Raises:
            ConfigError: The folder can't be written to.
        """
        date = date or datetime.datetime.now(datetime.UTC).date()
        run = {
            "questions": questions,
            "digest": digest,
            "date": date,
            "version": version,
            "shards": shards,
        }
        self._write(tomli_w.dumps({"run": run, **without_none(config.identity())}))
        return date

    def identity(self) -> str:
        """What all shards of the run share, in short: a digest of settings, questions and date.

        Raises:
            RunMismatch: `run.toml` can't be read.
        """
        there = read_settings(self.path)
        run = there.get("run", {})
        for name in ("questions", "version", "models"):  # may change, or come later
            run.pop(name, None)
        return hashlib.sha256(tomli_w.dumps(there).encode()).hexdigest()

    def _refuse_another_kind(self, there: dict[str, Any], config: Config) -> None:
        """Refuse to evaluate in the folder of a run, or the other way round.

        Raises:
            RunMismatch: The folder holds the other kind.
        """
        was, wanted = (evaluated_model(each) for each in (there, config.identity()))
        if (was is None) != (wanted is None):
            holds = "a run of tessy synth" if was is None else f"an evaluation of {was}"
            raise RunMismatch(f"{self.folder} holds {holds}", hint=OTHER_OUT)

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
        there = read_settings(self.path)
        self._refuse_another_kind(there, config)
        run = there.pop("run", {})
        different = differences(there, without_none(config.identity()))
        if run.get("digest") != digest:
            known, hint = run.get("questions"), "give its questions"
            said = f"the questions: {known} then, {questions} now"
            if known == questions:
                said = (
                    f"the questions: {questions} had other rows then, or another --question-column"
                )
                hint = "put its questions back as they were"
            if not different:
                raise RunMismatch(
                    f"{self.folder} holds a run of other questions:\n  {said}",
                    hint=f"start again in another folder (--out), or {hint}",
                )
            different.append(said)
        refuse_others(self.folder, different, "run")
        date = run.get("date")
        if not isinstance(date, datetime.date):
            raise RunMismatch(f"{self.path} has no date", hint="give another --out")
        return date

    def same_models(self, names: dict[str, str]) -> None:
        """Make sure that the models are those that the run was started with.

        Args:
            names: The served models' names, by role.

        Raises:
            RunMismatch: A different model is served now.
        """
        with self.changing():
            there = read_settings(self.path)
            known = there.setdefault("run", {}).setdefault("models", names)
            self.refuse_other_models(known, names)
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
                f"{self.folder} holds a run with other models:\n  " + "\n  ".join(different),
                hint="start again in another folder (--out), or serve the models of that run",
            )

    def _write(self, settings: str) -> None:
        try:
            write_atomically(self.path, settings.encode())
        except OSError as error:
            raise ConfigError(
                f"{self.path} can't be written: {error.strerror}", hint="give another --out"
            ) from None

    def shard_count(self) -> int | None:
        """How many shards the run has; None before it was started.

        Raises:
            RunMismatch: `run.toml` can't be read.
        """
        if not self.path.exists():
            return None
        count: int = read_settings(self.path).get("run", {}).get("shards", 1)
        return count

    def models(self) -> dict[str, str]:
        """The names of the run's models, by role; empty before they were first opened.

        Raises:
            RunMismatch: `run.toml` can't be read.
        """
        found: dict[str, str] = read_settings(self.path).get("run", {}).get("models", {})
        return found

    def samples_per_question(self) -> int:
        """How many samples each question has; 1 if `run.toml` can't be read."""
        with suppress(RunMismatch):
            found = read_settings(self.path).get("samples_per_question", 1)
            return found if type(found) is int and found > 0 else 1
        return 1

    def evaluated(self) -> str | None:
        """The model that `tessy eval` measures in this run; None if that did not write it."""
        with suppress(RunMismatch):  # the samples can be shown without
            return evaluated_model(read_settings(self.path))
        return None

    def verifier(self) -> str | None:
        """The verifier that the run names; None if it names none, or can't be read."""
        with suppress(RunMismatch):
            found = read_settings(self.path).get("verify")
            return found if isinstance(found, str) else None
        return None

    def method(self) -> str:
        """The run's method, with `answer_by` if that is not the student.

        Raises:
            RunMismatch: `run.toml` can't be read.
        """
        there = read_settings(self.path)
        method, answers = str(there.get("method", "?")), there.get("answer_by", Role.STUDENT)
        return method if answers == Role.STUDENT else f"{method}, answer_by {answers}"
