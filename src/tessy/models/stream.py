"""A streamed answer: one HTTP/1.1 request on a connection of its own, read as it comes.

Most streams of a synthesis are left before their end, and leaving one means closing its
connection, so there is nothing to pool. A span of fifteen tokens is fifteen small reads; a client
for general use spends more on each of them than all the rest of our work (docs/performance.md),
so this is asyncio's protocol and httptools' parser, and nothing else. Not covered: proxies,
redirects, HTTP/2 (the plain calls of `models.client` go through aiohttp).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast
from urllib.parse import urlsplit

import httptools


class BrokenOff(ConnectionError):
    """The connection ended before the answer did.

    Args:
        message: What is known of it.
        begun: Some of the answer had come.
    """

    def __init__(self, message: str, *, begun: bool) -> None:
        super().__init__(message)
        self.begun = begun


class NotHttp(ValueError):
    """What came is no HTTP."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where streams of one server are asked for, looked up once.

    Attributes:
        head: The request's first lines, up to its length.
        host: The server's name.
        addresses: What that means, as (address, port).
        tls: For https.
    """

    head: bytes
    host: str
    addresses: tuple[tuple[str, int], ...]
    tls: ssl.SSLContext | None

    @classmethod
    async def find(cls, url: str, headers: Mapping[str, str]) -> Place:
        """Look a server up.

        Args:
            url: Where to post to.
            headers: Of each request.

        Raises:
            OSError: The name means no address.
        """
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        host, port = parts.hostname or "", parts.port or (443 if secure else 80)
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"POST {target} HTTP/1.1", f"Host: {parts.netloc}", "Accept: text/event-stream"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return cls(
            head="\r\n".join(lines).encode("latin-1") + b"\r\nContent-Length: ",
            host=host,
            addresses=tuple(dict.fromkeys((str(at[0]), int(at[1])) for *_, at in found)),
            tls=ssl.create_default_context() if secure else None,
        )


class Stream(asyncio.Protocol):
    """One answer. The body of a 200 goes to `take` as it comes; that of any other is kept.

    Args:
        place: Where to ask.
        body: Of the request.
        take: Takes parts of the answer's body; may call `leave`.

    Attributes:
        status: Of the answer; 0 before it is known.
        headers: Of the answer, names in lower case.
        rest: The body of an answer that is no 200.
        over: Done when the answer has ended, was left, or has failed (`BrokenOff`, `NotHttp`).
    """

    def __init__(self, place: Place, body: bytes, take: Callable[[bytes], None]) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.rest = bytearray()
        self._loop = asyncio.get_running_loop()
        self.over: asyncio.Future[None] = self._loop.create_future()
        self._place = place
        self._body = body
        self._take = take
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None

    async def open(self, connect_s: float) -> None:
        """Connect and send the request.

        Args:
            connect_s: Seconds that it may take.

        Raises:
            OSError: No connection could be opened.
            TimeoutError: It took too long.
        """
        tls = self._place.tls
        name = self._place.host if tls else None
        until = self._loop.time() + connect_s
        for left in range(len(self._place.addresses), 0, -1):
            address, port = self._place.addresses[-left]
            share = (until - self._loop.time()) / left  # one may never answer
            try:
                async with asyncio.timeout(share):
                    await self._loop.create_connection(
                        lambda: self, address, port, ssl=tls, server_hostname=name
                    )
            except OSError:  # a time-out is one, too
                if left == 1:
                    raise
            else:
                return

    def leave(self) -> None:
        """Read no more."""
        if not self.over.done():
            self.over.set_result(None)

    def fail(self, error: BaseException) -> None:
        """Let `over` raise an error."""
        if not self.over.done():
            self.over.set_exception(error)

    def close(self) -> None:
        """Close the connection, at which a good server stops."""
        if self._transport is not None:
            self._transport.abort()
        if self.over.done() and not self.over.cancelled():
            self.over.exception()  # nobody may be waiting for it any more

    # --- Of asyncio.Protocol ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        length = str(len(self._body)).encode()
        self._transport.writelines((self._place.head, length, b"\r\n\r\n", self._body))

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.fail(NotHttp(f"no HTTP: {error}"))

    def connection_lost(self, error: Exception | None) -> None:
        """The answer is over, or broken off."""
        sized = "content-length" in self.headers or "transfer-encoding" in self.headers
        if self.status and not sized:  # a body that ends with its connection
            self.leave()
        else:
            said = str(error) if error else "the connection was closed"
            self.fail(BrokenOff(said, begun=bool(self.status)))

    # --- Of httptools -----------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Keep the status."""
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Hand on a part of the body."""
        if self.status != HTTPStatus.OK:
            self.rest += body
        elif not self.over.done():
            self._take(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        self.leave()
