"""The completions client: one per model, shared by all trajectories.

Faults that may pass are retried with exponential backoff and jitter: connection errors,
time-outs, 408, 429 (honouring `Retry-After`), 5xx and bodies that are cut short or garbled. Any
other 4xx is a refusal and is not; nor is a whole answer where a stream was asked for. Each is
classified here, once, into a leaf of `ModelError`; an empty completion is none of them.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import aiohttp
import orjson

from tessy.config import ModelSettings
from tessy.errors import (
    BadResponse,
    ConfigError,
    ModelError,
    NotAStream,
    Refused,
    ServerFailure,
    TimedOut,
    Unreachable,
)
from tessy.models.stream import BrokenOff, Place, Stream
from tessy.models.wire import Completion, Dialect, Request, StreamParser, body, parse

_LOOKED_UP_S = 60.0
"""How long a server's address is believed."""
_FIRST_WAIT_S = 0.25
_LONGEST_WAIT_S = 30.0
_LONGEST_RETRY_AFTER_S = 300.0


@dataclass(slots=True)
class Traffic:
    """What went over the wire; for progress and reports."""

    requests: int = 0
    attempts: int = 0
    generated_tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    faults: dict[str, int] = field(default_factory=dict)


Enough = Callable[[int, Exception | None], None]
"""Says that no more is wanted than the first events of an answer, or that reading failed."""


class Reader(Protocol):
    """Reads a streamed answer while it is being made."""

    def begin(self, enough: Enough) -> None:
        """Reading begins; `enough` may be called once, from within `read` or at any time later."""
        ...

    def read(self, text: str, event: int) -> None:
        """Take in the text of an event, and how many events there were with it."""
        ...

    async def finish(self) -> None:
        """Nothing more will come: return when all of it is read, or `enough` was called."""
        ...


R = TypeVar("R", bound=Reader)
T = TypeVar("T")


class ReadAll:
    """A reader that wants all of an answer."""

    def begin(self, enough: Enough) -> None:
        """See `Reader.begin`."""

    def read(self, text: str, event: int) -> None:
        """See `Reader.read`."""

    async def finish(self) -> None:
        """See `Reader.finish`."""


class ReadNothing(ReadAll):
    """A reader that leaves at the first text."""

    def begin(self, enough: Enough) -> None:
        """See `Reader.begin`."""
        self._enough = enough

    def read(self, text: str, event: int) -> None:
        """See `Reader.read`."""
        self._enough(event, None)


class Client:
    """Calls one model's server.

    Args:
        base_url: With `/v1`.
        served_name: The model's name there.
        settings: Time-outs, retries, the limit on concurrent calls, and the key's variable.
        dialect: What the server understands; `models.probe` finds it out.

    Attributes:
        traffic: What went over the wire.
        first_token_s: How long the last stream took to its first text.

    Raises:
        ConfigError: The variable for the API key is not set.
    """

    def __init__(
        self,
        base_url: str,
        served_name: str,
        settings: ModelSettings,
        dialect: Dialect | None = None,
    ) -> None:
        self.base_url = base_url
        self.served_name = served_name
        self.settings = settings
        self.dialect = dialect or Dialect()
        self.traffic = Traffic()
        self.first_token_s = 0.0
        self._slots = asyncio.Semaphore(settings.concurrency) if settings.concurrency else None
        self._headers = {"Content-Type": "application/json"}
        if settings.api_key_env:
            key = os.environ.get(settings.api_key_env)
            if not key:
                raise ConfigError(
                    f"{settings.api_key_env} is not set, but it should hold an API key",
                    hint=f"export {settings.api_key_env}=…",
                )
            self._headers["Authorization"] = f"Bearer {key}"
        self._session: aiohttp.ClientSession | None = None
        self._place: Place | None = None
        self._placed_until = 0.0

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            # uvicorn and llama.cpp close idle connections after 5 s: be first
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=4),
            timeout=aiohttp.ClientTimeout(
                total=self.settings.timeouts.total_s, sock_connect=self.settings.timeouts.connect_s
            ),
            headers=self._headers,
            read_bufsize=2**20,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def complete(
        self, request: Request, *, stream: bool = False, retries: int | None = None
    ) -> Completion:
        """Make one call, with retries.

        Args:
            request: What to ask.
            stream: Read the answer as it is made: a long answer then has a time-out for its
                first token, and needs no connection that is silent for minutes.
            retries: Attempts after the first, if others than the settings'.

        Raises:
            ModelError: The leaf that says why it failed for good.
        """
        if stream:
            completion, _ = await self.follow(request, ReadAll, retries=retries)
            return completion
        payload = body(request, self.served_name, self.dialect, stream=False)
        completion = await self._retrying(retries, self._plain, payload)
        return self._counted(completion)

    async def follow(
        self, request: Request, new_reader: Callable[[], R], *, retries: int | None = None
    ) -> tuple[Completion, R]:
        """Make one call and read its answer while it is being made, with retries.

        The connection is closed when the reader wants no more, at which a good server stops.

        Args:
            request: What to ask.
            new_reader: Makes a reader; one for each attempt, which begins at the beginning.
            retries: Attempts after the first, if others than the settings'.

        Returns:
            What was read, and the reader that read it.

        Raises:
            ModelError: The leaf that says why it failed for good.
        """
        payload = body(request, self.served_name, self.dialect, stream=True)
        completion, reader = await self._retrying(retries, self._read, payload, new_reader)
        return self._counted(completion), reader

    def _counted(self, completion: Completion) -> Completion:
        self.traffic.requests += 1
        self.traffic.generated_tokens += completion.tokens
        self.traffic.prompt_tokens += completion.prompt_tokens or 0
        self.traffic.cached_tokens += completion.cached_tokens or 0
        return completion

    async def post(self, path: str, payload: dict[str, Any]) -> Any:
        """Call another endpoint of the server (`/tokenize`, …), with the same retries.

        Args:
            path: From the server's root, such as `/tokenize`.
            payload: The body.
        """
        return await self._retrying(None, self._other, orjson.dumps(payload), path)

    async def get(self, path: str) -> Any:
        """Fetch an endpoint's JSON once, without retries; `path` as for `post`."""
        url = self._root() + path
        async with self._classified(), self._connected().get(url) as answer:
            raw = await self._checked(answer)
        return _json(raw)

    async def get_text(self, path: str) -> str:
        """Fetch an endpoint's text once, without retries; `path` as for `post`."""
        async with self._classified(), self._connected().get(self._root() + path) as answer:
            return (await self._checked(answer)).decode("utf-8", "replace")

    async def is_alive(self) -> bool:
        """Whether the server answers at all."""
        try:
            url = f"{self.base_url}/models"
            timeout = aiohttp.ClientTimeout(total=self.settings.timeouts.connect_s)
            async with self._connected().get(url, timeout=timeout) as answer:
                await answer.read()
                return answer.status < 500
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("use `async with Client(...)`")
        return self._session

    def _root(self) -> str:
        return self.base_url.removesuffix("/v1")

    async def _retrying(
        self, retries: int | None, attempt: Callable[..., Awaitable[T]], *args: Any
    ) -> T:
        """Try, and try again what may pass (full jitter: Brooker, AWS, 2015)."""
        most = self.settings.retries if retries is None else min(retries, self.settings.retries)
        for number in itertools.count(1):
            self.traffic.attempts += 1
            try:
                async with self._slots or nullcontext():
                    return await attempt(*args)
            except ModelError as error:
                name = type(error).__name__
                self.traffic.faults[name] = self.traffic.faults.get(name, 0) + 1
                if isinstance(error, Refused | NotAStream) or number > most:
                    raise
                await asyncio.sleep(_wait_s(number, error))
        raise AssertionError("it returns or raises")

    async def _plain(self, payload: bytes) -> Completion:
        return parse(await self._other(payload, "/v1/completions"))

    async def _other(self, payload: bytes, path: str) -> Any:
        url = self.base_url + path[3:] if path.startswith("/v1/") else self._root() + path
        async with self._classified(), self._connected().post(url, data=payload) as answer:
            raw = await self._checked(answer)
        return raw if path == "/v1/completions" else _json(raw)

    async def _read(self, payload: bytes, new_reader: Callable[[], R]) -> tuple[Completion, R]:
        reader, times = new_reader(), self.settings.timeouts
        async with self._classified():
            following = _Following(await self._placed(), payload, reader)
            stream = following.stream
            try:
                following.wait(times.first_token_s, times.total_s)
                await stream.open(times.connect_s)
                await stream.over
                if following.error is None and stream.status == HTTPStatus.OK:
                    await reader.finish()
            finally:
                following.close()
        if following.error is not None:
            raise following.error
        self.first_token_s = following.first_s
        if stream.status != HTTPStatus.OK:
            raise self._failure(stream.status, stream.headers, bytes(stream.rest))
        return following.result(), reader

    async def _placed(self) -> Place:
        now = time.monotonic()
        if self._place is None or now > self._placed_until:
            self._place = await Place.find(f"{self.base_url}/completions", self._headers)
            self._placed_until = now + _LOOKED_UP_S
        return self._place

    async def _checked(self, answer: aiohttp.ClientResponse) -> bytes:
        raw = await answer.read()
        if answer.status == 200:
            return raw
        raise self._failure(answer.status, answer.headers, raw, answer.reason or "")

    def _failure(
        self, status: int, headers: Mapping[str, str], raw: bytes, reason: str = ""
    ) -> ModelError:
        said = raw[:500].decode("utf-8", "backslashreplace").strip()
        message = f"{self.base_url} answered {status}: {said or reason}"
        if status in (408, 429) or status >= 500:
            failure = ServerFailure(message)
            failure.retry_after_s = _retry_after_s(
                headers.get("Retry-After") or headers.get("retry-after")
            )
            return failure
        if 300 <= status < 500:
            refusal = Refused(message)
            refusal.status = status
            return refusal
        return BadResponse(message)

    def _classified(self) -> _Classified:
        return _Classified(self.base_url)


class _Following:
    """One attempt to read a stream: what comes goes through the parser to the reader."""

    def __init__(self, place: Place, payload: bytes, reader: Reader) -> None:
        self.stream = Stream(place, payload, self._take)
        self.error: Exception | None = None
        self._parser = StreamParser()
        self._reader = reader
        self._wanted: int | None = None
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._later_s = self._began_s = self.first_s = 0.0
        reader.begin(self._enough)

    def wait(self, first_token_s: float, total_s: float) -> None:
        """Let time run: so long for the first text, and so long for all of it."""
        self._began_s = self._loop.time()
        self._later_s = self._began_s + total_s
        self._timer = self._loop.call_later(first_token_s, self.stream.fail, TimeoutError())

    def _take(self, block: bytes) -> None:
        parser, stream = self._parser, self.stream
        try:
            for text in parser.feed(block):
                if parser.events == 1:
                    self._wait_on()
                self._reader.read(text, parser.events)
                if stream.over.done():
                    return
        except Exception as error:
            self.error = self.error or error
            stream.leave()

    def _wait_on(self) -> None:
        self.first_s = self._loop.time() - self._began_s
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._loop.call_at(self._later_s, self.stream.fail, TimeoutError())

    def _enough(self, events: int, error: Exception | None) -> None:
        self._wanted, self.error = events, self.error or error
        self.stream.leave()

    def close(self) -> None:
        """Leave the stream, however far it is."""
        if self._timer is not None:
            self._timer.cancel()
        self.stream.close()

    def result(self) -> Completion:
        """What was wanted of the answer."""
        if self._wanted is None:
            return self._parser.result()
        return self._parser.first(self._wanted)


class _Classified:
    """Turns what aiohttp and a stream raise into leaves of `ModelError`; the one place for it."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        match error:
            case BrokenOff() if error.begun:
                raise BadResponse(f"{self._base_url}: the answer broke off") from error
            case aiohttp.ClientPayloadError():
                raise BadResponse(f"{self._base_url}: the answer broke off") from error
            case aiohttp.ServerDisconnectedError():
                raise Unreachable(f"{self._base_url}: the connection broke") from error
            case TimeoutError() if not isinstance(error, ModelError):
                raise TimedOut(f"{self._base_url} took too long") from error
            case aiohttp.ClientConnectionError() | OSError() if not isinstance(error, ModelError):
                raise Unreachable(f"{self._base_url}: {error}") from error
            case aiohttp.ClientError() | ValueError() if not isinstance(error, ModelError):
                raise BadResponse(f"{self._base_url}: {error}") from error


def _wait_s(attempt: int, error: ModelError) -> float:
    """Seconds to wait after an attempt; never less than the server asks for."""
    longest = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(attempt, 16))
    asked = error.retry_after_s if isinstance(error, ServerFailure) else 0.0
    return max(random.uniform(0, longest), min(asked, _LONGEST_RETRY_AFTER_S))


def _retry_after_s(header: str | None) -> float:
    """Seconds that a `Retry-After` header asks for (RFC 9110: a number, or a date)."""
    if not header:
        return 0.0
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return 0.0


def _json(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadResponse(f"not JSON: {error}") from None
