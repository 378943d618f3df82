"""Serves the pages of runs on the loopback.

/TOKEN/                      the runs, with those that have begun; to the only one, if no more can
/TOKEN/compare?sample=ID     a sample of several runs, side by side
/TOKEN/view.css …            files of our own
/TOKEN/0/                    the list of the first run, filtered by its query string
/TOKEN/0/sample?sample=ID    a sample
/TOKEN/0/words?sample=ID     the words of its thinking, to correct boundaries
/TOKEN/0/review …            what a reader decided: forms
/TOKEN/0/events              how far the run is, as server-sent events
/open/TICKET                 once: to the runs; what a browser is started with
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from tessy.errors import ViewError
from tessy.report.viewer.access import AccessControl, add_headers
from tessy.report.viewer.files import FILES
from tessy.report.viewer.handlers import Handlers
from tessy.report.viewer.served import ViewedRuns
from tessy.runs.reviews import MOST_COMMENT

HOST = "127.0.0.1"
_MOST_BYTES = 1 << 20
"""Of a form: boundaries of a long thinking take most."""
assert MOST_COMMENT * 12 < _MOST_BYTES  # as a form sends it


@dataclass(frozen=True, slots=True)
class Site:
    """Where the pages are.

    Attributes:
        url: The address of the list, or of the list of runs, with the token.
        ticket_url: Leads there once.
    """

    url: str
    ticket_url: str


@asynccontextmanager
async def serving(runs: ViewedRuns, port: int = 0) -> AsyncIterator[Site]:
    """Serve the pages of runs while the context is open.

    Args:
        runs: At least one.
        port: Where; 0 for a port that is free.

    Raises:
        ViewError: The port is taken, or an index can't be kept.
    """
    access = AccessControl()
    runner = web.AppRunner(_app(runs, access), shutdown_timeout=1, access_log=None)
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
        first = "0/" if runs.single else ""
        yield Site(f"{base}/{access.token}/{first}", f"{base}/open/{access.ticket}")
    finally:
        await runner.cleanup()


def _app(runs: ViewedRuns, access: AccessControl) -> web.Application:
    handlers = Handlers(runs, access)
    app = web.Application(
        middlewares=[access.middleware, handlers.errors], client_max_size=_MOST_BYTES
    )
    app.on_response_prepare.append(add_headers)
    app.on_startup.append(lambda _: runs.start())
    app.on_shutdown.append(lambda _: runs.close())  # ends the streams, which are waited for
    of = "/{token}/{run:[0-9]{1,4}}"
    app.add_routes(
        [
            web.get("/open/{ticket}", handlers.open),
            web.get("/{token}", handlers.home),
            web.get("/{token}/", handlers.runs),
            web.get("/{token}/compare", handlers.compare),
            web.get(f"{of}/", handlers.samples),
            web.get(f"{of}/sample", handlers.sample),
            web.get(f"{of}/words", handlers.words),
            web.post(f"{of}/review", partial(handlers.decide, "review")),
            web.post(f"{of}/boundaries", partial(handlers.decide, "boundaries")),
            web.get(f"{of}/events", handlers.events),
            web.get(f"/{{token}}/{{file:{'|'.join(map(re.escape, FILES))}}}", handlers.file),
        ]
    )
    return app
