"""How much to ask for at once, so that what servers write is also read.

A stream goes on while nobody reads it. A client that is late (its event loop has more to do than
it can, or its predictor a queue) leaves a stream some tokens after the word that decides, and these
are discarded. Then it helps to ask for fewer tokens in a request (`ChunkSizes.ahead`), and where
the event loop is late, for fewer trajectories at once. For a predictor there are no fewer: it is
asked for many passages at once, and judges eight about as fast as one. Fewer trajectories also help
a server whose prefix cache is too small for all of them: each then evicts what another needs next.

The number of trajectories is lowered by a part while it is too large, and raised by a few while it
is not (additive increase, multiplicative decrease: Chiu and Jain 1989). If that does not help,
since other programs make the client late, or a model's cache never hits, it goes back to where it
was.

Pure: callers pass in what was measured, once for each window of `WINDOW_S`, and no clock is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

WINDOW_S = 1.0
"""Seconds between two decisions."""
TOO_LATE, IN_TIME = 1.0, 0.5
"""Tokens written before an event is read: from the first on, fewer trajectories run; below the
second, more."""
LONG_WAIT_S = 0.1
"""A passage that waits so long for its judgement waits longer than a token takes."""
TOO_LOST, NONE_LOST = 0.2, 0.05
"""The same for the share of prompt tokens that a server had before and computes again."""
_LEAST_LEFT, _MOST_LEFT = 0.7, 0.95
"""The part that is left after one window, whatever the cause's strength."""
_MORE = 32
"""One more in so many, or one."""
_GIVE_UP_AT = 1 / 4
"""With this part of the trajectories, the cause has to be less than `_HELPED` of what it was."""
_HELPED = 0.7
_REST, _LONGEST_REST = 60, 960
"""Windows until the next try, after one that did not help; doubled each time."""


class Bound(StrEnum):
    """What a run waits for most."""

    CLIENT = "client"
    """The event loop is late by more than a token."""
    PREDICTOR = "predictor"
    """Words wait for the predictor while more than a token is written, or for long."""
    CACHE = "server's cache"
    """A server computes prompts again, which it had before."""
    SERVER = "server"
    """None of these: the models write as fast as they can."""


@dataclass(slots=True)
class Window:
    """What was measured in a window.

    Attributes:
        late_s: Seconds by which the event loop is late, in the mean.
        predictor_s: Seconds that a passage waits for its judgement, in the mean.
        token_s: Seconds for a token of a stream, in the mean of the models; None if nothing is
            streamed, or not known yet.
        lost: The share of prompt tokens computed again; None if too few are known.
    """

    late_s: float = 0.0
    predictor_s: float = 0.0
    token_s: float | None = None
    lost: float | None = None

    @property
    def late(self) -> float:
        """Tokens that are written before an event is read."""
        return self.late_s / self.token_s if self.token_s else 0.0

    @property
    def waits_to_be_judged(self) -> bool:
        """Whether more than a token is written before what was read is judged."""
        most_s = TOO_LATE * self.token_s if self.token_s else LONG_WAIT_S
        return self.predictor_s > 0 and self.late_s + self.predictor_s >= most_s


@dataclass(slots=True)
class _Try:
    """Fewer trajectories because of one cause.

    Attributes:
        bound: The cause.
        before: The limit before.
        level: How strong the cause was then.
    """

    bound: Bound
    before: int
    level: float


@dataclass(slots=True)
class Pressure:
    """Decides how many trajectories run at once.

    Args:
        most: Trajectories at once, as the settings say.

    Attributes:
        limit: How many may run now, from 1 to `most`.
        bound: What the run waits for; None before the first window.
    """

    most: int
    limit: int = field(init=False)
    bound: Bound | None = None
    _try: _Try | None = None
    _rest: int = 0
    _next_rest: int = _REST

    def __post_init__(self) -> None:
        self.limit = self.most

    def take(self, window: Window) -> None:
        """Take in a window, and decide again."""
        cause, level = _cause(window)
        self._rest = max(0, self._rest - 1)
        if cause in (Bound.CLIENT, Bound.CACHE):
            self.bound = cause
            if not self._rest:
                self._lower(cause, level)
        elif window.late < IN_TIME and (window.lost is None or window.lost < NONE_LOST):
            self._raise(window.lost is not None)
        if cause is Bound.PREDICTOR or (self._try is None and cause is Bound.SERVER):
            self.bound = cause

    def _lower(self, cause: Bound, level: float) -> None:
        threshold = TOO_LOST if cause is Bound.CACHE else TOO_LATE
        if self._try is None or self._try.bound is not cause:
            self._try = _Try(cause, self.limit, level)
        begun = self._try
        if self.limit <= max(1, begun.before * _GIVE_UP_AT) and level > begun.level * _HELPED:
            self.limit, self._try = begun.before, None
            self._rest = self._next_rest
            self._next_rest = min(2 * self._next_rest, _LONGEST_REST)
        else:
            part = min(max(_LEAST_LEFT, threshold / level), _MOST_LEFT)
            self.limit = max(1, min(self.limit - 1, int(self.limit * part)))

    def _raise(self, cache_is_known: bool) -> None:
        if self._try is not None and self._try.bound is Bound.CACHE and not cache_is_known:
            return
        self.limit = min(self.most, self.limit - (-self.most // _MORE))
        if self.limit == self.most:
            self._try = None


def _cause(window: Window) -> tuple[Bound, float]:
    """What a run waits for, and how strong that is, if fewer trajectories can help."""
    if window.late >= TOO_LATE:
        return Bound.CLIENT, window.late
    if window.lost is not None and window.lost >= TOO_LOST:
        return Bound.CACHE, window.lost
    if window.waits_to_be_judged:
        return Bound.PREDICTOR, 0.0
    return Bound.SERVER, 0.0
