"""A run as a report reads it: its folder, its label, and its samples one at a time."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessy.config import VOTE
from tessy.data.files import is_there
from tessy.errors import InputError, JournalError
from tessy.report.figures.sample import ReportSample
from tessy.runs.folder import RunFolder
from tessy.runs.identity import evaluated_model, read_settings, student_tokenizer
from tessy.runs.reader import JournalReader

_CHOOSES = "teacher-score"
"""The method that writes several answers and keeps one, with a verifier a right one."""


@dataclass(frozen=True, slots=True)
class RunSource:
    """A run to be read.

    Attributes:
        folder: The run's.
        label: What the report calls the run; no other run has it.
        settings: The content of its `run.toml`.
    """

    folder: RunFolder
    label: str
    settings: Mapping[str, Any]

    @property
    def method(self) -> str:
        """How its samples were written, or which model was evaluated."""
        return _method(self.settings)

    @property
    def verifier(self) -> bool:
        """Whether it has one."""
        return bool(self.settings.get("verify"))

    @property
    def unverifiable(self) -> int:
        """How many of its questions lack what an answer is verified by.

        Raises:
            JournalError: The journal can't be read.
        """
        with JournalReader(self.folder) as reader:
            return reader.unverifiable()

    @property
    def attempts(self) -> int:
        """Among how many answers of a sample the verifier may have chosen."""
        found = [self.settings.get("attempts")]
        if self.settings.get("method") == _CHOOSES and self.verifier:
            found.append(self.settings.get("candidates"))
        if self.settings.get("route") == VOTE:  # each teacher has an attempt in each round
            found.append(len(self.settings.get("teachers", ())))
        return math.prod(number for number in found if type(number) is int)

    @property
    def evaluated(self) -> str | None:
        """The model that it is an evaluation of; None for another run."""
        return evaluated_model(self.settings)

    @property
    def student_tokenizer(self) -> str | None:
        """The tokenizer of its student: a folder, a Hugging Face id, or a model that ships."""
        return student_tokenizer(self.settings)

    @property
    def date(self) -> datetime.date:
        """Its date, for chat templates that name it."""
        run = self.settings.get("run")
        found = run.get("date") if isinstance(run, Mapping) else None
        return found if isinstance(found, datetime.date) else datetime.date(1970, 1, 1)

    def samples(self, *, failed: bool | None = None) -> Iterator[ReportSample]:
        """Samples that ended, in the order of the questions.

        Args:
            failed: Only failed or only finished ones; None for both.

        Raises:
            JournalError: The journal or a record in it can't be read.
        """
        several = self.settings.get("samples_per_question", 1) not in (0, 1)
        with JournalReader(self.folder) as reader:
            for entry in reader.ended(failed=failed):
                try:
                    yield ReportSample.read(entry, several=several)
                except (KeyError, TypeError, ValueError) as error:
                    raise JournalError(
                        f"{self.folder.path}: the record of {entry.id!r} can't be read: {error!r}"
                    ) from None


def open_runs(paths: Sequence[Path]) -> list[RunSource]:
    """The runs in some folders, each with a label of its own.

    Raises:
        InputError: A run is named twice.
        RunMismatch: A `run.toml` can't be read.
        JournalError: There is no run in a folder.
    """
    resolved = [path.resolve() for path in paths]
    for path in paths:
        if resolved.count(path.resolve()) > 1:
            raise InputError(f"{path} is named twice", hint="name each run once")
        with JournalReader(RunFolder(path)):
            pass  # it is a run
    settings = [_settings(RunFolder(path)) for path in paths]
    labels = [_label(own, path) for own, path in zip(settings, resolved, strict=True)]
    return [
        RunSource(
            folder=RunFolder(path),
            label=label if labels.count(label) == 1 else f"{_method(own)} ({path})",
            settings=own,
        )
        for path, label, own in zip(paths, labels, settings, strict=True)
    ]


def _label(settings: Mapping[str, Any], folder: Path) -> str:
    method = _method(settings)
    return method if method == folder.name else f"{method} ({folder.name})"


def _method(settings: Mapping[str, Any]) -> str:
    if (model := evaluated_model(settings)) is not None:
        return f"evaluation of {model}"
    return str(settings.get("method", "?"))


def _settings(folder: RunFolder) -> dict[str, Any]:
    try:
        if not is_there(folder.settings):
            return {}
    except OSError:
        pass  # what is there is named when it is read
    return read_settings(folder.settings)
