"""`tessy export`: converts a run into data for a training tool."""

from __future__ import annotations

from typing import Annotated

from tessy.cli.options import CommandOptions, command
from tessy.exporting.settings import ExportSettings
from tessy.settings.definitions import Location, Option


class ExportOptions(CommandOptions):
    """Options of `tessy export`."""

    runs: Annotated[tuple[str, ...], Option(argument=True)]
    """A run's folder, even while the run is active; or records: a `dataset.jsonl`, Parquet that
    `tessy export` wrote, or a Hugging Face data set. Several are combined."""
    out: Annotated[Location, Option()]
    """A new folder."""
    force: Annotated[bool, Option()] = False
    """Overwrite an earlier export."""


@command()
def export(options: ExportOptions, settings: ExportSettings) -> None:
    """Export a data set in the format of a training tool.

    `dropped.jsonl` lists the samples that a filter dropped, each with its reason: kept + dropped =
    read.
    """
    from tessy.exporting.job import export

    export(options.runs, out=options.out, config=settings, force=options.force, say=options.say)
