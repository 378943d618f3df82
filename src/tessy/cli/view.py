"""`tessy view`: a run's samples as pages in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def view(
    run: Annotated[Path, typer.Argument(help="The run's folder.")],
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on the loopback; by default a free one.")
    ] = 0,
    no_open: Annotated[bool, typer.Option("--no-open", help="Start no browser.")] = False,
) -> None:
    """Look at a run's samples in a browser, also while the run goes on; Ctrl-C ends it."""
    import asyncio
    import contextlib
    import signal
    import webbrowser

    from tessy.event_loop import run_loop
    from tessy.report.viewer.server import serving
    from tessy.runs.folder import RunFolder

    async def main() -> None:
        stopped, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopped.set)
        async with serving(RunFolder(run), port) as site:
            typer.echo(f"{run} is shown at {site.url}")
            typer.echo("Ctrl-C ends it; the address holds a key, so share it with nobody", err=True)
            if not no_open:
                with contextlib.suppress(webbrowser.Error):
                    await asyncio.to_thread(webbrowser.open, site.ticket_url)
            await stopped.wait()

    run_loop(main())
