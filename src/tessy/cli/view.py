"""`tessy view`: shows a run's samples in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field

from tessy.cli.options import command
from tessy.settings import Option, StrictSettings


class ViewOptions(StrictSettings):
    """Options of `tessy view`."""

    run: Annotated[Path, Option(argument=True)]
    """The run's folder."""
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

    from tessy.display import visible
    from tessy.event_loop import leave_closed_terminal, run_loop, stopping_signals
    from tessy.report.viewer.server import serving
    from tessy.runs.folder import RunFolder

    async def main() -> None:
        stopped, loop = asyncio.Event(), asyncio.get_running_loop()

        def stop() -> None:
            leave_closed_terminal()
            stopped.set()

        for number in stopping_signals():
            loop.add_signal_handler(number, stop)
        async with serving(RunFolder(options.run), options.port) as site:
            typer.echo(f"{visible(str(options.run))} is shown at {site.url}")
            typer.echo("Ctrl-C stops it; the address contains a key: don't share it", err=True)
            if not options.no_open:
                with contextlib.suppress(webbrowser.Error):
                    await asyncio.to_thread(webbrowser.open, site.ticket_url)
            await stopped.wait()

    run_loop(main())
