"""Faults: the ways in which a model server fails, drawn at a given rate from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import StrEnum


class Fault(StrEnum):
    """What goes wrong with one request."""

    SERVER_ERROR = "server_error"
    """500."""
    RATE_LIMIT = "rate_limit"
    """429 with Retry-After."""
    TIMEOUT = "timeout"
    """No answer until the client leaves."""
    DISCONNECT = "disconnect"
    """The connection breaks in the middle of the body or the stream."""
    TRUNCATED = "truncated"
    """The body is cut short, with the Content-Length of what is left: the connection is fine, the
    JSON is not. A stream ends without `finish_reason`, usage and `[DONE]`."""
    ABORT = "abort"
    """The text ends early, with `finish_reason` "abort", as when vLLM's engine is stopped."""
    STALL = "stall"
    """The connection stays open and nothing more comes, after the first events of a stream."""
    EMPTY = "empty"
    """A valid answer with an empty text, no tokens and `finish_reason` "stop"."""
    GARBAGE = "garbage"
    """200 with bytes that are neither JSON nor UTF-8 (in a stream: in its first event)."""
    REFUSE = "refuse"
    """400."""


ALL_RETRYABLE: tuple[Fault, ...] = (
    Fault.SERVER_ERROR,
    Fault.RATE_LIMIT,
    Fault.DISCONNECT,
    Fault.TRUNCATED,
    Fault.GARBAGE,
    Fault.ABORT,
)
"""Faults that show at once and that a retry cures."""


@dataclass(frozen=True, slots=True)
class DrawnFault:
    """A fault of one request.

    Attributes:
        fault: What goes wrong.
        place: How far into the body it strikes, 0 to 1.
        retry_after_s: What `Retry-After` says, in seconds.
    """

    fault: Fault
    place: float
    retry_after_s: float


@dataclass(slots=True)
class Faults:
    """Draws faults. The n-th draw depends only on the seed and n.

    Attributes:
        rate: The share of requests that fail, 0 to 1.
        kinds: Which faults, each as likely as the others.
        seed: Of the random numbers.
        retry_after_s: What `Retry-After` says; a fraction of a second is fine for tests.
    """

    rate: float
    kinds: tuple[Fault, ...] = ALL_RETRYABLE
    seed: int = 0
    retry_after_s: float = 0.01
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ValueError(f"a rate is from 0 to 1, not {self.rate}")
        if self.rate and not self.kinds:
            raise ValueError("`kinds` of faults is empty")
        self._random = random.Random(f"faults\0{self.seed}")

    def draw(self) -> DrawnFault | None:
        """The fault of the next request, if it fails."""
        hit, kind, place = (self._random.random() for _ in range(3))
        if hit >= self.rate:
            return None
        return DrawnFault(self.kinds[int(kind * len(self.kinds))], place, self.retry_after_s)
