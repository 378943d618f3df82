"""HTTP/1.1 to one server: a request and its response, read as it arrives.

Every call to a model goes through here, plain or streamed. Most streams of a synthesis are closed
before their end, and a span of fifteen tokens is fifteen small reads. A general HTTP client spends
about as much time on each read as all our other code together (`benchmarks/streams.py`,
docs/performance.md), so this is asyncio's protocol with httptools' parser and nothing else.

TLS uses the system's certificates, or those of `SSL_CERT_FILE`. Not supported: proxies, redirects
(none is followed, so keys and questions go to the configured server alone), compression, HTTP/2.

What is read of a response is bounded: a head of 64 KiB, and the bytes that its caller expects.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import httptools

from tessy.errors import BadResponse, ModelError, TimedOut, Unreachable

_DNS_TTL_S = 60.0
"""How long a server's looked-up address is used."""
_IDLE_S = 4.0
"""How long an idle connection may be reused: uvicorn and llama.cpp close theirs after 5 s."""

_HEAD_BYTES = 65_536
"""The most that a response may have before its body; interim responses (1xx) count."""
_ERROR_BYTES = 65_536
"""The most that is read of the body of an error."""

_PAGE = re.compile(rb"\s*<(!doctype|html|head|body|\?xml)\b", re.IGNORECASE)
_UNREAD = re.compile(
    rb"<(script|style)\b.*?(</\1\s*>|\Z)|<!--.*?(-->|\Z)|<[^>]*(>|\Z)", re.IGNORECASE | re.DOTALL
)
"""Markup, up to the end where it is not closed: so each byte is looked at a few times at most."""
_PAGE_BYTES = 200
"""What is kept of the text on a page, as one that answers a wrong URL."""

R = TypeVar("R", bound="HttpResponse")


def one_line(body: bytes) -> bytes:
    """The body of an error as one line, for a message; of a page of HTML, the text on it."""
    if not _PAGE.match(body):
        return b" ".join(body.split())
    text = b" ".join(_UNREAD.sub(b" ", body).split())
    short = text[:_PAGE_BYTES] + ("…".encode() if len(text) > _PAGE_BYTES else b"")
    return b"a page of HTML: " + short


class HttpServer:
    """Sends requests to one server, on new or idle connections.

    Args:
        url: The server's URL, with a path if all paths share a prefix.
        headers: Headers of each request.
    """

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        self.url = url
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if secure else 80)
        self._prefix = parts.path.rstrip("/")
        lines = [f"Host: {parts.netloc.rpartition('@')[2]}", "Accept-Encoding: identity"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._head = "".join(f"{line}\r\n" for line in lines).encode("latin-1")
        self._tls = ssl.create_default_context() if secure else None
        self._addresses: tuple[tuple[str, int], ...] = ()
        self._addresses_until = 0.0
        self._idle: deque[tuple[asyncio.Transport, float]] = deque()  # oldest first

    async def send(
        self,
        response: R,
        path: str,
        body: bytes | None = None,
        *,
        connect_s: float,
        session: str = "",
    ) -> R:
        """Send a request and wait for the head of its response.

        Args:
            response: Receives the response.
            path: The path, with its leading slash.
            body: The body of a POST; None for a GET.
            connect_s: Seconds that connecting may take.
            session: What the header `X-Session-ID` says, in ASCII; none if empty.

        Raises:
            Unreachable: The connection failed or broke.
            TimedOut: Connecting took too long, or `response` timed out.
            BadResponse: The response is not HTTP.
        """
        verb = b"GET" if body is None else b"POST"
        target = (self._prefix + path).encode("ascii", "backslashreplace")
        length = b"" if body is None else b"Content-Length: %d\r\n" % len(body)
        length += b"X-Session-ID: %b\r\n" % session.encode("ascii") if session else b""
        request = (verb, b" ", target, b" HTTP/1.1\r\n", self._head, length, b"\r\n", body or b"")
        transport = self._reusable()
        if transport is not None:
            transport.set_protocol(response)
            response.connection_made(transport)
            response.write(request)
            try:
                await response.head()
                return response
            except Unreachable:  # the server closed it before the request reached it
                response.restart()
        await self._connect(response, connect_s)
        response.write(request)
        await response.head()
        return response

    def done(self, response: HttpResponse) -> None:
        """Keep the connection if the response was read to its end; close it otherwise."""
        transport = response.detach()
        if transport is not None and response.is_reusable:
            self._close_idle(older_than_s=_IDLE_S)
            transport.set_protocol(_Idle(transport))
            self._idle.append((transport, time.monotonic()))
        elif transport is not None:
            transport.abort()  # a good server then stops generating

    def close(self) -> None:
        """Close idle connections."""
        self._close_idle(older_than_s=0)

    def _close_idle(self, older_than_s: float) -> None:
        until = time.monotonic() - older_than_s
        while self._idle and self._idle[0][1] <= until:
            self._idle.popleft()[0].abort()

    def _reusable(self) -> asyncio.Transport | None:
        while self._idle:
            transport, since = self._idle.pop()
            if not transport.is_closing() and time.monotonic() - since < _IDLE_S:
                return transport
            transport.abort()
        return None

    async def _connect(self, response: HttpResponse, connect_s: float) -> None:
        """Connect to the first address that works; each gets its share of the time left."""
        loop = asyncio.get_running_loop()
        until = loop.time() + connect_s
        try:
            addresses = await self._looked_up()
            for index, (address, port) in enumerate(addresses, 1 - len(addresses)):
                try:
                    async with asyncio.timeout((until - loop.time()) / (1 - index)):
                        await loop.create_connection(
                            lambda: response,
                            address,
                            port,
                            ssl=self._tls,
                            server_hostname=self._host if self._tls else None,
                        )
                        return
                except OSError:  # a timeout is one, too
                    if index == 0:
                        raise
        except TimeoutError:
            raise TimedOut(f"{self.url} took too long to connect") from None
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that can't be one
            raise Unreachable(f"{self.url}: {error}") from error

    async def _looked_up(self) -> tuple[tuple[str, int], ...]:
        if time.monotonic() > self._addresses_until:
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            self._addresses = tuple(dict.fromkeys((str(at[0]), int(at[1])) for *_, at in found))
            self._addresses_until = time.monotonic() + _DNS_TTL_S
        return self._addresses


class _Idle(asyncio.Protocol):
    """A connection between two requests: whatever arrives on it now belongs to none."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.abort()


class HttpResponse(asyncio.Protocol):
    """The response to one request, as it arrives.

    Args:
        url: The server's URL, for messages.
        most_bytes: The most bytes that the body may have, with what HTTP adds to it.

    Attributes:
        status: The HTTP status; 0 before it is known.
        headers: The headers, names in lower case.
        body: What has arrived of the body, unless a subclass parses it.
        is_reusable: Its connection can be used for another request.
    """

    def __init__(self, url: str, most_bytes: int) -> None:
        self.url = url
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.is_reusable = False
        self._loop = asyncio.get_running_loop()
        self._parser: Any = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._error: ModelError | None = None
        self._complete = False
        self._most_bytes = most_bytes
        self._received = 0

    async def head(self) -> None:
        """Wait for status and headers; raises the same errors as `HttpServer.send`."""
        while not self.status and self._error is None:
            await self._more()
        if not self.status and self._error is not None:
            raise self._error

    async def whole(self) -> bytes:
        """Wait for the whole body, of an error as one line; raises as `HttpServer.send` does."""
        while self._error is None and not self._complete:
            await self._more()
        if self._error is not None:
            raise self._error
        return bytes(self.body) if self.status == 200 else one_line(bytes(self.body))

    def expire(self, seconds: float) -> None:
        """Set the timeout, in place of an earlier one."""
        self._expire(seconds, self._fail, TimedOut(f"{self.url} took too long"))

    def _expire(self, seconds: float, call: Callable[..., None], *args: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, call, *args)

    def write(self, request: tuple[bytes, ...]) -> None:
        """Send the request."""
        assert self._transport is not None
        self._transport.writelines(request)

    def restart(self) -> None:
        """Get ready for a new connection, after one broke before the head of the response."""
        self._transport = self._error = None
        self._received = 0
        self._parser = httptools.HttpResponseParser(self)

    def detach(self) -> asyncio.Transport | None:
        """Stop receiving; returns the connection."""
        if self._timer is not None:
            self._timer.cancel()
        transport, self._transport = self._transport, None
        self._parser = None  # it refers to us
        return transport

    async def _more(self) -> None:
        """Wait until more data arrives."""
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: ModelError) -> None:
        if self._error is None and not self._complete:
            self._error = error
            self._parser = None  # what else comes is not read
        self._wake()

    # --- asyncio.Protocol -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop has its own class

    def data_received(self, data: bytes) -> None:
        """Parse data."""
        if self._parser is None:  # the response was left, or failed
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(BadResponse(f"{self.url}: not HTTP: {error}"))
        if self._received > _HEAD_BYTES:
            self._check_size()

    def _check_size(self) -> None:
        """Fail if more has arrived than may; of an error, its beginning is enough."""
        if self.status not in (0, 200):
            if self._received > _HEAD_BYTES + _ERROR_BYTES and not self._complete:
                self._complete = True
                self._wake()
        elif not self.status or self._received > _HEAD_BYTES + self._most_bytes:
            most = self._most_bytes if self.status else _HEAD_BYTES
            what = "for this request" if self.status else "for the head of a response"
            self._fail(
                BadResponse(
                    f"{self.url} sent {self._received:,} bytes, and {most:,} are allowed {what}"
                )
            )

    def connection_lost(self, error: Exception | None) -> None:
        """Complete the response, or fail if it was cut short."""
        sized = "content-length" in self.headers or "transfer-encoding" in self.headers
        if self.status and not sized:  # the end of the connection is the end of the body
            self._complete = True
            self._wake()
        elif self.status:
            self._fail(BadResponse(f"{self.url}: the response was cut short"))
        else:
            self._fail(Unreachable(f"{self.url}: {error or 'the connection was closed'}"))

    # --- httptools --------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Refuse a second response: there was one request."""
        if self._complete:
            self.is_reusable = False
            raise httptools.HttpParserError("more than one response")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Keep the status; an interim response (1xx) only announces another."""
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            self.headers.clear()
            return
        self.status = status
        coding = self.headers.get("content-encoding", "identity").strip().lower()
        if status == 200 and coding != "identity":
            self._fail(BadResponse(f"{self.url} answers in {coding}, which was not asked for"))
        self._wake()

    def on_body(self, data: bytes) -> None:
        """Keep a part of the body."""
        self.body += data

    def on_message_complete(self) -> None:
        """Mark the response as complete."""
        if not self.status:  # an interim one
            return
        self._complete = True
        self.is_reusable = self._error is None and self._parser.should_keep_alive()
        self._wake()
