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
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from tessy.display import Say
from tessy.event_loop import cancel_all
from tessy.report.viewer.access import is_local
from tessy.serving.choices import WrittenChoice
from tessy.serving.metrics import CONTENT_TYPE
from tessy.serving.names import named
from tessy.serving.refusals import OF_SERVER, ApiError, bug
from tessy.serving.requests import ServedRequest, chat_request, prompt_request
from tessy.serving.responses import ResponseWriter, model_entry
from tessy.serving.service import PreparedRequest, Service
from tessy.serving.streaming import ENDED, EventResponse

LARGEST_BODY = 16 * 2**20
_CLIENT_LEFT = 499
_KINDS = {404: "not_found_error", 405: "invalid_request_error", 413: "invalid_request_error"}
_JSON = "application/json"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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
        await cancel_all([*self._running])

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
            status = request.get(ENDED, response.status)
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
            return _error(bug(error, self._say))
        finally:
            self._running.discard(task)
            if not self._running:
                self._idle.set()
            resource = request.match_info.route.resource
            endpoint = resource.canonical if resource else "other"
            self._service.metrics.ended(endpoint, status, time.monotonic() - began)

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
        return await self._respond(http, chat_request)

    async def _prompt(self, http: web.Request) -> web.StreamResponse:
        return await self._respond(http, prompt_request)

    async def _respond(
        self, http: web.Request, read: Callable[[bytes], ServedRequest]
    ) -> web.StreamResponse:
        if self.draining:
            said = "this server is being stopped: it takes no more requests"
            raise ApiError(503, said, kind=OF_SERVER, code="draining", retry_after_s=5)
        if http.content_type != _JSON:
            said = f"Content-Type must be {_JSON}, not {http.content_type:.100}"
            raise ApiError(415, said, code="unsupported_media_type")
        request = read(await http.read())
        prepared = self._service.prepare(request)
        writer = ResponseWriter(request, prepared.id, int(time.time()))
        with self._service.admission.admit(len(prepared.choices)):
            if request.stream:
                return await EventResponse(self._service, prepared, writer, self._say).send(http)
            return _json(writer.body(await self._written(prepared)))

    async def _written(self, prepared: PreparedRequest) -> list[WrittenChoice]:
        """All choices of a response; the first error ends the others."""
        work = [self._service.write(prepared, each) for each in prepared.choices]
        tasks = [asyncio.create_task(each) for each in work]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            await cancel_all(tasks)


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
    code = error.reason.lower().replace(" ", "_")  # `not_found`, `method_not_allowed`
    return ApiError(error.status, said, kind=_KINDS.get(error.status, OF_SERVER), code=code)
