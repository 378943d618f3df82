"""The completions client: one for each server, shared by all trajectories.

Temporary faults are retried with exponential backoff and jitter: connection errors, timeouts, 408,
429 (honouring `Retry-After`), 5xx, and bodies that are cut short, garbled, too large, or that end
for a reason of the server's own (`wire.finish_of`). Any other 4xx is a refusal and is not retried,
nor is a redirect, or a whole response to a request for a stream. An empty completion is no fault.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import orjson

from tessy.config import ModelSettings
from tessy.display import visible
from tessy.errors import (
    BadResponse,
    ConfigError,
    ContextExceeded,
    ModelError,
    NotAStream,
    Refused,
    ServerFailure,
)
from tessy.models.http import HttpResponse, HttpServer
from tessy.models.stream import FASTEST_S, EventStream
from tessy.models.wire import Bounds, Capabilities, Completion, Request, body, parse, read_json

R = TypeVar("R")

NO_KEY = (401, 403)
"""How a server refuses an API key, or the lack of one."""
_FIRST_WAIT_S = 0.25
_LONGEST_WAIT_S = 30.0
_LONGEST_RETRY_AFTER_S = 300.0
_GET_S = 30.0
"""A server that does not list its models by then does not answer."""
_LISTED_BYTES = 4 * 2**20
"""The most that a server may say about itself: its models, metrics or slots."""
_POSTED_BYTES = 65_536
_BYTES_A_BYTE = 64
"""The most that the other endpoints may answer for each byte of a request: a token id of six bytes
becomes a token's text, or two probabilities."""
_CONTEXT = re.compile(
    rb"context[ _](length|size|window)|longer than the model|`inputs` tokens|max_model_len"
)
"""How servers (vLLM, SGLang, llama.cpp, TGI) say that a prompt is too long."""


@dataclass(slots=True)
class ClientStats:
    """Counts of calls and tokens, for progress and reports.

    Attributes:
        requests: Calls that succeeded.
        attempts: Calls that were made.
        generated_tokens: Generated tokens that were read.
        prompt_tokens: Prompt tokens, where servers report them.
        cached_tokens: Prompt tokens that came from a prefix cache, where servers report them.
        seen_tokens: Prompt tokens that a server had before, where it reports what is cached.
        lost_tokens: Those of them that it had to compute again.
        paced_tokens: Tokens of streams that came after the first ones, whether read or not, …
        paced_s: … and the seconds in which they came.
        faults: Failed attempts, by the name of their error.
        retrying: Calls that wait now until they are made again.
    """

    requests: int = 0
    attempts: int = 0
    generated_tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    seen_tokens: int = 0
    lost_tokens: int = 0
    paced_tokens: int = 0
    paced_s: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    retrying: int = 0

    def answered(self, completion: Completion) -> None:
        """Count a call that succeeded."""
        self.requests += 1
        self.generated_tokens += completion.tokens
        self.prompt_tokens += completion.prompt_tokens or 0
        self.cached_tokens += completion.cached_tokens or 0

    def streamed(self, events: EventStream) -> None:
        """Count when the tokens of a stream came, unless they came together."""
        seconds = events.last_s - (events.first_s or 0.0)
        if events.later and seconds >= FASTEST_S * events.later:
            self.paced_tokens += events.later
            self.paced_s += seconds

    def __add__(self, other: ClientStats) -> ClientStats:
        return ClientStats(
            requests=self.requests + other.requests,
            attempts=self.attempts + other.attempts,
            generated_tokens=self.generated_tokens + other.generated_tokens,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            seen_tokens=self.seen_tokens + other.seen_tokens,
            lost_tokens=self.lost_tokens + other.lost_tokens,
            paced_tokens=self.paced_tokens + other.paced_tokens,
            paced_s=self.paced_s + other.paced_s,
            faults=self.faults + other.faults,
            retrying=self.retrying + other.retrying,
        )


class Call:
    """Decides whether a failed call is retried, and waits before the retry.

    Args:
        client: The client that makes the call.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.attempts = 0

    async def run(self, attempt: Callable[[Client], Awaitable[R]]) -> R:
        """Make attempts until one succeeds.

        Args:
            attempt: One attempt, with the client to use.

        Raises:
            ModelError: The call failed for good; its subclass says why.
        """
        while True:
            try:
                return await attempt(self.client)
            except ModelError as error:
                await self.retry_after(error)

    async def retry_after(self, error: ModelError) -> None:
        """Wait until the call may be retried.

        Args:
            error: How the last attempt failed.

        Raises:
            ModelError: `error`, if the call must not be retried.
        """
        self.attempts += 1
        self.client.stats.faults[type(error).__name__] += 1
        if isinstance(error, Refused | NotAStream) or self.attempts > self.client.settings.retries:
            raise error
        stats = self.client.stats
        stats.retrying += 1
        try:
            await asyncio.sleep(wait_s(self.attempts, error))
        finally:
            stats.retrying -= 1


class Client:
    """Calls one server of a model. `close` it after use.

    Args:
        base_url: The server's URL, with `/v1`.
        served_name: The model's name on the server.
        settings: Timeouts, retries, the limit on concurrent calls, and the API key's variable.
        capabilities: What the server can do, as found by `models.probe`.

    Attributes:
        stats: Counts of calls and tokens.
        first_token_s: Seconds from the request to the first text in the last stream.

    Raises:
        ConfigError: The variable for the API key is not set, or holds no key.
    """

    def __init__(
        self,
        base_url: str,
        served_name: str,
        settings: ModelSettings,
        capabilities: Capabilities | None = None,
    ) -> None:
        self.base_url = base_url
        self.settings = settings
        self.capabilities = replace(capabilities or Capabilities(), served_name=served_name)
        self.stats = ClientStats()
        self.first_token_s = 0.0
        self._slots = asyncio.Semaphore(settings.concurrency) if settings.concurrency else None
        headers = {"Content-Type": "application/json"}
        if settings.api_key_env:
            headers["Authorization"] = f"Bearer {key_in(settings.api_key_env)}"
        self._server = HttpServer(base_url.removesuffix("/v1"), headers)

    @property
    def served_name(self) -> str:
        """The model's name on the server."""
        return self.capabilities.served_name

    def close(self) -> None:
        """Close idle connections."""
        self._server.close()

    def call(self) -> Call:
        """Begin a call."""
        return Call(self)

    async def complete(self, request: Request, *, stream: bool = False) -> Completion:
        """Make one call, with retries.

        Args:
            request: The request.
            stream: Stream the response: a long one then has a timeout for its first token, and the
                connection is not silent for minutes.

        Raises:
            ModelError: The call failed for good; its subclass says why.
        """
        return await self.call().run(lambda client: client.attempt(request, stream=stream))

    async def attempt(self, request: Request, *, stream: bool = False) -> Completion:
        """Like `complete`, without retries."""
        if stream:
            async with self.stream(request) as events:
                async for _ in events:
                    pass
            return events.completion()
        self.stats.attempts += 1
        payload = body(request, self.capabilities, stream=False)
        bounds = Bounds.of(request, len(payload))
        async with self._slots or nullcontext():
            raw = await self._exchange(
                "/v1/completions",
                payload,
                most_bytes=bounds.whole_bytes,
                session=request.session,
            )
        try:
            completion = parse(raw, bounds)
        except BadResponse as error:
            raise BadResponse(f"{self.base_url}: {error}") from None
        self.stats.answered(completion)
        return completion

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[EventStream]:
        """Make one call, without retries, and stream its response.

        Leaving the context early closes the connection, which makes a good server stop generating.

        Raises:
            ModelError: The call failed; its subclass says why.
        """
        times = self.settings.timeouts
        payload = body(request, self.capabilities, stream=True)
        self.stats.attempts += 1
        async with self._slots or nullcontext():
            bounds = Bounds.of(request, len(payload))
            events = EventStream(self.base_url, bounds, times)
            try:
                await self._server.send(
                    events,
                    "/v1/completions",
                    payload,
                    connect_s=times.connect_s,
                    session=request.session,
                )
                if events.status != 200:
                    raise failure_of(events, await events.whole())
                yield events
            finally:
                self._server.done(events)
        self.first_token_s = events.first_s or 0.0
        self.stats.streamed(events)
        self.stats.answered(events.completion())  # raises if its counts make no sense

    async def post(self, path: str, payload: dict[str, Any]) -> Any:
        """Post JSON to another endpoint of the server, with retries; returns the response's JSON.

        Args:
            path: The path from the server's root, such as `/tokenize`.
            payload: The body.

        Raises:
            ModelError: The call failed for good; its subclass says why.
        """
        return await self.call().run(lambda client: client.post_once(path, payload))

    async def post_once(self, path: str, payload: dict[str, Any]) -> Any:
        """Like `post`, without retries."""
        self.stats.attempts += 1
        sent = orjson.dumps(payload)
        most = _POSTED_BYTES + _BYTES_A_BYTE * len(sent)
        async with self._slots or nullcontext():
            raw = await self._exchange(path, sent, most_bytes=most)
        return self._json(raw, path)

    async def get(self, path: str) -> Any:
        """Get JSON from an endpoint, without retries; `path` is as for `post`."""
        return self._json(await self._exchange(path, seconds=_GET_S), path)

    async def get_text(self, path: str) -> str:
        """Get text from an endpoint, without retries; `path` is as for `post`."""
        return (await self._exchange(path, seconds=_GET_S)).decode("utf-8", "replace")

    def url_of(self, path: str) -> str:
        """The whole URL of a path from the server's root, for messages."""
        return self._server.url + path

    async def is_alive(self) -> bool:
        """Whether the server responds without a 5xx."""
        try:
            await self._exchange("/v1/models", seconds=self.settings.timeouts.connect_s)
        except ModelError as error:
            return 0 < error.status < 500
        return True

    def _json(self, raw: bytes, path: str) -> Any:
        try:
            return read_json(raw)
        except BadResponse as error:
            raise BadResponse(f"{self.url_of(path)}: {error}") from None

    async def _exchange(
        self,
        path: str,
        payload: bytes | None = None,
        seconds: float | None = None,
        most_bytes: int = _LISTED_BYTES,
        session: str = "",
    ) -> bytes:
        """Send one request; returns the body of its response."""
        times = self.settings.timeouts
        response = HttpResponse(self.url_of(path), most_bytes)
        response.expire(times.total_s if seconds is None else seconds)
        try:
            await self._server.send(
                response, path, payload, connect_s=times.connect_s, session=session
            )
            raw = await response.whole()
        finally:
            self._server.done(response)
        if response.status != 200:
            raise failure_of(response, raw)
        return raw


def failure_of(response: HttpResponse, raw: bytes) -> ModelError:
    """The error for a response whose status is not 200.

    Args:
        response: The response; the error takes over its `Retry-After`.
        raw: Its body.
    """
    status = response.status
    said = raw[:500].decode("utf-8", "backslashreplace").strip()
    message = f"{response.url} answered {status}" + (f": {said}" if said else "")
    error: ModelError
    if status in (408, 429) or status >= 500:
        error = ServerFailure(message)
        error.retry_after_s = retry_after_s(response.headers)
    elif 300 <= status < 400:
        there = visible(response.headers.get("location", "nowhere"))[:200]
        error = Refused(
            f"{response.url} redirects to {there} ({status}), where nothing is sent",
            hint="if that is the server, give its URL instead",
        )
    elif 400 <= status < 500:
        too_long = status in (400, 413, 422) and _CONTEXT.search(raw[:4096])
        error = (ContextExceeded if too_long else Refused)(message)
    else:
        error = BadResponse(message)
    error.status = status
    return error


def wait_s(attempt: int, error: ModelError) -> float:
    """Seconds to wait after a failed attempt (full jitter: Brooker, AWS, 2015).

    Args:
        attempt: The number of the attempt, from 1.
        error: How it failed; the random wait comes after the server's `Retry-After`, up to five
            minutes, so that not all calls come back at once.
    """
    longest = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(attempt, 16))
    asked = error.retry_after_s if isinstance(error, ServerFailure) else 0.0
    return min(asked, _LONGEST_RETRY_AFTER_S) + random.uniform(0, longest)


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Seconds that a `Retry-After` header asks for (RFC 9110: a number, or a date).

    Args:
        headers: Headers of a response, names in lower case.
    """
    header = headers.get("retry-after", "")
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def key_in(variable: str, setting: str = "api_key_env") -> str:
    """The API key in an environment variable, without blanks and line ends around it.

    Args:
        variable: The variable's name.
        setting: The setting that names it, for messages.

    Raises:
        ConfigError: The variable is not set, or holds what can't be a key.
    """
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(
            f"{variable} is not set, but it should hold an API key ({setting})",
            hint=f"export {variable}=…; or leave {setting} out, if the server wants no key",
        )
    odd = next((character for character in key if not "!" <= character <= "~"), None)
    if odd is not None:
        raise ConfigError(
            f"{variable} ({setting}) holds no API key: it contains U+{ord(odd):04X}",
            hint="a key has no blanks, line ends or letters beyond ASCII: is it one line?",
        )
    return key
