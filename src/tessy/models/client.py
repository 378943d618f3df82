"""The completions client: one per model, shared by all trajectories.

Faults that may pass are retried with exponential backoff and jitter: connection errors,
time-outs, 408, 429 (honouring `Retry-After`), 5xx and bodies that are cut short or garbled. Any
other 4xx is a refusal and is not; nor is a whole answer where a stream was asked for. `faults` says
which is which; an empty completion is none of them.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
import orjson

from tessy.config import ModelSettings
from tessy.errors import BadResponse, ConfigError, ModelError, NotAStream, Refused
from tessy.models.faults import Classified, failed, wait_s
from tessy.models.following import Following, ReadAll, Reader
from tessy.models.stream import Place
from tessy.models.wire import Completion, Dialect, Request, body, parse

_LOOKED_UP_S = 60.0
"""How long a server's address is believed."""


@dataclass(slots=True)
class Traffic:
    """What went over the wire; for progress and reports."""

    requests: int = 0
    attempts: int = 0
    generated_tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    faults: dict[str, int] = field(default_factory=dict)


R = TypeVar("R", bound=Reader)
T = TypeVar("T")


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
        """Try, and try again what may pass."""
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
                await asyncio.sleep(wait_s(number, error))
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
            following = Following(await self._placed(), payload, reader)
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
            raise failed(self.base_url, stream.status, stream.headers, bytes(stream.rest))
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
        raise failed(self.base_url, answer.status, answer.headers, raw, answer.reason or "")

    def _classified(self) -> Classified:
        return Classified(self.base_url)


def _json(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadResponse(f"not JSON: {error}") from None
