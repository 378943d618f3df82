"""Serves a run's pages on the loopback.

/TOKEN/                    the list, filtered by its query string
/TOKEN/sample?sample=ID    a sample
/TOKEN/events              how far the run is, as server-sent events
/TOKEN/view.css …          files of our own
/open/TICKET               once: to the list; what a browser is started with
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib import resources
from typing import Any

import orjson
from aiohttp import web

from tessy import palette
from tessy.errors import InputError, RunMismatch, TessyError, ViewError
from tessy.report.viewer.access import AccessControl, Handler, add_headers
from tessy.report.viewer.filters import Filter, Status, page_number
from tessy.report.viewer.pages import render
from tessy.report.viewer.sample import read_sample
from tessy.report.viewer.search import PAGE, Search
from tessy.report.viewer.updates import IndexUpdater
from tessy.runs.folder import RunFolder
from tessy.runs.reader import JournalReader
from tessy.runs.shard_reader import UnfinishedSample

HOST = "127.0.0.1"
FILES = {"view.css": "text/css", "view.js": "text/javascript", "icon.svg": "image/svg+xml"}
_ABOVE = 10
"""Samples under way that are shown above the first page of a list."""
_EVENT_EVERY_S = 0.5
_HEARTBEAT_S = 15.0


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
    access = AccessControl()
    runner = web.AppRunner(_app(folder, access), shutdown_timeout=1, access_log=None)
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
        yield Site(f"{base}/{access.token}/", f"{base}/open/{access.ticket}")
    finally:
        await runner.cleanup()


def _app(folder: RunFolder, access: AccessControl) -> web.Application:
    updater = IndexUpdater(folder)
    handlers = Handlers(folder, updater, access)
    app = web.Application(middlewares=[access.middleware, handlers.errors])
    app.on_response_prepare.append(add_headers)
    app.on_startup.append(lambda _: updater.start())
    app.on_shutdown.append(lambda _: updater.close())  # ends the streams, which are waited for
    app.add_routes(
        [
            web.get("/open/{ticket}", handlers.open),
            web.get("/{token}", handlers.home),
            web.get("/{token}/", handlers.samples),
            web.get("/{token}/sample", handlers.sample),
            web.get("/{token}/events", handlers.events),
            web.get(f"/{{token}}/{{file:{'|'.join(FILES)}}}", handlers.file),
        ]
    )
    return app


class Handlers:
    """What each address answers. Everything that reads from disk does so in a thread.

    Args:
        folder: The run's.
        updater: Of its index.
        access: Has the token.
    """

    def __init__(self, folder: RunFolder, updater: IndexUpdater, access: AccessControl) -> None:
        self._folder = folder
        self._updater = updater
        self._access = access
        self._search = Search(updater.index_path)

    async def open(self, request: web.Request) -> web.StreamResponse:
        """To the list, with the ticket; once."""
        if not self._access.use_ticket(request.match_info["ticket"]):
            raise web.HTTPForbidden(text="this address worked once: see the one in the terminal\n")
        raise web.HTTPSeeOther(f"/{self._access.token}/")

    async def home(self, request: web.Request) -> web.StreamResponse:
        """To the list, from an address without the last slash."""
        raise web.HTTPSeeOther(f"/{self._access.token}/")

    async def samples(self, request: web.Request) -> web.StreamResponse:
        """The list."""
        wanted, page = Filter.parse(request.query), page_number(request.query)
        return await asyncio.to_thread(self._samples, wanted, page)

    async def sample(self, request: web.Request) -> web.StreamResponse:
        """A sample; its id is `sample`, since `id` is a filter of the list around it."""
        wanted, sample_id = Filter.parse(request.query), request.query.get("sample", "")
        return await asyncio.to_thread(self._sample, wanted, sample_id)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """How far the run and the index are, whenever that changes."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        known = None
        while not self._updater.closed:
            state = await self._updater.change(known, _HEARTBEAT_S)
            line = ": still here" if state == known else f"data: {orjson.dumps(state).decode()}"
            try:
                await response.write(f"{line}\n\n".encode())
            except ConnectionError:  # the page is closed
                break
            known = state
            await asyncio.sleep(_EVENT_EVERY_S)
        return response

    async def file(self, request: web.Request) -> web.StreamResponse:
        """A file of our own."""
        name = request.match_info["file"]
        content = resources.files("tessy.report.viewer").joinpath("static", name).read_bytes()
        if name == "view.css":
            content = palette.css().encode() + content
        return web.Response(body=content, content_type=FILES[name], charset="utf-8")

    @web.middleware
    async def errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Make a page of an error."""
        try:
            return await handler(request)
        except TessyError as error:
            gone = not self._folder.started_shards()
            status = 410 if gone else 400 if isinstance(error, InputError) else 500
            return self._page("error", status, message=str(error), hint=error.hint)

    def _samples(self, wanted: Filter, page: int) -> web.Response:
        found = self._search.page(wanted, page)
        under_way = self._under_way(wanted, page)
        pages = max(1, -(-found.total // PAGE))
        if wanted.status is Status.RUNNING:
            pages = page + (len(under_way) == PAGE)
        method = None
        with suppress(RunMismatch):  # the samples can be shown without
            method = self._folder.method()
        return self._page(
            "samples",
            method=method,
            state=self._updater.state,
            wanted=wanted,
            page=page,
            pages=pages,
            found=found,
            under_way=under_way,
            statuses=self._search.statuses(),
        )

    def _under_way(self, wanted: Filter, page: int) -> Sequence[UnfinishedSample]:
        if wanted.needs_end:
            return ()
        with JournalReader(self._folder) as reader:
            if wanted.status is Status.RUNNING:
                return reader.unfinished(wanted.id, limit=PAGE, offset=(page - 1) * PAGE)
            if wanted.status is None and page == 1:
                return reader.unfinished(wanted.id, limit=_ABOVE)
        return ()

    def _sample(self, wanted: Filter, sample_id: str) -> web.Response:
        sample = read_sample(self._folder, sample_id)
        if sample is None:
            message = f"there is no sample {sample_id!r} in this run, or not yet"
            return self._page("error", 404, message=message, hint=None)
        beside = self._search.neighbours(wanted, sample_id)
        return self._page("sample", wanted=wanted, sample=sample, beside=beside)

    def _page(self, name: str, status: int = 200, **values: Any) -> web.Response:
        text = render(name, run=str(self._folder.path), **values)
        return web.Response(text=text, status=status, content_type="text/html")
