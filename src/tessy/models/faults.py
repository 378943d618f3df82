"""What goes wrong between us and a server, as leaves of `ModelError`, and when to try again.

Every fault is classified here, once: what `aiohttp` and a stream raise, and what a status means.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from types import TracebackType

import aiohttp

from tessy.errors import BadResponse, ModelError, Refused, ServerFailure, TimedOut, Unreachable
from tessy.models.stream import BrokenOff

_FIRST_WAIT_S = 0.25
_LONGEST_WAIT_S = 30.0
_LONGEST_RETRY_AFTER_S = 300.0


class Classified:
    """Turns what aiohttp and a stream raise into leaves of `ModelError`, within `async with`.

    Args:
        base_url: Of the server that is called; messages name it.

    Raises:
        ModelError: The leaf that says what went wrong.
    """

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


def failed(
    base_url: str, status: int, headers: Mapping[str, str], raw: bytes, reason: str = ""
) -> ModelError:
    """The leaf for an answer whose status is not 200.

    Args:
        base_url: Whose answer it is.
        status: Of HTTP.
        headers: Of the answer; `Retry-After` is kept.
        raw: The answer's body.
        reason: The status in words, if the body is empty.
    """
    said = raw[:500].decode("utf-8", "backslashreplace").strip()
    message = f"{base_url} answered {status}: {said or reason}"
    if status in (408, 429) or status >= 500:
        failure = ServerFailure(message)
        failure.retry_after_s = retry_after_s(
            headers.get("Retry-After") or headers.get("retry-after")
        )
        return failure
    if 300 <= status < 500:
        refused = Refused(message)
        refused.status = status
        return refused
    return BadResponse(message)


def wait_s(attempt: int, error: ModelError) -> float:
    """Seconds to wait after an attempt (full jitter: Brooker, AWS, 2015).

    Args:
        attempt: Its number, from 1.
        error: What it came to; what the server asks for is the least, up to five minutes.
    """
    longest = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(attempt, 16))
    asked = error.retry_after_s if isinstance(error, ServerFailure) else 0.0
    return max(random.uniform(0, longest), min(asked, _LONGEST_RETRY_AFTER_S))


def retry_after_s(header: str | None) -> float:
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
