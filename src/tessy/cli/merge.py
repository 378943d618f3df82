"""`tessy merge`: writes the data set of a run whose shards were written apart."""

from __future__ import annotations

from typing import Annotated

import typer

from tessy.cli.options import command
from tessy.settings import Location, Option, StrictSettings


class MergeOptions(StrictSettings):
    """Options of `tessy merge`."""

    run: Annotated[Location, Option(argument=True)]
    """The run's folder."""
    partial: Annotated[bool, Option()] = False
    """Merge what is there, also if shards are missing or not finished."""


@command()
def merge(options: MergeOptions) -> None:
    """Write the data set of a run whose shards were written by `tessy synth --shard`."""
    from tessy.data.remote import is_url
    from tessy.display import visible_line
    from tessy.runs.merge import merge as merge_run

    found = merge_run(options.run, partial=options.partial)
    place = f"{options.run}/dataset.jsonl" if is_url(options.run) else str(found.dataset)
    failed = f", {sum(found.failed.values()):,} failed" if found.failed else ""
    of = f" of {found.count:,}" if found.shards < found.count else ""
    typer.echo(
        f"{found.finished:,} samples{failed} from {found.shards:,}{of} shards: "
        f"{visible_line(place)}"
    )
