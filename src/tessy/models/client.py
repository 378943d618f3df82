"""The completions client: one per model, shared by all trajectories.

Faults that may pass are retried with exponential backoff and jitter: connection errors,
time-outs, 408, 429 (honouring `Retry-After`), 5xx and bodies that are cut short or garbled. Any
other 4xx is a refusal and is not. Each is classified here, once, into a leaf of `ModelError`;
an empty completion is none of them.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson
import tenacity

from tessy.config import ModelSettings
from tessy.errors import (
    BadResponse,
    ConfigError,
    ModelError,
    Refused,
    ServerFailure,
    TimedOut,
    Unreachable,
)
from tessy.models.wire import Completion, Dialect, Request, StreamParser, body, parse

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


class Client:
    """Calls one model's server.

    Args:
        base_url: With `/v1`.
        served_name: The model's name there.
        settings: Time-outs, retries, the limit on concurrent calls, and the key's variable.
        dialect: What the server understands; `models.probe` finds it out.

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

    async def complete(self, request: Request, *, stream: bool = False) -> Completion:
        """Make one call, with retries.

        Args:
            request: What to ask.
            stream: Read the answer as it is made: a long answer then has a time-out for its
                first token, and needs no connection that is silent for minutes.

        Raises:
            ModelError: The leaf that says why it failed for good.
        """
        payload = body(request, self.served_name, self.dialect, stream=stream)
        attempt = self._stream if stream else self._plain
        self.traffic.requests += 1
        completion: Completion = await self._retrying(attempt, payload)
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
        return await self._retrying(self._other, orjson.dumps(payload), path)

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

    async def open_and_close(self, request: Request) -> None:
        """Begin a streamed call and leave at its first text: does the server stop then?"""
        payload = body(request, self.served_name, self.dialect, stream=True)
        parser = StreamParser()
        url = f"{self.base_url}/completions"
        async with self._classified(), self._connected().post(url, data=payload) as answer:
            async for line in answer.content:
                if parser.feed(line):
                    break
            answer.close()

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

    async def _retrying(self, attempt: Any, *args: Any) -> Any:
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_may_pass),
            stop=tenacity.stop_after_attempt(self.settings.retries + 1),
            wait=_wait,
            reraise=True,
        )
        async for trial in retrying:
            with trial:
                self.traffic.attempts += 1
                try:
                    async with self._slots or nullcontext():
                        return await attempt(*args)
                except ModelError as error:
                    name = type(error).__name__
                    self.traffic.faults[name] = self.traffic.faults.get(name, 0) + 1
                    raise
        raise AssertionError("tenacity returns or raises")

    async def _plain(self, payload: bytes) -> Completion:
        return parse(await self._other(payload, "/v1/completions"))

    async def _other(self, payload: bytes, path: str) -> Any:
        url = self.base_url + path[3:] if path.startswith("/v1/") else self._root() + path
        async with self._classified(), self._connected().post(url, data=payload) as answer:
            raw = await self._checked(answer)
        return raw if path == "/v1/completions" else _json(raw)

    async def _stream(self, payload: bytes) -> Completion:
        parser = StreamParser()
        patience = self.settings.timeouts.first_token_s
        url = f"{self.base_url}/completions"
        async with self._classified():
            async with asyncio.timeout(patience) as first:
                async with self._connected().post(url, data=payload) as answer:
                    if answer.status != 200:
                        await self._checked(answer)
                    async for line in answer.content:
                        if parser.feed(line):
                            first.reschedule(None)
        return parser.result()

    async def _checked(self, answer: aiohttp.ClientResponse) -> bytes:
        raw = await answer.read()
        if answer.status == 200:
            return raw
        said = raw[:500].decode("utf-8", "backslashreplace").strip()
        message = f"{self.base_url} answered {answer.status}: {said or answer.reason}"
        if answer.status in (408, 429) or answer.status >= 500:
            failure = ServerFailure(message)
            failure.retry_after_s = _retry_after_s(answer.headers.get("Retry-After"))
            raise failure
        if 300 <= answer.status < 500:
            refusal = Refused(message)
            refusal.status = answer.status
            raise refusal
        raise BadResponse(message)

    def _classified(self) -> _Classified:
        return _Classified(self.base_url)


class _Classified:
    """Turns what aiohttp raises into leaves of `ModelError`: the one place that does."""

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


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, ModelError) and not isinstance(error, Refused)


_backoff = tenacity.wait_random_exponential(multiplier=_FIRST_WAIT_S, max=_LONGEST_WAIT_S)


def _wait(state: tenacity.RetryCallState) -> float:
    """Seconds to wait: exponential with full jitter, but never less than the server asks for."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_s if isinstance(error, ServerFailure) else 0.0
    return max(float(_backoff(state)), min(asked, _LONGEST_RETRY_AFTER_S))


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
