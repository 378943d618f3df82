"""`tessy view`: shows the samples of runs in a browser."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import Field

from tessy.cli.options import command
from tessy.settings.definitions import Location, Option, StrictSettings


class ViewOptions(StrictSettings):
    """Options of `tessy view`."""

    runs: Annotated[tuple[Location, ...], Option(argument=True)]
    """A run's folder, or its URL; or a folder with runs in it. Several are shown side by side."""
    port: Annotated[int, Option(unset="a free one")] = Field(default=0, ge=0, le=65535)
    """Port on the loopback interface."""
    no_open: Annotated[bool, Option()] = False
    """Do not open a browser."""
    read_only: Annotated[bool, Option()] = False
    """Samples can't be accepted, rejected or corrected."""


@command()
def view(options: ViewOptions) -> None:
    """Show the samples of runs in a browser, even while they are active; Ctrl-C stops the server.

    What you accept, reject, comment or correct is kept in the run's folder.
    """
    import asyncio
    import contextlib
    import webbrowser

    from tessy.data.remote import is_url
    from tessy.display import visible
    from tessy.errors import JournalError, RemoteError
    from tessy.event_loop import leave_closed_terminal, run_loop, stopping_signals
    from tessy.report.viewer.served import ViewedRuns
    from tessy.report.viewer.server import serving
    from tessy.runs.remote import UPLOAD_S, reading

    async def main() -> None:
        stopped, loop = asyncio.Event(), asyncio.get_running_loop()

        def stop() -> None:
            leave_closed_terminal()
            stopped.set()

        for number in stopping_signals():
            loop.add_signal_handler(number, stop)
        async with serving(runs, options.port) as site:
            named = visible(str(options.runs[0]))
            what = f"{named} is" if len(runs) == 1 else f"{len(runs)} runs are"
            typer.echo(f"{what} shown at {site.url}")
            typer.echo("Ctrl-C stops it; the address contains a key: don't share it", err=True)
            if not options.no_open:
                with contextlib.suppress(webbrowser.Error):
                    await asyncio.to_thread(webbrowser.open, site.ticket_url)
            refreshing = asyncio.create_task(refresh())
            await stopped.wait()
            refreshing.cancel()

    async def refresh() -> None:
        while any(map(is_url, options.runs)):  # what was uploaded meanwhile
            await asyncio.sleep(UPLOAD_S)
            for run in filter(is_url, options.runs):
                with contextlib.suppress(RemoteError, JournalError):
                    await asyncio.to_thread(reading, run)

    places = [(run, reading(run), is_url(run)) for run in options.runs]
    runs = ViewedRuns(places, read_only=options.read_only)
    run_loop(main())
