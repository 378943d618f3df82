"""`tessy merge`: writes the data set of a run whose shards were written apart."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tessy.cli.options import command
from tessy.settings import Option, StrictSettings


class MergeOptions(StrictSettings):
    """Options of `tessy merge`."""

    run: Annotated[Path, Option(argument=True)]
    """The run's folder."""
    partial: Annotated[bool, Option()] = False
    """Merge what is there, also if shards are missing or not finished."""


@command()
def merge(options: MergeOptions) -> None:
    """Write the data set of a run whose shards were written by `tessy synth --shard`."""
    from tessy.display import visible_line
    from tessy.runs.merge import merge as merge_run

    found = merge_run(options.run, partial=options.partial)
    failed = f", {sum(found.failed.values()):,} failed" if found.failed else ""
    of = f" of {found.count:,}" if found.shards < found.count else ""
    typer.echo(
        f"{found.finished:,} samples{failed} from {found.shards:,}{of} shards: "
        f"{visible_line(str(found.dataset))}"
    )
