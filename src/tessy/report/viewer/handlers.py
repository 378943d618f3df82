"""What each address answers. Whatever reads from disk does so in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from importlib import resources

import orjson
from aiohttp import web

from tessy.errors import InputError, RunMismatch, TessyError
from tessy.report.viewer import pages, trace
from tessy.report.viewer.filters import Filter, Status, page_number
from tessy.report.viewer.follow import Follower
from tessy.report.viewer.guard import Guard
from tessy.report.viewer.search import PAGE, Search
from tessy.runs.folder import RunFolder
from tessy.runs.reader import JournalReader, UnfinishedSample

FILES = {"view.css": "text/css", "view.js": "text/javascript", "icon.svg": "image/svg+xml"}
_ABOVE = 10
"""Samples under way that are shown above the first page of a list."""
_EVENT_EVERY_S = 0.5
_HEARTBEAT_S = 15.0
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Handlers:
    """The pages of one run.

    Args:
        folder: The run's.
        follower: Knows how far it is.
        guard: Knows the token.
    """

    def __init__(self, folder: RunFolder, follower: Follower, guard: Guard) -> None:
        self._folder = folder
        self._follower = follower
        self._guard = guard
        self._search = Search(follower.index_path)
        self._run = str(folder.path)

    async def open(self, request: web.Request) -> web.StreamResponse:
        """To the list, for whoever has the ticket; once."""
        if not self._guard.tear(request.match_info["ticket"]):
            raise web.HTTPForbidden(text="this address worked once: see the one in the terminal\n")
        raise web.HTTPSeeOther(f"/{self._guard.token}/")

    async def home(self, request: web.Request) -> web.StreamResponse:
        """To the list, for whoever left the last slash out."""
        raise web.HTTPSeeOther(f"/{self._guard.token}/")

    async def samples(self, request: web.Request) -> web.StreamResponse:
        """The list."""
        wanted, page = Filter.parse(request.query), page_number(request.query)
        return _html(await asyncio.to_thread(self._samples, wanted, page))

    async def sample(self, request: web.Request) -> web.StreamResponse:
        """A sample; its id is `sample`, since `id` is a filter of the list around it."""
        wanted, sample_id = Filter.parse(request.query), request.query.get("sample", "")
        found = await asyncio.to_thread(self._sample, wanted, sample_id)
        if found is None:
            message = f"there is no sample {sample_id!r} in this run, or not yet"
            return _html(pages.trouble(self._run, message, None), 404)
        return _html(found)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """How far the run and the index are, whenever that changes."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        known = None
        while not self._follower.closed:
            state = await self._follower.change(known, _HEARTBEAT_S)
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
        return web.Response(body=content, content_type=FILES[name], charset="utf-8")

    @web.middleware
    async def complain(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Make a page of an error."""
        try:
            return await handler(request)
        except TessyError as error:
            status = 400 if isinstance(error, InputError) else 500
            return _html(pages.trouble(self._run, str(error), error.hint), status)

    def _samples(self, wanted: Filter, page: int) -> str:
        listed = self._search.page(wanted, page)
        return pages.samples(
            self._run,
            self._method(),
            self._follower.state,
            wanted,
            page,
            listed,
            self._under_way(wanted, page),
            self._search.statuses(),
        )

    def _method(self) -> str | None:
        with suppress(RunMismatch):  # the samples can be shown without
            return self._folder.method()
        return None

    def _under_way(self, wanted: Filter, page: int) -> Sequence[UnfinishedSample]:
        if wanted.knows_endings:
            return ()
        with JournalReader(self._folder) as reader:
            if wanted.status is Status.RUNNING:
                return reader.unfinished(wanted.id, limit=PAGE, offset=(page - 1) * PAGE)
            if wanted.status is None and page == 1:
                return reader.unfinished(wanted.id, limit=_ABOVE)
        return ()

    def _sample(self, wanted: Filter, sample_id: str) -> str | None:
        found = trace.read(self._folder, sample_id)
        if found is None:
            return None
        beside = self._search.neighbours(wanted, sample_id)
        return pages.sample(self._run, self._follower.state, wanted, found, beside)


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/html")
