"""A completions server that behaves like vLLM and writes what a script says.

    server             HTTP: routes, keys, how many at once, aborts
      requests         what a client may ask, in general and of this server
      completions      one answer, whole or streamed: tokens → shown text
        tokens         script → tokens
          scripts      what is written; prompts: reading what is written so far
        stats          latency and counts
        engine         an engine's time: steps, prefix cache, API servers; engine_loop: by the clock
      faults           what goes wrong

Like vLLM: prompts of text or ids, `return_token_ids`, stop texts and tokens, usage with
`cached_tokens`, error bodies, `/tokenize`; a client that leaves stops the generation. Unlike it:
a request has one prompt and one answer (`n`, `best_of`, `echo`, `logprobs`, `suffix` get a 400),
and sampling parameters are checked but change nothing. There is no chat endpoint.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Self

import orjson
from aiohttp import web

from tessy.testing.completions import ScriptedCompletion, ScriptedModel, open_stream
from tessy.testing.engine import BLOCK_TOKENS, EngineTimes, KVCache
from tessy.testing.engine_loop import EngineLoop
from tessy.testing.faults import DrawnFault, Fault, Faults
from tessy.testing.requests import (
    BadRequest,
    CompletionRequest,
    DetokenizeRequest,
    RequestRules,
    TokenizeRequest,
)
from tessy.testing.scripts import Script
from tessy.testing.stats import Latency, ServerStats
from tessy.testing.tokens import IdTokenizer, PieceTokenizer, ScriptedTokenizer

GARBAGE = b"\xff\xfe\x00{ this is neither JSON nor UTF-8 \x80\n\n"
_LARGEST_BODY = 64 * 2**20
_SHUTDOWN_S = 0.2
_NO_LATENCY = Latency()
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ScriptedServer:
    """A model server to test against; use it with `async with`.

    Args:
        script: What the model writes.
        tokenizer: A folder with a byte-level `tokenizer.json`, for real token ids. Without one,
            tokens are pieces of text and prompts of ids get a 400.
        served_name: The model's name.
        context_length: Tokens of prompt and generation together.
        latency: How slow it is.
        engine: An engine's times, in place of `latency` and `max_sequences`; it always aborts.
        max_sequences: How many requests are generated at once; others wait. None: no limit.
        faults: What goes wrong with completions; other endpoints never fail.
        accept_ids: Take prompts of token ids.
        accept_extensions: Take parameters beyond OpenAI's; else they get a 400.
        streams: Take `stream=true`.
        aborts: Stop generating when a client leaves. Else `/metrics` shows its request as running
            until all that it asked for would have been generated.
        stream_interval: Tokens an event (vLLM's `--stream-interval`).
        host: Address to listen on.
        port: Port to listen on; 0 for any that is free.
        api_key: The key that `/v1` requires, if any.

    Attributes:
        stats: Counts of requests and tokens.
        faults: As the argument; may be changed while the server runs.
        api_key: As the argument; may be changed while the server runs.

    Raises:
        ConfigError: The tokenizer cannot be used.
        ValueError: The engine's cache holds less than one context.
    """

    def __init__(
        self,
        script: Script,
        *,
        tokenizer: Path | None = None,
        served_name: str = "scripted",
        context_length: int = 65536,
        latency: Latency = _NO_LATENCY,
        engine: EngineTimes | None = None,
        max_sequences: int | None = None,
        faults: Faults | None = None,
        accept_ids: bool = True,
        accept_extensions: bool = True,
        streams: bool = True,
        aborts: bool = True,
        stream_interval: int = 1,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str | None = None,
    ) -> None:
        if engine is not None and engine.cache_tokens < context_length + BLOCK_TOKENS:
            raise ValueError(
                f"the cache of {engine.cache_tokens} tokens holds no context of {context_length}"
            )
        loop = EngineLoop(engine) if engine else None
        self.stats = ServerStats(engine=loop.stats if loop else None)
        tokens: ScriptedTokenizer = IdTokenizer(tokenizer) if tokenizer else PieceTokenizer()
        self._rules = RequestRules(
            served_name, context_length, tokens, accept_ids, accept_extensions, streams
        )
        self._model = ScriptedModel(
            served_name, script, tokens, latency, stream_interval, self.stats, KVCache(), loop
        )
        self._slots: AbstractAsyncContextManager[None] = (
            asyncio.Semaphore(max_sequences) if max_sequences else nullcontext()
        )
        self.faults = faults
        self.api_key = api_key
        self._aborts = aborts
        self._host, self._port = host, port
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The address of the API, with `/v1`; only valid while the server runs."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}/v1"

    async def __aenter__(self) -> Self:
        """Start to listen."""
        app = web.Application(client_max_size=_LARGEST_BODY, middlewares=[self._guard])
        app.add_routes(
            [
                web.get("/health", self._health),
                web.get("/stats", self._stats),
                web.get("/metrics", self._metrics),
                web.get("/v1/models", self._models),
                web.post("/v1/completions", self._completions),
                web.post("/tokenize", self._tokenize),
                web.post("/detokenize", self._detokenize),
            ]
        )
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_S
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port, backlog=1024).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop; open connections are closed."""
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Ask for the key, and turn errors into vLLM's bodies."""
        key = request.headers.get("Authorization")
        guarded = self.api_key is not None and request.path.startswith("/v1")
        if guarded and key != f"Bearer {self.api_key}":
            return _error("Unauthorized", 401, "AuthenticationError")
        try:
            return await handler(request)
        except BadRequest as bad:
            return _error(str(bad), bad.status, bad.kind)

    async def _health(self, request: web.Request) -> web.StreamResponse:
        return web.Response()

    async def _stats(self, request: web.Request) -> web.StreamResponse:
        return _json(self.stats)

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        """One of vLLM's metrics: how many requests are being generated."""
        return web.Response(text=f"vllm:num_requests_running {self.stats.running:.1f}\n")

    async def _models(self, request: web.Request) -> web.StreamResponse:
        entry = {
            "id": self._rules.served_name,
            "object": "model",
            "created": 0,
            "owned_by": "tessy",
            "root": self._rules.served_name,
            "parent": None,
            "max_model_len": self._rules.context_length,
        }
        return _json({"object": "list", "data": [entry]})

    async def _tokenize(self, request: web.Request) -> web.StreamResponse:
        return _json(self._rules.tokenize(TokenizeRequest.parse(await request.read())))

    async def _detokenize(self, request: web.Request) -> web.StreamResponse:
        return _json(self._rules.detokenize(DetokenizeRequest.parse(await request.read())))

    async def _completions(self, http: web.Request) -> web.StreamResponse:
        self.stats.arrive()
        try:
            drawn = self.faults.draw() if self.faults else None
            if drawn is not None:
                self.stats.faults[drawn.fault] += 1
            request = CompletionRequest.parse(await http.read())
            if drawn and (failed := await _fail(http, request, drawn)):
                return failed
            return await self._complete(http, request, drawn)
        finally:
            self.stats.in_flight -= 1

    async def _complete(
        self, http: web.Request, request: CompletionRequest, drawn: DrawnFault | None
    ) -> web.StreamResponse:
        prompt, max_tokens = self._rules.admit(request)
        try:
            async with self._slots:
                self.stats.start()
                try:
                    completion = ScriptedCompletion(self._model, request, prompt, max_tokens, drawn)
                    return await completion.answer(http)
                except (asyncio.CancelledError, ConnectionError):
                    if not self._aborts:
                        self._keep_running(max_tokens)
                    raise
                finally:
                    self.stats.running -= 1
        except (asyncio.CancelledError, ConnectionError) as gone:
            # A connection that the server itself broke is a fault and not an abort.
            self.stats.aborted += drawn is None or drawn.fault is not Fault.DISCONNECT
            if isinstance(gone, asyncio.CancelledError):
                raise
            return web.Response()  # nobody will see it

    def _keep_running(self, max_tokens: int) -> None:
        """Count a request as running until all of its tokens would have been generated."""

        def end() -> None:
            self.stats.running -= 1

        self.stats.running += 1
        rest_s = max_tokens * self._model.latency.token_s
        asyncio.get_running_loop().call_later(rest_s, end)


async def _fail(
    http: web.Request, request: CompletionRequest, drawn: DrawnFault
) -> web.StreamResponse | None:
    """Answer with a fault that needs no generation; None if it does."""
    match drawn.fault:
        case Fault.SERVER_ERROR:
            return _error("injected fault", 500, "InternalServerError")
        case Fault.RATE_LIMIT:
            response = _error("injected fault", 429, "RateLimitError")
            response.headers["Retry-After"] = f"{drawn.retry_after_s:g}"
            return response
        case Fault.REFUSE:
            return _error("injected fault", 400, "BadRequestError")
        case Fault.GARBAGE if request.stream:
            stream = await open_stream(http)
            await stream.write(b"data: " + GARBAGE)
            return stream
        case Fault.GARBAGE:
            return web.Response(body=GARBAGE, content_type="application/json")
        case Fault.TIMEOUT:
            await asyncio.Event().wait()  # until the client leaves
    return None


def _json(body: object, status: int = 200) -> web.Response:
    data = orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS)
    return web.Response(body=data, status=status, content_type="application/json")


def _error(message: str, status: int, kind: str) -> web.Response:
    """An error in vLLM's shape."""
    told = {"message": message, "type": kind, "param": None, "code": status}
    return _json({"error": told}, status)
