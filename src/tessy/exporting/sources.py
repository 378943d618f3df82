"""Reads the samples of runs, and of data sets that tessy wrote, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessy.data.remote import RemotePath, is_url, shown_url
from tessy.data.rows import rows
from tessy.errors import DataError
from tessy.exporting.samples import ExportSample, check
from tessy.runs.folder import RunFolder
from tessy.runs.reader import JournalReader
from tessy.runs.remote import reading


@dataclass(frozen=True, slots=True)
class ExportSource:
    """A run, or a data set of records.

    Attributes:
        given: Its name, as the user gave it.
        run: The run's folder; None for a data set.
    """

    given: str
    run: RunFolder | None = None

    @property
    def name(self) -> str:
        """Its name without folders of this machine."""
        return (
            Path(self.given).resolve().name if Path(self.given).exists() else shown_url(self.given)
        )

    def samples(self) -> Iterator[ExportSample]:
        """Read the samples; of a run that is under way, those that are finished.

        Raises:
            DataError: A line is no record.
            JournalError: The run's journal can't be read.
        """
        for where, row in self._rows():
            try:
                yield check(row)
            except ValueError as error:
                raise DataError(
                    f"{where}: {error}",
                    hint="an export reads runs, and data sets that tessy wrote: docs/record.md",
                ) from None

    def _rows(self) -> Iterator[tuple[str, Any]]:
        if self.run:
            with JournalReader(self.run) as reader:
                for number, record in enumerate(reader.records(), 1):
                    yield f"{self.given}: sample {number}", record
            return
        yield from rows(self.given, what="data sets")


def find_source(given: str) -> ExportSource:
    """Find a run's folder, or a file or data set of records.

    Raises:
        DataError: There is no such thing.
        JournalError: The run's journal can't be read.
    """
    path = Path(given)
    if is_url(given) and RemotePath(f"{given.rstrip('/')}/run.toml").info() is not None:
        path = reading(given)
    if not path.is_dir():
        next(rows(given, what="data sets"), None)
        return ExportSource(given)
    folder = RunFolder(path)
    if not folder.started_shards():
        raise DataError(
            f"{path} is no run: it has no shards with a journal",
            hint="give a run's folder, or a file of records such as RUN/dataset.jsonl",
        )
    with JournalReader(folder):
        return ExportSource(given, folder)
