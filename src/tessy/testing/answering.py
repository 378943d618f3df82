"""How a scripted server answers one completion: whole or as a stream, healthy or faulty."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Hashable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from tessy.testing.calls import Call
from tessy.testing.codec import Codec, Token
from tessy.testing.faults import Fault
from tessy.testing.generation import Output, generate
from tessy.testing.replies import reply
from tessy.testing.scripts import Script
from tessy.testing.stats import Latency, Pace, PrefixCache, ServerStats

GARBAGE = b"\xff\xfe\x00{ this is neither JSON nor UTF-8 \x80\n\n"
_FAULTY_EVENTS = 8
"""A fault in a stream strikes before this many events have gone out."""


@dataclass(frozen=True, slots=True)
class Injected:
    """A fault that strikes while an answer goes out, and how far into it (0 to 1)."""

    fault: Fault
    place: float


@dataclass(slots=True)
class Model:
    """What the answers of one server have in common.

    Attributes:
        name: The served name.
        script: What it writes.
        codec: In which tokens.
        latency: How slowly.
        stream_interval: Tokens an event.
        stats: Where to count.
        cache: The prefix cache.
    """

    name: str
    script: Script
    codec: Codec
    latency: Latency
    stream_interval: int
    stats: ServerStats
    cache: PrefixCache

    def answer(self, request: web.Request, call: Call, prompt: list[Hashable]) -> Answer:
        """Begin to answer a call whose prompt has these tokens."""
        return Answer(self, request, call, prompt)


class Answer:
    """One answer being made.

    Args:
        model: The model.
        request: The request, to answer to.
        call: What it asks for.
        prompt: The tokens of its prompt.
    """

    def __init__(
        self, model: Model, request: web.Request, call: Call, prompt: list[Hashable]
    ) -> None:
        self._model = model
        self._request = request
        self._call = call
        self._prompt = prompt
        self._output = Output(call, model.codec.end)
        self._tokens: list[Hashable] = []
        self._cached, self._link = model.cache.hit(prompt)
        self._id = f"cmpl-{model.stats.requests}"
        self._created = int(time.time())
        model.stats.prompt_tokens += len(prompt)
        model.stats.cached_tokens += self._cached

    async def empty(self) -> web.StreamResponse:
        """An answer without text (`Fault.EMPTY`)."""
        self._output.end()
        if not self._call.stream:
            return reply(self._body("", []))
        response = await self._open()
        await self._finish(response, "", [])
        return response

    async def whole(self, injected: Injected | None = None) -> web.StreamResponse:
        """Answer in one piece."""
        texts = [text async for text, _ in self._steps(every_token=False)]
        text = "".join(texts) + self._output.flush(broken=True)
        body = orjson.dumps(self._body(text, self._tokens))
        if injected is None:
            return web.Response(body=body, content_type="application/json")
        kept = body[: max(1, int(len(body) * injected.place))]
        if injected.fault is Fault.TRUNCATED:
            return web.Response(body=kept, content_type="application/json")
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = len(body)
        await response.prepare(self._request)
        await response.write(kept)
        return hang_up(self._request, response)

    async def stream(self, injected: Injected | None = None) -> web.StreamResponse:
        """Answer in events."""
        self._model.stats.streamed += 1
        left = int(injected.place * _FAULTY_EVENTS) if injected else -1
        interval = max(self._model.stream_interval, self._call.stream_interval)
        wanted = 1  # the first token goes out alone
        response = await self._open()
        texts: list[str] = []
        ids: list[Hashable] = []
        async with aclosing(self._steps(every_token=True)) as steps:
            async for text, token in steps:
                texts.append(text)
                ids += [token.key] if token else []
                if self._output.finish is not None:
                    break
                if len(ids) >= wanted:
                    wanted = interval
                    if left == 0:
                        break
                    await self._event(response, "".join(texts), ids)
                    texts, ids = [], []
                    left -= 1
        if injected is None:
            await self._finish(response, "".join(texts), ids)
        elif injected.fault is Fault.DISCONNECT:
            return hang_up(self._request, response)
        return response

    async def _steps(self, *, every_token: bool) -> AsyncGenerator[tuple[str, Token | None], None]:
        """Generate: text that can be shown and the token that brought it, at the model's pace."""
        model, output = self._model, self._output
        pace = Pace(model.latency, every_token=every_token)
        prompt = self._call.prompt
        data = prompt.encode() if isinstance(prompt, str) else model.codec.data(prompt)
        try:
            for token in generate(model.script, model.codec, data):
                await pace.reach(len(self._tokens) + 1)
                self._tokens.append(token.key)
                model.stats.generated_tokens += 1
                yield output.push(token), token
                if output.finish is not None:
                    break
            else:
                yield output.end(), None
            await pace.reach(len(self._tokens), last=True)
        finally:
            model.cache.add(self._prompt, self._link, self._tokens)

    async def _open(self) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream; charset=utf-8",
                "Cache-Control": "no-cache",
            }
        )
        await response.prepare(self._request)
        return response

    async def _event(
        self, response: web.StreamResponse, text: str, ids: list[Hashable], *, last: bool = False
    ) -> None:
        event = self._envelope() | {"choices": [self._choice(text, ids, last=last)]}
        await response.write(b"data: " + orjson.dumps(event) + b"\n\n")

    async def _finish(self, response: web.StreamResponse, text: str, ids: list[Hashable]) -> None:
        await self._event(response, text, ids, last=True)
        if self._call.include_usage:
            event = self._envelope() | {"choices": [], "usage": self._usage()}
            await response.write(b"data: " + orjson.dumps(event) + b"\n\n")
        await response.write(b"data: [DONE]\n\n")

    def _body(self, text: str, ids: list[Hashable]) -> dict[str, Any]:
        choice = self._choice(text, ids, last=True)
        return self._envelope() | {"choices": [choice], "usage": self._usage()}

    def _envelope(self) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "text_completion",
            "created": self._created,
            "model": self._model.name,
        }

    def _choice(self, text: str, ids: list[Hashable], *, last: bool) -> dict[str, Any]:
        choice: dict[str, Any] = {
            "index": 0,
            "text": text,
            "logprobs": None,
            "finish_reason": self._output.finish if last else None,
            "stop_reason": self._output.stop_reason if last else None,
        }
        if self._call.return_token_ids and self._model.codec.vocabulary is not None:
            choice["token_ids"] = ids
        return choice

    def _usage(self) -> dict[str, Any]:
        prompt, generated = len(self._prompt), len(self._tokens)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": generated,
            "total_tokens": prompt + generated,
            "prompt_tokens_details": {"cached_tokens": self._cached},
        }


def hang_up(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Break the connection behind what was written of a response."""
    if request.transport is not None:
        request.transport.close()
    return response


async def garbage(request: web.Request, *, stream: bool) -> web.StreamResponse:
    """Bytes that mean nothing, as a whole body or as the only event of a stream."""
    if not stream:
        return web.Response(body=GARBAGE, content_type="application/json")
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b"data: " + GARBAGE)
    return response


async def silence() -> None:
    """Never come back; the client's leaving, or the server's end, cancels it."""
    await asyncio.Event().wait()
