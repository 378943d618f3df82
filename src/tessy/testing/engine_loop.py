"""Runs the time model of an engine by the clock: sleeps until a step is due, never busy."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from tessy.testing.engine import ApiServers, Emitted, EngineRequest, EngineTimes, Scheduler


@dataclass(slots=True)
class EngineStats:
    """What an engine did so far; times are its own, `slowed` included.

    Attributes:
        steps: Steps.
        prefill_steps: Those with a prefill in them.
        step_s: Seconds of all steps.
        core_s: Seconds of the engine's core.
        api_s: Seconds of the API servers' cores, added up.
        computed_tokens: Prompt tokens that were computed.
        evicted: Blocks of the cache that were evicted.
        preempted: How often a running request lost its blocks.
        answered: Requests of which a token was sent.
        first_token_s: Seconds from request to first token, added up.
        later_tokens: Tokens sent after the first one of their request.
        later_s: Seconds between first and last token of each request, added up.
        late_s: Seconds that steps ended later than they were due, because this process was busy.
    """

    steps: int = 0
    prefill_steps: int = 0
    step_s: float = 0.0
    core_s: float = 0.0
    api_s: float = 0.0
    computed_tokens: int = 0
    evicted: int = 0
    preempted: int = 0
    answered: int = 0
    first_token_s: float = 0.0
    later_tokens: int = 0
    later_s: float = 0.0
    late_s: float = 0.0


class _Stream:
    """What was sent of one request, and a client that waits for more."""

    __slots__ = ("api", "began_s", "count", "first_s", "last_s", "ready", "request", "waiter")

    def __init__(self, request: EngineRequest, api: int, began_s: float) -> None:
        self.request, self.api, self.began_s = request, api, began_s
        self.ready: deque[Emitted] = deque()
        self.waiter: asyncio.Future[None] | None = None
        self.first_s = self.last_s = 0.0
        self.count = 0

    def deliver(self, written: Emitted, now_s: float) -> None:
        """Give the client what was sent to it."""
        self.ready.append(written)
        self.count += 1
        self.last_s = now_s
        if self.count == 1:
            self.first_s = now_s
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


_Sent = tuple[float, list[tuple[_Stream, Emitted]]]
"""When an API server has sent a step's tokens, and to whom."""


class EngineLoop:
    """An engine that runs by the clock.

    Args:
        times: The engine's.

    Attributes:
        stats: What it did.
    """

    def __init__(self, times: EngineTimes) -> None:
        self.stats = EngineStats()
        self._times = times
        self._api = ApiServers(times.api_servers)
        self._scheduler = Scheduler(times)
        self._streams: dict[EngineRequest, _Stream] = {}
        self._sent: list[deque[_Sent]] = [deque() for _ in range(times.api_servers)]
        self._work: asyncio.Task[None] | None = None

    async def run(self, request: EngineRequest, *, whole: bool) -> AsyncGenerator[Emitted, None]:
        """Generate a request's tokens; leaving the iterator aborts it at the next step.

        Args:
            request: The request.
            whole: The client waits for all of it, so there is no hurry before the last token.
        """
        loop = asyncio.get_running_loop()
        stream = _Stream(request, self._api.least_busy(), loop.time())
        await _until(self._serve(stream.api, stream.began_s, self._times.api_request_s))
        self._streams[request] = stream
        self._scheduler.add(request)
        if self._work is None:
            self._work = loop.create_task(self._steps())
        try:
            while True:
                while not stream.ready or (whole and not stream.ready[-1].last):
                    stream.waiter = loop.create_future()
                    await stream.waiter
                written = stream.ready.popleft()
                yield written
                if written.last:
                    return
        finally:
            self._leave(stream)

    def _leave(self, stream: _Stream) -> None:
        """The API server has to come round to it before the engine hears that a client left."""
        del self._streams[stream.request]
        loop = asyncio.get_running_loop()
        heard_s = self._serve(stream.api, loop.time(), 0.0)
        loop.call_at(heard_s, _abort, stream.request)
        if stream.count:
            self.stats.answered += 1
            self.stats.first_token_s += stream.first_s - stream.began_s
            self.stats.later_tokens += stream.count - 1
            self.stats.later_s += stream.last_s - stream.first_s

    async def _steps(self) -> None:
        loop, stats = asyncio.get_running_loop(), self.stats
        now_s = loop.time()
        try:
            while step := self._scheduler.plan():
                now_s += step.seconds  # by the clock, so that being late doesn't add up
                await _until(now_s)
                stats.late_s += max(0.0, loop.time() - now_s)
                stats.steps += 1
                stats.prefill_steps += step.prefill_tokens > 0
                stats.step_s += step.seconds
                times = self._times
                stats.core_s += times.core_step_s + step.admitted * times.core_request_s
                stats.computed_tokens += step.prefill_tokens
                self._send(self._scheduler.finish(step), now_s)
                stats.evicted = self._scheduler.cache.evicted
                stats.preempted = self._scheduler.preempted
        finally:
            self._work = None

    def _send(self, made: list[tuple[EngineRequest, Emitted]], now_s: float) -> None:
        """Let the API servers send what a step made."""
        loop = asyncio.get_running_loop()
        shares: dict[int, list[tuple[_Stream, Emitted]]] = defaultdict(list)
        for request, written in made:
            if stream := self._streams.get(request):
                shares[stream.api].append((stream, written))
        for api, share in shares.items():
            due_s = self._serve(api, now_s, len(share) * self._times.api_token_s)
            self._sent[api].append((due_s, share))
            loop.call_at(due_s, self._deliver, api, due_s)

    def _deliver(self, api: int, now_s: float) -> None:
        """Deliver what an API server has sent by now; timers may come in another order."""
        sent = self._sent[api]
        while sent and sent[0][0] <= now_s:
            due_s, share = sent.popleft()
            for stream, written in share:
                stream.deliver(written, due_s)

    def _serve(self, api: int, now_s: float, takes_s: float) -> float:
        done_s = self._api.serve(api, now_s, takes_s)
        self.stats.api_s = self._api.busy_s
        return done_s


def _abort(request: EngineRequest) -> None:
    request.gone = True
    request.writes = iter(())  # it may refer to the request: no cycle that holds long prompts


async def _until(due_s: float) -> None:
    """Sleep until a time of the loop's clock."""
    wait_s = due_s - asyncio.get_running_loop().time()
    if wait_s > 0:
        await asyncio.sleep(wait_s)
