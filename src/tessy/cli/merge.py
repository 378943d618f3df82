"""`tessy merge`: writes the data set of a run whose shards were written apart."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import Field

from tessy.cli.options import command
from tessy.settings.definitions import Location, Option, StrictSettings


class MergeOptions(StrictSettings):
    """Options of `tessy merge`."""

    run: Annotated[Location, Option(argument=True)]
    """The run's folder, or its URL."""
    partial: Annotated[bool, Option()] = False
    """Merge what is there, also if shards are missing or not finished."""
    rows_per_file: Annotated[int | None, Option(unset="one dataset.jsonl")] = Field(
        default=None, ge=1
    )
    """Write Parquet files of so many samples: `dataset-00000.parquet` and so on."""


@command()
def merge(options: MergeOptions) -> None:
    """Write the data set of a run whose shards were written by `tessy synth --shard`."""
    from tessy.data.remote import is_url
    from tessy.display import count_of, visible_line
    from tessy.runs.dataset import told
    from tessy.runs.merge import merge as merge_run

    found = merge_run(options.run, partial=options.partial, rows_per_file=options.rows_per_file)
    place = f"{options.run}/{found.dataset.name}" if is_url(options.run) else str(found.dataset)
    if found.kept is not None:
        typer.echo(told(found.kept), err=True)
    failed = sum(found.failed.values())
    parts = f" = {found.finished:,} finished + {failed:,} failed," if failed else ""
    more = f" and {count_of(found.files - 1, 'more file')}" if found.files > 1 else ""
    of = f"{found.shards:,} of " if found.shards < found.count else ""
    typer.echo(
        f"{count_of(found.finished + failed, 'sample')}{parts} from {of}"
        f"{count_of(found.count, 'shard')}: {visible_line(place)}{more}"
    )
    if found.left_out:
        typer.echo(f"{count_of(found.left_out, 'more line')} of the questions left out")
    if found.failed and not found.finished:
        raise typer.Exit(1)
