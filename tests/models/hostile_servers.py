"""Servers that do harm: what each sends for one request, and how the call must fail.

`HOSTILE` is a table; `hostile` serves one line of it, and `between` puts one between a client and
a healthy server. Both count what they could send, which shows what the client has read.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import orjson

from tessy.errors import BadResponse, ModelError, Refused, TimedOut, Unreachable

Send = Callable[[bytes], Awaitable[None]]
Reply = Callable[[Send], Awaitable[None]]

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
OPEN = HEAD + b"\r\n"  # the body ends with its connection
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
MOST_READ = 24 * 2**20
"""More than a client may read of any of these, with what fits into the sockets' buffers."""


@dataclass(frozen=True)
class Hostile:
    """One hostile server.

    Attributes:
        name: What it does.
        reply: Sends its answer.
        error: The error of a call, after its retries.
        says: A part of the message.
        stream: The client asks for a stream; None: either way.
    """

    name: str
    reply: Reply
    error: type[ModelError]
    says: str
    stream: bool | None = True


def event(choice: object = None, **more: object) -> bytes:
    """One event of a stream."""
    choices = {"choices": [choice]} if choice is not None else {}
    return b"data: " + orjson.dumps(choices | more) + b"\n\n"


def text(written: str = " two", **more: object) -> bytes:
    """An event with text."""
    return event({"index": 0, "text": written, **more})


def sized(body: bytes, kind: bytes = b"application/json", more: bytes = b"") -> bytes:
    """A response with its length."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n%bContent-Length: %d\r\n\r\n%b" % (
        kind, more, len(body), body,
    )  # fmt: skip


def whole(**answer: object) -> bytes:
    """A whole completion, with some fields changed."""
    choice = {"index": 0, "text": " two", "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 1}
    choice |= {key: answer.pop(key) for key in ("text", "finish_reason") if key in answer}
    return sized(orjson.dumps({"choices": [choice], "usage": usage} | answer))


def sends(*parts: bytes, hold: bool = False) -> Reply:
    """Send some bytes, then hang up, or hold the connection open."""

    async def reply(send: Send) -> None:
        for part in parts:
            await send(part)
        if hold:
            await asyncio.Event().wait()

    return reply


def repeats(first: bytes, again: bytes, every_s: float = 0.0) -> Reply:
    """Send something, then the same for ever."""

    async def reply(send: Send) -> None:
        await send(first)
        block = again if every_s else again * max(1, 65_536 // len(again))
        while True:
            await send(block)
            await asyncio.sleep(every_s)

    return reply


def ends_with(reason: object) -> bytes:
    """A stream that ends with a reason."""
    return OPEN + text() + text("", finish_reason=reason) + b"data: [DONE]\n\n"


def chunk(data: bytes) -> bytes:
    """A chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def redirect(status: int, there: str) -> Reply:
    """A redirect."""
    return sends(f"HTTP/1.1 {status} Go\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n".encode())


_REASONS = ("abort", "error", "tool_calls", "cancelled", "no such thing", 7, ["stop"], {"a": 1})
_DEEP = b'{"choices":' + b"[" * 5000 + b"]" * 5000 + b"}"
_LONE = b'{"choices":[{"text":" \\ud800 x","finish_reason":"stop"}]}'
_FLOOD = b'{"choices":[{"finish_reason":"stop","text":"'

ENDS = [
    *(
        Hostile(f"a stream that ends with {reason!r}", sends(ends_with(reason)), BadResponse,
                "finish_reason")
        for reason in _REASONS
    ),
    *(
        Hostile(f"a whole answer that ends with {reason!r}", sends(whole(finish_reason=reason)),
                BadResponse, "finish_reason", stream=False)
        for reason in (*_REASONS, None)
    ),
    Hostile("a stream without a reason", sends(OPEN, text(), b"data: [DONE]\n\n"), BadResponse,
            "without a finish_reason"),
    Hostile("an error in a stream", sends(OPEN, text(), event(error={"message": "dead"})),
            BadResponse, "an error in the stream.*dead"),
    Hostile("an error beside a text", sends(OPEN, event({"text": "x"}, error="dead")),
            BadResponse, "an error in the stream"),
    Hostile("an error with status 200", sends(whole(error={"message": "dead"})), BadResponse,
            "an error instead", stream=False),
    Hostile("a stream that is cut in a chunk", sends(CHUNKED, chunk(text())[:-9]), BadResponse,
            "cut short"),
]  # fmt: skip
"""Answers that end, but not because the model ended them."""

SILENT = [
    Hostile("silence after the first token", sends(OPEN, text(), hold=True), TimedOut,
            "fell silent"),
    Hostile("nothing but comments after the first token",
            repeats(OPEN + text(), b": alive\n\n", 0.01), TimedOut, "fell silent"),
    Hostile("nothing but empty texts after the first token",
            repeats(OPEN + text(), text(""), 0.01), TimedOut, "fell silent"),
    Hostile("nothing but comments", repeats(OPEN, b": alive\n\n", 0.01), TimedOut, "too long"),
    Hostile("a body that never comes", sends(OPEN, hold=True), TimedOut, "too long"),
    Hostile("a head that never ends", sends(HEAD, hold=True), TimedOut, "too long"),
    Hostile("a whole answer that never ends", sends(whole()[:-9], hold=True), TimedOut, "too long",
            stream=False),
]  # fmt: skip
"""Servers that let a client wait."""

FLOODS = [
    Hostile("150,000 events", sends(OPEN, text() * 150_000), BadResponse, "asked for .* lines"),
    Hostile("events without end", repeats(OPEN, text()), BadResponse, "asked for .* lines"),
    Hostile("events without end, in chunks", repeats(CHUNKED, chunk(text())), BadResponse,
            "asked for .* lines"),
    Hostile("a chunk for each byte, without end",
            repeats(CHUNKED, b"".join(chunk(bytes([byte])) for byte in text())), BadResponse,
            "asked for .* lines"),
    Hostile("comments without end", repeats(OPEN, b": alive\n\n"), BadResponse, "lines"),
    Hostile("blank lines without end", repeats(OPEN, b"\n"), BadResponse, "lines"),
    Hostile("events without choices, without end", repeats(OPEN, event(x=1)), BadResponse, "lines"),
    Hostile("a line without end", repeats(OPEN + b"data: ", b"x"), BadResponse, "bytes"),
    Hostile("a comment without end", repeats(OPEN, b": x"), BadResponse, "bytes"),
    Hostile("blanks without end", repeats(OPEN, b" "), BadResponse, "bytes"),
    Hostile("an event of 20 MB", sends(OPEN, text("x" * 20_000_000)), BadResponse, "bytes"),
    Hostile("a text that is too long",
            sends(OPEN, text("x" * 5000), text("", finish_reason="stop")), BadResponse,
            "characters"),
    Hostile("too many ids", sends(OPEN, text(token_ids=[5] * 500, finish_reason="stop")),
            BadResponse, "500 ids"),
    Hostile("too many texts", sends(OPEN, *[text()] * 200, text("", finish_reason="stop")),
            BadResponse, "200 tokens"),
    Hostile("an enormous usage",
            sends(OPEN, text(finish_reason="stop"), event(usage={"completion_tokens": 10**9})),
            BadResponse, "1,000,000,000 tokens"),
    Hostile("a usage beyond all numbers",
            sends(OPEN, text(finish_reason="stop"), event(usage={"prompt_tokens": 2**63})),
            BadResponse, "prompt_tokens is not a count"),
    Hostile("a whole answer of 100 MB",
            repeats(HEAD + b"Content-Length: 100000000\r\n\r\n" + _FLOOD, b"x"), BadResponse,
            "bytes", stream=False),
    Hostile("a whole answer without end", repeats(OPEN + _FLOOD, b"x"), BadResponse, "bytes",
            stream=None),
    Hostile("a whole answer of empty lists", repeats(OPEN + b'{"choices":[', b"[],"), BadResponse,
            "bytes", stream=None),
    Hostile("a whole answer in chunks with long extensions",
            repeats(CHUNKED, b"1;" + b"x" * 1000 + b"\r\n \r\n"), BadResponse, "bytes",
            stream=False),
    Hostile("trailers without end", repeats(CHUNKED + b"0\r\n", b"X-A: b\r\n"), BadResponse,
            "bytes", stream=None),
    Hostile("headers without end", repeats(HEAD, b"X-A: b\r\n"), BadResponse, "head", stream=None),
    Hostile("a header without end", repeats(HEAD + b"X-A: ", b"x"), BadResponse, "head",
            stream=None),
    Hostile("a status line without end", repeats(b"HTTP/1.1 200 ", b"x"), BadResponse, "head",
            stream=None),
    Hostile("blank lines before the head", repeats(b"", b"\r\n"), BadResponse, "head", stream=None),
    Hostile("interim responses without end", repeats(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
            BadResponse, "head", stream=None),
    Hostile("an error without end", repeats(b"HTTP/1.1 400 No\r\n\r\n", b"x"), Refused, "400: x",
            stream=None),
    Hostile("a redirect without end",
            repeats(b"HTTP/1.1 302 Go\r\nLocation: http://x\r\n\r\n", b"x"), Refused, "redirects",
            stream=None),
]  # fmt: skip
"""Servers that send more than they were asked for."""

BROKEN = [
    Hostile("gzip", sends(sized(gzip.compress(b"{}"), more=b"Content-Encoding: gzip\r\n")),
            BadResponse, "answers in gzip", stream=None),
    Hostile("another protocol", sends(b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n"
            b"\r\nxx"), BadResponse, "not HTTP", stream=None),
    Hostile("a page", sends(sized(b"<html>Sign in</html>", b"text/html")), BadResponse, "<html>",
            stream=None),
    Hostile("a deep JSON", sends(sized(_DEEP)), BadResponse, "depth", stream=None),
    Hostile("a lone surrogate", sends(sized(_LONE)), BadResponse, "surrogate", stream=None),
    Hostile("a lone surrogate in a stream", sends(OPEN, b"data: " + _LONE + b"\n\n"), BadResponse,
            "surrogate"),
    Hostile("bytes that are no UTF-8", sends(OPEN, b'data: {"choices":[{"text":"\xff"}]}\n\n'),
            BadResponse, "UTF-8|utf-8"),
    Hostile("not a number", sends(OPEN, b'data: {"choices":[{"text":NaN}]}\n\n'), BadResponse,
            "no text in an event"),
    Hostile("a chunk with a negative size", sends(CHUNKED, b"-5\r\nabc\r\n"), BadResponse,
            "not HTTP", stream=None),
    Hostile("a body shorter than its length", sends(HEAD + b"Content-Length: 99\r\n\r\n{}"),
            BadResponse, "cut short", stream=None),
    Hostile("two lengths", sends(HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
            BadResponse, "not HTTP", stream=None),
    Hostile("nothing", sends(b""), Unreachable, "closed", stream=None),
]  # fmt: skip
"""Bytes that are no answer."""

REDIRECTS = [
    Hostile(f"a redirect {status} to {name}", redirect(status, there), Refused,
            f"redirects to {said}.*{status}", stream=None)
    for status in (301, 302, 303, 307, 308)
    for name, there, said in (
        ("another host", "http://evil.example/v1/completions", "http://evil.example"),
        ("the same server", "/v2/completions", "/v2/completions"),
        ("nowhere", "", ""),
    )
]  # fmt: skip
"""No redirect is followed."""

HOSTILE = [*ENDS, *SILENT, *FLOODS, *BROKEN, *REDIRECTS]


@dataclass
class Traffic:
    """What went through a hostile server.

    Attributes:
        url: Its URL, with `/v1`.
        sent: Bytes that it could send, answer by answer.
        heads: The heads of the requests that it got.
    """

    url: str = ""
    sent: list[int] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)


async def _request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n")
         if line.startswith(b"content-length")),
        0,
    )  # fmt: skip
    return head, await reader.readexactly(length)


async def _answer(one: Hostile, writer: asyncio.StreamWriter, traffic: Traffic) -> None:
    traffic.sent.append(0)
    at = len(traffic.sent) - 1

    async def send(data: bytes) -> None:
        for first in range(0, len(data), 65_536):
            writer.write(data[first : first + 65_536])
            await writer.drain()
            traffic.sent[at] += len(data[first : first + 65_536])

    await one.reply(send)


@asynccontextmanager
async def _served(
    answer: Callable[[bytes, bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    traffic: Traffic,
) -> AsyncIterator[Traffic]:
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            try:
                head, body = await _request(reader)
                traffic.heads.append(head)
                answering = asyncio.ensure_future(answer(head, body, reader, writer))
                leaving = asyncio.ensure_future(reader.read())
                try:
                    await asyncio.wait([answering, leaving], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for each in (answering, leaving):
                        each.cancel()
                    await asyncio.gather(answering, leaving, return_exceptions=True)
            finally:
                writer.close()
        running.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    traffic.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield traffic
    finally:
        server.close()
        for task in [*running]:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@asynccontextmanager
async def hostile(one: Hostile) -> AsyncIterator[Traffic]:
    """A server that answers every request with one line of the table."""
    traffic = Traffic()

    async def answer(head, body, reader, writer):
        await _answer(one, writer, traffic)

    async with _served(answer, traffic):
        yield traffic


@asynccontextmanager
async def between(url: str, one: Hostile, mark: bytes) -> AsyncIterator[Traffic]:
    """A healthy server, but requests whose body contains `mark` are answered by a hostile one."""
    traffic, there = Traffic(), urlsplit(url)

    async def answer(head, body, reader, writer):
        if mark in body:
            await _answer(one, writer, traffic)
            return
        back, forth = await asyncio.open_connection(there.hostname, there.port)
        forth.write(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + body)
        try:
            while data := await back.read(65_536):
                writer.write(data)
                await writer.drain()
        finally:
            forth.close()

    async with _served(answer, traffic):
        yield traffic
