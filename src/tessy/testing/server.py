"""A completions server that behaves like vLLM and writes what a script says.

    ScriptedServer          HTTP: routes, keys, places, faults, aborts
      rules, calls          what a client may ask, of this server and at all
      answering             one answer, whole or streamed
        generation          script → tokens → shown text
          scripts, codec    what is written, and in which tokens
        stats               latency, counts, prefix cache
      faults                what goes wrong

Like vLLM: prompts of text or ids, `return_token_ids`, stop texts and tokens, usage with
`cached_tokens`, error bodies, `/tokenize`; a client that leaves stops the generation. Unlike it:
a request has one prompt and one answer (`n`, `best_of`, `echo`, `logprobs`, `suffix` get a 400),
and sampling parameters are checked but change nothing. There is no chat endpoint.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tessy.testing.answering import Injected, Model, garbage, silence
from tessy.testing.calls import BadCall, Call, parse_body
from tessy.testing.codec import Codec, PieceCodec, TokenizerCodec
from tessy.testing.faults import Fault, Faults
from tessy.testing.replies import error, reply
from tessy.testing.rules import Rules
from tessy.testing.scripts import Script
from tessy.testing.stats import Latency, PrefixCache, ServerStats

_LARGEST_BODY = 64 * 2**20
_SHUTDOWN_S = 0.2
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_NO_LATENCY = Latency()


class ScriptedServer:
    """A model server to test against; use it with `async with`.

    Args:
        script: What the model writes.
        tokenizer: A folder with a byte-level `tokenizer.json`, for real token ids; without one,
            tokens are pieces of text and prompts of ids get a 400.
        served_name: The model's name.
        context_length: Tokens of prompt and generation together.
        latency: How slow it is.
        max_sequences: How many requests are generated at once; others wait. None: no limit.
        faults: What goes wrong with completions; other endpoints never fail.
        accept_ids: Take prompts of token ids.
        accept_extensions: Take parameters beyond OpenAI's; else they get a 400.
        streams: Take `stream=true`.
        aborts: Stop generating when a client leaves; else `/metrics` shows its request as running
            until all that it asked for would have been generated.
        stream_interval: Tokens an event (vLLM's `--stream-interval`).
        host: Address to listen on.
        port: Port to listen on; 0 for any that is free.
        api_key: The key that a client has to show for `/v1`, if any.

    Attributes:
        stats: What it measured.

    Raises:
        ConfigError: The tokenizer cannot be used.
    """

    def __init__(
        self,
        script: Script,
        *,
        tokenizer: Path | None = None,
        served_name: str = "scripted",
        context_length: int = 65536,
        latency: Latency = _NO_LATENCY,
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
        self.stats = ServerStats()
        codec: Codec = PieceCodec() if tokenizer is None else TokenizerCodec(tokenizer)
        self._rules = Rules(
            served_name, context_length, codec, accept_ids, accept_extensions, streams
        )
        self._model = Model(
            served_name, script, codec, latency, stream_interval, self.stats, PrefixCache()
        )
        self._places = asyncio.Semaphore(max_sequences) if max_sequences else None
        self._faults = faults
        self._aborts = aborts
        self._token_s = latency.token_s
        self._host, self._port = host, port
        self._api_key = api_key
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The address of the API, up to and with `/v1`; known while the server runs."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}/v1"

    async def __aenter__(self) -> Self:
        """Start to listen."""
        app = web.Application(client_max_size=_LARGEST_BODY, middlewares=[self._guard])
        app.add_routes(
            [
                web.get("/health", self._health),
                web.get("/stats", self._show_stats),
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

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop; connections that are open break off."""
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Ask for the key, and turn errors into vLLM's bodies."""
        wanted = f"Bearer {self._api_key}"
        if (
            self._api_key is not None
            and request.path.startswith("/v1")
            and request.headers.get("Authorization") != wanted
        ):
            return error("Unauthorized", 401, "AuthenticationError")
        try:
            return await handler(request)
        except BadCall as bad:
            return error(str(bad), bad.status, bad.kind)

    async def _health(self, request: web.Request) -> web.StreamResponse:
        return web.Response()

    async def _show_stats(self, request: web.Request) -> web.StreamResponse:
        return reply(self.stats.as_dict())

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        """One of vLLM's metrics: what is being generated now."""
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
        return reply({"object": "list", "data": [entry]})

    async def _tokenize(self, request: web.Request) -> web.StreamResponse:
        return reply(self._rules.tokenize(parse_body(await request.read())))

    async def _detokenize(self, request: web.Request) -> web.StreamResponse:
        return reply(self._rules.detokenize(parse_body(await request.read())))

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        self.stats.arrive()
        try:
            return await self._complete(request)
        finally:
            self.stats.in_flight -= 1

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        injected = self._draw()
        body = parse_body(await request.read())
        if injected is not None and (failed := await self._fail(request, body, injected)):
            return failed
        call, prompt = self._rules.admit(body)
        try:
            if self._places is None:
                return await self._generate(request, call, prompt, injected)
            async with self._places:
                return await self._generate(request, call, prompt, injected)
        except (asyncio.CancelledError, ConnectionError) as gone:
            # A connection that the server itself broke is a fault and not an abort.
            self.stats.aborted += injected is None or injected.fault is not Fault.DISCONNECT
            if isinstance(gone, asyncio.CancelledError):
                raise
            return web.Response()  # nobody will see it

    async def _generate(
        self, request: web.Request, call: Call, prompt: list[Hashable], injected: Injected | None
    ) -> web.StreamResponse:
        self.stats.start()
        try:
            answer = self._model.answer(request, call, prompt)
            if injected is not None and injected.fault is Fault.EMPTY:
                return await answer.empty()
            return await (answer.stream(injected) if call.stream else answer.whole(injected))
        except (asyncio.CancelledError, ConnectionError):
            if not self._aborts:  # it goes on for as long as it was asked to
                self.stats.running += 1
                rest_s = call.max_tokens * self._token_s
                asyncio.get_running_loop().call_later(rest_s, self._end_of_rest)
            raise
        finally:
            self.stats.running -= 1

    def _end_of_rest(self) -> None:
        self.stats.running -= 1

    def _draw(self) -> Injected | None:
        fault = self._faults.draw() if self._faults else None
        if self._faults is None or fault is None:
            return None
        self.stats.faults[fault] += 1
        return Injected(fault, self._faults.place)

    async def _fail(
        self, request: web.Request, body: dict[str, Any], injected: Injected
    ) -> web.StreamResponse | None:
        """Answer with a fault that needs no generation; None if it does."""
        match injected.fault:
            case Fault.SERVER_ERROR:
                return error("injected fault", 500, "InternalServerError")
            case Fault.RATE_LIMIT:
                response = error("injected fault", 429, "RateLimitError")
                after_s = self._faults.retry_after_s if self._faults else 0
                response.headers["Retry-After"] = f"{after_s:g}"
                return response
            case Fault.REFUSE:
                return error("injected fault", 400, "BadRequestError")
            case Fault.GARBAGE:
                return await garbage(request, stream=body.get("stream") is True)
            case Fault.TIMEOUT:
                await silence()
        return None
