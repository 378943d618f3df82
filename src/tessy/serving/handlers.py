"""What each address answers.

    POST /v1/chat/completions   a chat
    POST /v1/completions        prompts, each as one message of the user
    GET  /v1/models             the models that can be named, the server's own method first
    GET  /health                200; 503 while the server drains
    GET  /metrics               for Prometheus

A client that leaves cancels its handler (aiohttp's `handler_cancellation`), and that cancels the
samples: their streams are closed, so model servers stop at once.
"""

from __future__ import annotations

import asyncio
import secrets
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from tessy.display import Say
from tessy.method.trajectory import Part
from tessy.report.viewer.access import is_local
from tessy.serving.choices import WrittenChoice
from tessy.serving.live import LiveText
from tessy.serving.metrics import CONTENT_TYPE
from tessy.serving.names import named
from tessy.serving.refusals import OF_SERVER, ApiError, unexpected
from tessy.serving.requests import AskedChoice, ServedRequest, chat_request, prompt_request
from tessy.serving.responses import (
    DONE,
    STILL_HERE,
    ResponseWriter,
    error_event,
    model_entry,
)
from tessy.serving.service import PreparedRequest, Service

LARGEST_BODY = 16 * 2**20
HEARTBEAT_S = 15.0
_CLIENT_LEFT = 499
_ENDED = web.RequestKey("ended", int)
"""The status of a request whose stream had begun before it was known."""
_KINDS = {404: "not_found_error", 405: "invalid_request_error", 413: "invalid_request_error"}
_JSON = "application/json"
_STREAM_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would hold events back
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
StreamEvent = tuple[int, Part, str] | WrittenChoice | ApiError
"""More text of a choice, its end, or an error that ends the stream."""


class ApiHandlers:
    """Answers requests.

    Args:
        service: Writes responses.
        say: Shows what an operator should know.
        api_key: The key that `/v1` asks for; None for none.
        local: Requests must name this machine: it listens on the loopback, and pages of other
            sites must not reach it through a browser.

    Attributes:
        draining: No new request is answered.
        answering: Requests that are being answered.
    """

    def __init__(
        self, service: Service, say: Say, *, api_key: str | None = None, local: bool = False
    ) -> None:
        self._service = service
        self._say = say
        self._key = api_key
        self._local = local
        self._created = int(time.time())
        self.draining = False
        self._running: set[asyncio.Task[Any]] = set()
        self._idle = asyncio.Event()

    def app(self) -> web.Application:
        """The application."""
        app = web.Application(middlewares=[self._guard], client_max_size=LARGEST_BODY)
        app.add_routes(
            [
                web.post("/v1/chat/completions", self._chat),
                web.post("/v1/completions", self._prompt),
                web.get("/v1/models", self._models),
                web.get("/v1/models/{name:.+}", self._model),
                web.get("/health", self._health),
                web.get("/metrics", self._metrics),
            ]
        )
        return app

    @property
    def answering(self) -> int:
        """Requests that are being answered."""
        return len(self._running)

    async def drain(self) -> None:
        """Take no more requests, and wait until those that run have ended."""
        self.draining = True
        self._idle.clear()
        if self._running:
            await self._idle.wait()

    async def close(self) -> None:
        """End the requests that are being answered, as if their clients had left."""
        self.draining = True
        await _cancelled([*self._running])

    # --- Every request ----------------------------------------------------------------------

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count a request, ask for the key, and turn whatever goes wrong into OpenAI's errors."""
        began, status = time.monotonic(), _CLIENT_LEFT
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            self._check(request)
            response = await handler(request)
            status = request.get(_ENDED, response.status)
            return response
        except ApiError as error:
            status = error.status
            return _error(error)
        except web.HTTPException as error:
            status = error.status
            return _error(_of_http(error, request))
        except ConnectionError:  # the client left while it was written to
            return web.Response()
        except Exception as error:
            status = 500
            return _error(_bug(error, self._say))
        finally:
            self._running.discard(task)
            if not self._running:
                self._idle.set()
            writes = request.method == "POST" and status not in (401, 403, 404, 405)
            resource = request.match_info.route.resource
            endpoint = resource.canonical if resource else "other"
            taken = time.monotonic() - began if writes else None
            self._service.metrics.ended(endpoint, status, taken)

    def _check(self, request: web.Request) -> None:
        host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
        if self._local and self._key is None and not is_local(host, origin):
            said = "this server answers this machine only, as 127.0.0.1 or localhost"
            raise ApiError(403, said, kind="permission_error", code="not_local")
        if self._key is None or not request.path.startswith("/v1"):
            return
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        sent = given.strip().encode("utf-8", "surrogateescape")
        same = secrets.compare_digest(sent, self._key.encode())
        if scheme.lower() != "bearer" or not same:
            said = "the API key is missing or wrong: send Authorization: Bearer KEY"
            raise ApiError(401, said, kind="authentication_error", code="invalid_api_key")

    # --- Small answers ----------------------------------------------------------------------

    async def _health(self, request: web.Request) -> web.StreamResponse:
        status = "draining" if self.draining else "ok"
        return _json({"status": status}, 503 if self.draining else 200)

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        text = self._service.metrics.text()
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})

    async def _models(self, request: web.Request) -> web.StreamResponse:
        data = [self._entry(name) for name in self._service.models]
        return _json({"object": "list", "data": data})

    async def _model(self, request: web.Request) -> web.StreamResponse:
        return _json(self._entry(request.match_info["name"]))

    def _entry(self, name: str) -> dict[str, Any]:
        served = named(name, self._service.models)
        return model_entry(served, self._created, self._service.context_tokens(served))

    # --- Responses --------------------------------------------------------------------------

    async def _chat(self, http: web.Request) -> web.StreamResponse:
        return await self._respond(http, chat_request, "chatcmpl")

    async def _prompt(self, http: web.Request) -> web.StreamResponse:
        return await self._respond(http, prompt_request, "cmpl")

    async def _respond(
        self, http: web.Request, read: Callable[[bytes], ServedRequest], prefix: str
    ) -> web.StreamResponse:
        if self.draining:
            said = "this server is being stopped: it takes no more requests"
            raise ApiError(503, said, kind=OF_SERVER, code="draining", retry_after_s=5)
        if http.content_type != _JSON:
            said = f"Content-Type must be {_JSON}, not {http.content_type:.100}"
            raise ApiError(415, said, code="unsupported_media_type")
        began = time.monotonic()
        request = read(await http.read())
        prepared = self._service.prepare(request)
        choices = list(request.choices())
        response_id = f"{prefix}-{secrets.token_hex(12)}"
        writer = ResponseWriter(request, response_id, int(time.time()))
        with self._service.admission.admit(len(choices)):
            if request.stream:
                streamed = _EventResponse(
                    self._service, prepared, choices, response_id, writer, self._say
                )
                return await streamed.answer(http, began)
            written = await self._written(prepared, choices, response_id)
            return _json(writer.body(written))

    async def _written(
        self, prepared: PreparedRequest, choices: list[AskedChoice], response_id: str
    ) -> list[WrittenChoice]:
        """All choices of a response; the first error ends the others."""
        work = [self._service.write(prepared, each, response_id) for each in choices]
        tasks = [asyncio.ensure_future(each) for each in work]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            await _cancelled(tasks)


class _EventResponse:
    """A response as server-sent events, while it is written.

    Nothing is sent before there is something to say, so that an early error has its status.

    Args:
        service: Writes it.
        prepared: What the client asks for.
        choices: Its choices.
        response_id: Its id.
        writer: Makes the events.
        say: Shows what an operator should know.
    """

    def __init__(
        self,
        service: Service,
        prepared: PreparedRequest,
        choices: list[AskedChoice],
        response_id: str,
        writer: ResponseWriter,
        say: Say,
    ) -> None:
        self._service = service
        self._say = say
        self._prepared = prepared
        self._choices = choices
        self._id = response_id
        self._writer = writer
        self._events: asyncio.Queue[StreamEvent] = asyncio.Queue()
        self._ended: list[WrittenChoice] = []
        self._error: ApiError | None = None

    async def answer(self, http: web.Request, began: float) -> web.StreamResponse:
        """Send it.

        Args:
            http: The request.
            began: When it arrived, by the monotonic clock.

        Raises:
            ApiError: It failed before anything was sent.
        """
        tasks = [asyncio.create_task(self._write(each)) for each in self._choices]
        response = web.StreamResponse(headers=_STREAM_HEADERS)
        told = False
        try:
            while self._error is None and len(self._ended) < len(self._choices):
                events = await self._next()
                sent = b"".join(map(self._event, events)) or STILL_HERE
                if self._error is not None and not response.prepared:
                    raise self._error
                if not response.prepared:
                    await response.prepare(http)
                if not told and any(isinstance(event, tuple) for event in events):
                    told = True
                    self._service.metrics.first_text(time.monotonic() - began)
                await response.write(sent)
        finally:
            await _cancelled(tasks)
        if self._error is not None:
            http[_ENDED] = self._error.status
        else:
            await response.write(self._last())
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
        if isinstance(event, tuple):
            return self._writer.delta(*event)
        if isinstance(event, ApiError):
            self._error = self._error or event
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
            choice = await self._service.write(self._prepared, asked, self._id, live)
            live.finish(choice.texts)
            self._events.put_nowait(choice)
        except ApiError as error:
            self._events.put_nowait(error)
        except Exception as error:
            self._events.put_nowait(_bug(error, self._say))


async def _cancelled(tasks: list[asyncio.Task[Any]]) -> None:
    """Cancel tasks that have not ended, and wait for their ends."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _bug(error: Exception, say: Say) -> ApiError:
    """The error for what nobody expected; the operator sees where it was."""
    say("".join(traceback.format_exception(error)))
    return unexpected(error)


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type=_JSON)


def _error(error: ApiError) -> web.Response:
    response = _json(error.body(), error.status)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def _of_http(error: web.HTTPException, request: web.Request) -> ApiError:
    """The error for what aiohttp refuses."""
    said = f"{request.method} {request.path:.200}: {error.reason}"
    if error.status == 413:
        said = f"the body is larger than {LARGEST_BODY // 2**20} MiB"
    return ApiError(error.status, said, kind=_KINDS.get(error.status, OF_SERVER))
