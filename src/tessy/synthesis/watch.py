"""Measures what a run waits for; fewer trajectories run where that helps (see `pressure`)."""

from __future__ import annotations

import asyncio
from statistics import fmean

from tessy.models.session import Model
from tessy.synthesis.context import RunContext
from tessy.synthesis.pressure import WINDOW_S, Pressure, Window

_LOOK_S = 0.02
_FEW_PACED = 16
"""The time of a token is known from so many tokens on."""
_FEW_TOKENS = 30_000
"""A share of cached tokens is known from so many tokens on."""


async def watch(context: RunContext) -> None:
    """Decide again after each window, until it is cancelled.

    Args:
        context: The run's context; its gate, sizes and counters are updated.
    """
    pressure, cache = Pressure(context.config.concurrency), _Cache(context)
    paces = [_TokenPace(model) for model in context.opened.values() if model.streamed]
    counters, waits = context.counters, context.batcher.waits
    while True:
        waits.clear()
        late_s = await _lateness()
        times = [pace.token_s() for pace in paces]
        window = Window(
            late_s=late_s,
            predictor_s=waits.mean_s,
            token_s=fmean(known) if (known := [each for each in times if each]) else None,
            lost=cache.lost(),
        )
        before = pressure.limit
        pressure.take(window)
        for sizes in (context.sizes, *(each.sizes for each in context.teachers.values())):
            sizes.read_after(window.late_s + window.predictor_s)
        if pressure.limit != before:
            context.gate.limit(pressure.limit)
            cache.forget()
        counters.bound, counters.paused = pressure.bound, context.gate.waiting
        counters.retrying = {
            model.called: waiting
            for model in context.opened.values()
            if (waiting := model.servers.stats.retrying)
        }


async def _lateness() -> float:
    """Seconds by which the event loop is late in a window: the mean over its time."""
    loop = asyncio.get_running_loop()
    began = now = loop.time()
    late_s = 0.0
    while now < began + WINDOW_S:
        due = now + _LOOK_S
        await asyncio.sleep(_LOOK_S)
        before, now = now, loop.time()
        late_s += (now - due) * (now - before)
    return max(0.0, late_s / (now - began))


class _TokenPace:
    """The time of a token of one model's streams, by when tokens come, whenever they are read."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._tokens, self._seconds = 0, 0.0
        self._token_s: float | None = None

    def token_s(self) -> float | None:
        """Seconds for a token, of the last ones that came; None if too few came yet."""
        stats = self._model.servers.stats
        if (tokens := stats.paced_tokens - self._tokens) >= _FEW_PACED:
            self._token_s = (stats.paced_s - self._seconds) / tokens
            self._tokens, self._seconds = stats.paced_tokens, stats.paced_s
        return self._token_s


class _Cache:
    """How many of the tokens that servers had before they computed again."""

    def __init__(self, context: RunContext) -> None:
        self._models = [*context.opened.values()]
        self._seen = self._lost = 0

    def forget(self) -> None:
        """Begin to count again."""
        self._seen, self._lost = self._counted()

    def lost(self) -> float | None:
        """The share; None if too few tokens are known. It then begins to count again."""
        seen, lost = self._counted()
        if seen - self._seen < _FEW_TOKENS:
            return None
        share = (lost - self._lost) / (seen - self._seen)
        self._seen, self._lost = seen, lost
        return share

    def _counted(self) -> tuple[int, int]:
        """Prompt tokens that servers had before, as far as they report, and those then lost."""
        all_stats = [model.servers.stats for model in self._models]
        return sum(s.seen_tokens for s in all_stats), sum(s.lost_tokens for s in all_stats)
