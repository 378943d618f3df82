"""The latency of a scripted server, and its counts."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

from tessy.testing.engine_loop import EngineStats
from tessy.testing.faults import Fault

_SLACK_S = 0.02
_BREATH_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Latency:
    """How slow the model is, the same for every request.

    Attributes:
        first_token_s: Seconds until the first token.
        token_s: Seconds for each token.
    """

    first_token_s: float = 0.0
    token_s: float = 0.0


@dataclass(slots=True)
class ServerStats:
    """Counts since the server was made, of completions only.

    Attributes:
        requests: Requests that came in, failed ones included.
        streamed: Those answered as a stream.
        aborted: Those whose client left before the answer was complete.
        generated_tokens: Tokens generated, those of aborted requests included.
        prompt_tokens: Tokens of the prompts.
        cached_tokens: Those of them that the prefix cache had.
        in_flight: Requests being answered now, waiting ones included.
        most_in_flight: The most at once.
        running: Requests being generated now; never more than `max_sequences`.
        most_running: The most at once.
        faults: Faults injected.
        engine: What the engine did, if the server has one.
    """

    requests: int = 0
    streamed: int = 0
    aborted: int = 0
    generated_tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    running: int = 0
    most_running: int = 0
    faults: Counter[Fault] = field(default_factory=Counter)
    engine: EngineStats | None = None

    def arrive(self) -> None:
        """A request came in."""
        self.requests += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def start(self) -> None:
        """The generation of a request starts."""
        self.running += 1
        self.most_running = max(self.most_running, self.running)


class Pace:
    """Keeps one request to the server's latency, by the clock, so that errors do not add up.

    Args:
        latency: How slow to be.
        every_token: Wait for each token, as a stream needs it; else in larger steps.
    """

    def __init__(self, latency: Latency, *, every_token: bool) -> None:
        self._latency = latency
        self._slack_s = 0.0 if every_token else _SLACK_S
        self._start_s = time.perf_counter()

    async def reach(self, tokens: int, *, last: bool = False) -> None:
        """Wait until `tokens` tokens would have been generated.

        Args:
            tokens: How many there are now.
            last: There will be no more: wait for all of it.
        """
        due_s = self._start_s + self._latency.first_token_s + tokens * self._latency.token_s
        wait_s = due_s - time.perf_counter()
        if wait_s > (0 if last else self._slack_s):
            await asyncio.sleep(wait_s)
        elif tokens % _BREATH_TOKENS == 0:
            await asyncio.sleep(0)  # lets other requests run, and an abort arrive
