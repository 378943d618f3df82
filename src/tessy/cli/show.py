"""`tessy show`: a run's trajectories in two colours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field
from rich.console import Console

from tessy.cli.options import command
from tessy.settings import Option, StrictSettings


class ShowOptions(StrictSettings):
    """What is shown."""

    run: Annotated[Path, Option(argument=True)]
    """The run's folder."""
    sample: Annotated[str | None, Option(argument=True, unset="a list of samples")] = None
    """A sample's id."""
    discarded: Annotated[bool, Option()] = False
    """Show what was discarded, struck through."""
    limit: Annotated[int, Option()] = Field(default=20, ge=1)
    """Longest list."""


@command()
def show(options: ShowOptions) -> None:
    """Show a sample: who wrote what; `--discarded` adds what was rolled back, where it was."""
    from tessy.cli.paint import paint_list, paint_sample

    console = Console()
    if options.sample is None:
        paint_list(console, options.run, options.limit)
    else:
        paint_sample(console, options.run, options.sample, discarded=options.discarded)
