"""`tessy show`: shows a run's trajectories in two colours."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from rich.console import Console

from tessy.cli.options import command
from tessy.settings import Location, Option, StrictSettings


class ShowOptions(StrictSettings):
    """Options of `tessy show`."""

    run: Annotated[Location, Option(argument=True)]
    """The run's folder, or its URL."""
    sample: Annotated[str | None, Option(argument=True, unset="a list of samples")] = None
    """A sample's id."""
    discarded: Annotated[bool, Option()] = False
    """Also show discarded text, struck through."""
    limit: Annotated[int, Option()] = Field(default=20, ge=1)
    """The maximum number of samples to list."""


@command()
def show(options: ShowOptions) -> None:
    """Show who wrote what in a sample; `--discarded` adds the text that was rolled back."""
    from tessy.cli.paint import paint_list, paint_sample
    from tessy.runs.remote import reading

    console, run = Console(), reading(options.run)
    if options.sample is None:
        paint_list(console, run, options.limit)
    else:
        paint_sample(console, run, options.sample, discarded=options.discarded)
