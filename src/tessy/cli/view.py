"""`tessy view`: shows a run's samples in a browser."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import Field

from tessy.cli.options import command
from tessy.settings import Location, Option, StrictSettings


class ViewOptions(StrictSettings):
    """Options of `tessy view`."""

    run: Annotated[Location, Option(argument=True)]
    """The run's folder, or its URL."""
    port: Annotated[int, Option(unset="a free one")] = Field(default=0, ge=0, le=65535)
    """Port on the loopback interface."""
    no_open: Annotated[bool, Option()] = False
    """Do not open a browser."""


@command()
def view(options: ViewOptions) -> None:
    """Show a run's samples in a browser, even while the run is active; Ctrl-C stops the server."""
    import asyncio
    import contextlib
    import webbrowser

    from tessy.data.remote import is_url
    from tessy.display import visible
    from tessy.errors import JournalError, RemoteError
    from tessy.event_loop import leave_closed_terminal, run_loop, stopping_signals
    from tessy.report.viewer.server import serving
    from tessy.runs.folder import RunFolder
    from tessy.runs.remote import UPLOAD_S, reading

    async def main() -> None:
        stopped, loop = asyncio.Event(), asyncio.get_running_loop()

        def stop() -> None:
            leave_closed_terminal()
            stopped.set()

        for number in stopping_signals():
            loop.add_signal_handler(number, stop)
        async with serving(RunFolder(run), options.port) as site:
            typer.echo(f"{visible(str(options.run))} is shown at {site.url}")
            typer.echo("Ctrl-C stops it; the address contains a key: don't share it", err=True)
            if not options.no_open:
                with contextlib.suppress(webbrowser.Error):
                    await asyncio.to_thread(webbrowser.open, site.ticket_url)
            refreshing = asyncio.create_task(refresh())
            await stopped.wait()
            refreshing.cancel()

    async def refresh() -> None:
        while is_url(options.run):  # what was uploaded meanwhile
            await asyncio.sleep(UPLOAD_S)
            with contextlib.suppress(RemoteError, JournalError):
                await asyncio.to_thread(reading, options.run)

    run = reading(options.run)
    run_loop(main())
