"""`tessy show`: shows a run's trajectories in two colours."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from rich.console import Console

from tessy.cli.options import command
from tessy.settings.definitions import Location, Option, StrictSettings


class ShowOptions(StrictSettings):
    """Options of `tessy show`."""

    run: Annotated[Location, Option(argument=True)]
    """The run's folder, or its URL."""
    sample: Annotated[str | None, Option(argument=True, unset="a list of samples")] = None
    """A sample's id."""
    discarded: Annotated[bool, Option()] = False
    """Also show discarded text, struck through."""
    whole: Annotated[bool, Option()] = False
    """Show the whole of a long question."""
    limit: Annotated[int, Option()] = Field(default=20, ge=1)
    """The maximum number of samples to list."""
    status: Annotated[str | None, Option(unset="all")] = None
    """List only samples that are `finished`, `failed` or `running`, or failed for this reason, such
    as `rejected`."""
    verdict: Annotated[str | None, Option(unset="all")] = None
    """List only samples with this verdict: `right`, `wrong`, `no_answer`, `error` or
    `unverified`."""


@command()
def show(options: ShowOptions) -> None:
    """Show who wrote what in a sample; `--discarded` adds the text that was rolled back."""
    from tessy.cli.listing import paint_list
    from tessy.cli.paint import paint_sample
    from tessy.data.remote import is_place_at_url
    from tessy.report.viewer.filters import Filter
    from tessy.runs.remote import reading

    wanted = Filter.parse({"status": options.status or "", "verdict": options.verdict or ""})
    console, run, remote = Console(), reading(options.run), is_place_at_url(options.run)
    if options.sample is None:
        paint_list(console, run, wanted, options.limit, remote=remote)
    else:
        paint_sample(
            console,
            run,
            options.sample,
            discarded=options.discarded,
            whole=options.whole,
            remote=remote,
        )
