"""A response as server-sent events, while it is written."""

from __future__ import annotations

import asyncio
import time

from aiohttp import web

from tessy.display import Say
from tessy.event_loop import cancel_all
from tessy.method.trajectory import Part
from tessy.serving.choices import WrittenChoice
from tessy.serving.live import LiveText
from tessy.serving.refusals import ApiError, bug
from tessy.serving.requests import AskedChoice
from tessy.serving.responses import DONE, STILL_HERE, ResponseWriter, error_event
from tessy.serving.service import PreparedRequest, Service

HEARTBEAT_S = 15.0
SEND_S = 120.0
"""A client that takes nothing for so long has left."""
ENDED = web.RequestKey("ended", int)
"""The status of a request whose stream had begun before it was known."""
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would hold events back
}
StreamEvent = tuple[int, Part, str] | WrittenChoice | ApiError
"""More text of a choice, its end, or an error that ends the stream."""


class EventResponse:
    """A response as server-sent events, while it is written.

    Nothing is sent before there is something to say, so that an early error has its status.

    Args:
        service: Writes it.
        prepared: What the client asks for.
        writer: Makes the events.
        say: Shows what an operator should know.
    """

    def __init__(
        self,
        service: Service,
        prepared: PreparedRequest,
        writer: ResponseWriter,
        say: Say,
    ) -> None:
        self._service = service
        self._say = say
        self._prepared = prepared
        self._writer = writer
        self._events: asyncio.Queue[StreamEvent] = asyncio.Queue()
        self._ended: list[WrittenChoice] = []
        self._error: ApiError | None = None

    async def send(self, http: web.Request) -> web.StreamResponse:
        """Send it.

        Args:
            http: The request.

        Raises:
            ApiError: It failed before anything was sent.
            ConnectionError: The client has left, or takes nothing.
        """
        began, told = time.monotonic(), False
        choices = self._prepared.choices
        tasks = [asyncio.create_task(self._write(each)) for each in choices]
        response = web.StreamResponse(headers=_HEADERS)
        try:
            while self._error is None and len(self._ended) < len(choices):
                events = await self._next()
                sent = b"".join(map(self._event, events)) or STILL_HERE
                if self._error is not None and not response.prepared:
                    raise self._error
                if not response.prepared:
                    await response.prepare(http)
                if not told and any(isinstance(event, tuple) for event in events):
                    told = True
                    self._service.metrics.first_text(time.monotonic() - began)
                await _send(http, response, sent)
        finally:
            await cancel_all(tasks)
        if self._error is not None:
            http[ENDED] = self._error.status
        else:
            await _send(http, response, self._last())
        await response.write_eof()
        return response

    async def _next(self) -> list[StreamEvent]:
        """The events that are there; none if it took long for one to come."""
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                found = [await self._events.get()]
        except TimeoutError:
            return []
        while not self._events.empty():
            found.append(self._events.get_nowait())
        return found

    def _event(self, event: StreamEvent) -> bytes:
        """What is to be sent: nothing after an error."""
        if self._error is not None:
            return b""
        if isinstance(event, tuple):
            return self._writer.delta(*event)
        if isinstance(event, ApiError):
            self._error = event
            return error_event(event)
        self._ended.append(event)
        return self._writer.end(event)

    def _last(self) -> bytes:
        ended = sorted(self._ended, key=lambda choice: choice.index)
        usage = self._writer.usage(ended) if self._prepared.request.include_usage else b""
        return usage + DONE

    async def _write(self, asked: AskedChoice) -> None:
        """Write a choice, and put what is to be sent of it into the queue."""

        def send(part: Part, text: str) -> None:
            self._events.put_nowait((asked.index, part, text))

        live = LiveText(send)
        try:
            choice = await self._service.write(self._prepared, asked, live)
            live.finish(choice.texts)
            self._events.put_nowait(choice)
        except ApiError as error:
            self._events.put_nowait(error)
        except Exception as error:
            self._events.put_nowait(bug(error, self._say))


async def _send(http: web.Request, response: web.StreamResponse, sent: bytes) -> None:
    """Send a part of a stream.

    Raises:
        ConnectionError: The client has left, or takes nothing.
    """
    try:
        async with asyncio.timeout(SEND_S):
            await response.write(sent)
    except TimeoutError:
        if http.transport is not None:
            http.transport.abort()
        raise ConnectionError("the client takes nothing") from None
