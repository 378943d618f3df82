"""One completion of a scripted server: whole or as a stream, healthy or faulty."""

from __future__ import annotations

import asyncio
import codecs
import time
from collections.abc import AsyncGenerator, Hashable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from tessy.testing.engine import Emitted, EngineRequest, KVCache
from tessy.testing.engine_loop import EngineLoop
from tessy.testing.faults import DrawnFault, Fault
from tessy.testing.requests import CompletionRequest
from tessy.testing.scripts import Script
from tessy.testing.stats import Latency, Pace, ServerStats
from tessy.testing.tokens import ScriptedToken, ScriptedTokenizer, generate

_JSON = "application/json"
_BREAKS = (Fault.TRUNCATED, Fault.DISCONNECT)
_ENDS_EARLY = (*_BREAKS, Fault.ABORT, Fault.STALL)
_FAULTY_EVENTS = 8
"""A fault in a stream strikes before this many events have been sent."""


@dataclass(slots=True)
class ScriptedModel:
    """What all completions of a server have in common.

    Attributes:
        name: The served name.
        script: What the model writes.
        tokenizer: In which tokens.
        latency: How slow it is.
        stream_interval: Tokens an event.
        stats: The server's counts.
        cache: The prefix cache, where there is no engine.
        engine: An engine's time model, in place of the latency.
    """

    name: str
    script: Script
    tokenizer: ScriptedTokenizer
    latency: Latency
    stream_interval: int
    stats: ServerStats
    cache: KVCache
    engine: EngineLoop | None


class ScriptedCompletion:
    """One completion.

    Args:
        model: The model.
        request: What the client asks for.
        prompt: The tokens of the prompt.
        max_tokens: Tokens to generate at most.
        drawn: A fault that strikes while the answer is sent, if any.
    """

    def __init__(
        self,
        model: ScriptedModel,
        request: CompletionRequest,
        prompt: list[Hashable],
        max_tokens: int,
        drawn: DrawnFault | None,
    ) -> None:
        self._model = model
        self._request = request
        self._prompt = prompt
        self._fault = drawn.fault if drawn else None
        self._place = drawn.place if drawn else 0.0
        self._output = ShownText(request, max_tokens, model.tokenizer.end)
        self._tokens: list[Hashable] = []
        self._cached = 0
        self._envelope = {
            "id": f"cmpl-{model.stats.requests}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": model.name,
        }
        model.stats.prompt_tokens += len(prompt)

    async def answer(self, http: web.Request) -> web.StreamResponse:
        """Generate the completion and send it."""
        return await (self._stream(http) if self._request.stream else self._whole(http))

    async def _whole(self, http: web.Request) -> web.StreamResponse:
        texts = [written.text async for written in self._steps(every_token=False)]
        text = "".join(texts) + self._output.flush(broken=True)
        if self._fault is Fault.STALL:
            await asyncio.Event().wait()  # until the client leaves
        if self._fault is Fault.ABORT:
            text = text[: int(len(text) * self._place)]
        choices = [self._choice(text, self._tokens, last=True)]
        body = orjson.dumps({**self._envelope, "choices": choices, "usage": self._usage()})
        kept = body
        if self._fault in _BREAKS:
            kept = body[: max(1, int(len(body) * self._place))]
        if self._fault is not Fault.DISCONNECT:
            return web.Response(body=kept, content_type=_JSON)
        response = web.StreamResponse(headers={"Content-Type": _JSON})
        response.content_length = len(body)
        await response.prepare(http)
        await response.write(kept)
        return _hang_up(http, response)

    async def _stream(self, http: web.Request) -> web.StreamResponse:
        self._model.stats.streamed += 1
        left = int(self._place * _FAULTY_EVENTS) if self._fault in _ENDS_EARLY else -1
        interval = max(self._model.stream_interval, self._request.stream_interval or 1)
        wanted = 1  # the first token is an event of its own
        response = await open_stream(http)
        texts: list[str] = []
        ids: list[Hashable] = []
        async with aclosing(self._steps(every_token=True)) as steps:
            async for text, token, last in steps:
                texts.append(text)
                ids += [token.key] if token else []
                if last:
                    break
                if len(ids) >= wanted:
                    if left == 0:
                        break
                    await self._send(response, choices=[self._choice("".join(texts), ids)])
                    texts, ids = [], []
                    wanted = interval
                    left -= 1
        if self._fault is Fault.DISCONNECT:
            return _hang_up(http, response)
        if self._fault is Fault.STALL:
            await asyncio.Event().wait()  # until the client leaves
        if self._fault is not Fault.TRUNCATED:
            await self._send(response, choices=[self._choice("".join(texts), ids, last=True)])
            if self._request.stream_options and self._request.stream_options.include_usage:
                await self._send(response, choices=[], usage=self._usage())
            await response.write(b"data: [DONE]\n\n")
        return response

    def _steps(self, *, every_token: bool) -> AsyncGenerator[Emitted, None]:
        """Generate, at the model's pace."""
        if self._model.engine is None:
            return self._by_latency(every_token=every_token)
        request = EngineRequest(list(self._prompt), iter(()))
        request.writes = self._writes(request)
        return self._model.engine.run(request, whole=not every_token)

    async def _by_latency(self, *, every_token: bool) -> AsyncGenerator[Emitted, None]:
        model = self._model
        held = model.cache.begin(self._prompt)
        assert held is not None, "this cache has no limit"
        self._hit(held.cached)
        pace = Pace(model.latency, every_token=every_token)
        try:
            for count, token in enumerate(self._generated(), start=1):
                await pace.reach(count)
                written = self._write(token)
                model.cache.grow(held, token.key)
                yield written
                if written.last:
                    break
            else:
                yield Emitted(self._output.end(), None, True)
            await pace.reach(len(self._tokens), last=True)
        finally:
            model.cache.release(held)

    def _writes(self, request: EngineRequest) -> Iterator[Emitted]:
        self._hit(request.cached or 0)
        for token in self._generated():
            yield self._write(token)
        yield Emitted(self._output.end(), None, True)

    def _hit(self, cached: int) -> None:
        self._cached = cached
        self._model.stats.cached_tokens += cached

    def _write(self, token: ScriptedToken) -> Emitted:
        self._tokens.append(token.key)
        self._model.stats.generated_tokens += 1
        text = self._output.push(token)
        return Emitted(text, token, self._output.finish is not None)

    def _generated(self) -> Iterator[ScriptedToken]:
        if self._fault is Fault.EMPTY:
            return iter(())
        return generate(self._model.script, self._model.tokenizer, self._request.prompt)

    async def _send(self, response: web.StreamResponse, **fields: Any) -> None:
        await response.write(b"data: " + orjson.dumps({**self._envelope, **fields}) + b"\n\n")

    def _choice(self, text: str, ids: list[Hashable], *, last: bool = False) -> dict[str, Any]:
        choice: dict[str, Any] = {
            "index": 0,
            "text": text,
            "logprobs": None,
            "finish_reason": self._finish if last else None,
            "stop_reason": self._output.stop_reason if last else None,
        }
        if self._request.return_token_ids and self._model.tokenizer.vocabulary is not None:
            choice["token_ids"] = ids
        return choice

    @property
    def _finish(self) -> str | None:
        return "abort" if self._fault is Fault.ABORT else self._output.finish

    def _usage(self) -> dict[str, Any]:
        prompt, generated = len(self._prompt), len(self._tokens)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": generated,
            "total_tokens": prompt + generated,
            "prompt_tokens_details": {"cached_tokens": self._cached},
        }


class ShownText:
    """The text of one completion, as the client sees it grow.

    Held back are the bytes of a character that is not complete, and text that may turn out to be
    the beginning of a stop text.

    Args:
        request: What the client asks for.
        max_tokens: Tokens to generate at most.
        end: The model's end token.

    Attributes:
        finish: `stop` or `length` once the text has ended.
        stop_reason: The stop text or the id of the stop token at which it ended, if at one.
    """

    def __init__(
        self, request: CompletionRequest, max_tokens: int, end: ScriptedToken | None
    ) -> None:
        self._max_tokens = max_tokens
        self._end = end
        self._stops = request.stops
        self._stop_ids = frozenset(request.stop_token_ids or ())
        self._skip_special = request.skip_special_tokens is not False
        self._held = max(0, max(map(len, self._stops), default=0) - 1)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""
        self._sent = 0
        self._count = 0
        self.finish: str | None = None
        self.stop_reason: str | int | None = None

    def push(self, token: ScriptedToken) -> str:
        """Take in a token.

        Returns:
            Text that can be shown now.
        """
        self._count += 1
        if token is self._end:
            return self.end()
        if self._stop_ids and token.key in self._stop_ids:
            self.stop_reason = token.key if isinstance(token.key, int) else None
            return self.end()
        if not token.special or not self._skip_special:
            self._grow(self._decoder.decode(token.data))
        if self.finish is None and self._count >= self._max_tokens:
            self.finish = "length"
        if self.finish is not None:
            return self.flush()
        return self._release(len(self._text) - self._held)

    def end(self) -> str:
        """End the text; the rest of it."""
        self.finish = "stop"
        return self.flush()

    def flush(self, *, broken: bool = False) -> str:
        """Text that was held back.

        Args:
            broken: Show what there is of an incomplete character, as U+FFFD.
        """
        if broken and self.stop_reason is None:
            self._text += self._decoder.decode(b"", True)
        return self._release(len(self._text))

    def _grow(self, text: str) -> None:
        before = len(self._text)
        self._text += text
        found = [
            (at, stop)
            for stop in self._stops
            if (at := self._text.find(stop, max(0, before - len(stop) + 1))) >= 0
        ]
        if found:
            at, stop = min(found)
            self._text = self._text[:at]
            self.finish, self.stop_reason = "stop", stop

    def _release(self, end: int) -> str:
        if end <= self._sent:
            return ""
        text = self._text[self._sent : end]
        self._sent = end
        return text


async def open_stream(http: web.Request) -> web.StreamResponse:
    """Begin an answer in events."""
    headers = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
    response = web.StreamResponse(headers=headers)
    await response.prepare(http)
    return response


def _hang_up(http: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Break the connection after what was written of a response."""
    if http.transport is not None:
        http.transport.close()
    return response
