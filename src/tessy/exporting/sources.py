"""Reads the samples of runs, and of data sets that tessy wrote, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tessy.data.remote import shown_url
from tessy.errors import ConfigError, DataError
from tessy.exporting.samples import ExportSample, check
from tessy.runs.folder import RunFolder
from tessy.runs.missing import no_run
from tessy.runs.records import lacking_in, rows_of, run_in
from tessy.runs.reviews import Review, read_reviews


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

    @property
    def is_evaluation(self) -> bool:
        """Whether `tessy eval` wrote it."""
        return self.run is not None and self.run.run_toml.evaluated() is not None

    def lacking(self) -> str | None:
        """What a run has not yet, or the data set in its folder, in a phrase; None if nothing.

        Raises:
            JournalError: The run's journal can't be read.
        """
        return lacking_in(self.given)

    def reviews(self) -> dict[str, Review]:
        """What readers decided about its samples, by id.

        Raises:
            ConfigError: It is a data set: reviews are in a run's folder.
            JournalError: They can't be read.
        """
        if self.run is None:
            raise ConfigError(
                f"{self.given} has no reviews, which --accepted needs",
                hint="give the run's folder, in which `tessy view` keeps them",
            )
        return read_reviews(self.run.path)

    def samples(self) -> Iterator[ExportSample]:
        """Read the samples; of a run that is under way, those that are finished.

        Raises:
            DataError: A line is no record.
            JournalError: The run's journal can't be read.
        """
        for where, row in rows_of(self.given, what="data sets"):
            try:
                yield check(row)
            except ValueError as error:
                raise DataError(
                    f"{where}: {error}",
                    hint="an export reads runs, and data sets that tessy wrote: docs/record.md",
                ) from None


def find_source(given: str) -> ExportSource:
    """Find a run's folder, or a file or data set of records.

    Raises:
        DataError: There is no such thing.
        JournalError: The run's journal can't be read.
    """
    run = run_in(given)
    if run is None and Path(given).is_dir():
        what, hint = no_run(Path(given))
        records = "give a run's folder, or a file of records such as RUN/dataset.jsonl"
        raise DataError(what, hint=hint or records)
    next(rows_of(given, what="data sets"), None)
    return ExportSource(given, run)
