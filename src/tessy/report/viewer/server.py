"""Serves a run's pages on the loopback.

/TOKEN/                    the list, filtered by its query string
/TOKEN/sample?sample=ID    a sample
/TOKEN/events              how far the run is, as server-sent events
/TOKEN/view.css …          files of our own
/open/TICKET               once: to the list; what a browser is started with
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from tessy.errors import ViewError
from tessy.report.viewer.follow import Follower
from tessy.report.viewer.guard import Guard, add_headers
from tessy.report.viewer.handlers import FILES, Handlers
from tessy.runs.folder import RunFolder

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Site:
    """Where the pages are.

    Attributes:
        url: The list's address, with the token.
        ticket_url: Leads there once.
    """

    url: str
    ticket_url: str


@asynccontextmanager
async def serving(folder: RunFolder, port: int = 0) -> AsyncIterator[Site]:
    """Serve a run's pages while the context is open.

    Args:
        folder: The run's.
        port: Where; 0 for a port that is free.

    Raises:
        JournalError: There is no run.
        ViewError: The port is taken, or the index can't be kept.
    """
    guard = Guard()
    runner = web.AppRunner(_app(folder, guard), shutdown_timeout=1, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, HOST, port).start()
        except OSError as error:
            raise ViewError(
                f"port {port} can't be used: {error.strerror}",
                hint="leave --port out, and a free one is taken",
            ) from None
        base = f"http://{HOST}:{runner.addresses[0][1]}"
        yield Site(f"{base}/{guard.token}/", f"{base}/open/{guard.ticket}")
    finally:
        await runner.cleanup()


def _app(folder: RunFolder, guard: Guard) -> web.Application:
    follower = Follower(folder)
    site = Handlers(folder, follower, guard)
    app = web.Application(middlewares=[guard.middleware, site.complain])
    app.on_response_prepare.append(add_headers)
    app.on_startup.append(lambda _: follower.start())
    app.on_shutdown.append(lambda _: follower.close())  # ends the streams: they'd be waited for
    app.add_routes(
        [
            web.get("/open/{ticket}", site.open),
            web.get("/{token}", site.home),
            web.get("/{token}/", site.samples),
            web.get("/{token}/sample", site.sample),
            web.get("/{token}/events", site.events),
            web.get(f"/{{token}}/{{file:{'|'.join(FILES)}}}", site.file),
        ]
    )
    return app
