"""Learned chunk sizes: how many tokens to ask for when thinking is written in chunks.

A chunk of k tokens takes a + b·k seconds: a until its first token (network, queue, what the prefix
cache lacks), b for each token. A span of n tokens takes as many chunks as are needed to see the
word after it. Small chunks pay a too often; large chunks discard what comes after the boundary. So
each role uses the k that would have taken the least time for the spans seen so far, with a and b
fitted to its calls (least squares; older calls count less). Calls of equal length can't separate a
from b, so every sixteenth call asks for twice as much.

Pure: callers pass in what happened, and no clock is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tessy.method.trajectory import Role

FIRST = {Role.STUDENT: 5, Role.TEACHER: 10}
"""Tokens of the first chunks, as in the published code."""
SMALLEST, LARGEST = 4, 64
_LONGEST = 512
"""Tokens; longer spans count as this long."""
_FEW = 32
"""A size is chosen after this many calls and spans, and again after this many more spans."""
_LARGER_EVERY = 16
_FADING = 0.995
"""Weight of a call relative to the one after it."""


@dataclass(slots=True)
class _Line:
    """A least-squares line through calls, seconds over tokens; older calls count less."""

    calls: int = 0
    weight: float = 0.0
    tokens: float = 0.0
    seconds: float = 0.0
    squares: float = 0.0
    products: float = 0.0

    def add(self, tokens: int, seconds: float) -> None:
        self.calls += 1
        self.weight = self.weight * _FADING + 1
        self.tokens = self.tokens * _FADING + tokens
        self.seconds = self.seconds * _FADING + seconds
        self.squares = self.squares * _FADING + tokens * tokens
        self.products = self.products * _FADING + tokens * seconds

    def fit(self) -> tuple[float, float] | None:
        """Seconds to the first token and seconds for each token, neither below zero.

        None if all calls have about the same length.
        """
        x, y = self.tokens / self.weight, self.seconds / self.weight
        variance = self.squares / self.weight - x * x
        if variance < 1:
            return None
        slope = (self.products / self.weight - x * y) / variance
        slope = min(max(slope, 0.0), y / x)
        return y - slope * x, slope


@dataclass(slots=True)
class _Learned:
    """What was measured for one role."""

    size: int
    line: _Line = field(default_factory=_Line)
    spans: list[int] = field(default_factory=lambda: [0] * (_LONGEST + 1))
    new: int = 0
    asked: int = 0
    ahead: int | None = None

    def fit(self) -> tuple[float, float] | None:
        """Seconds to the first token and for each token; None after too few calls and spans."""
        return self.line.fit() if self.line.calls >= _FEW <= sum(self.spans) else None


class ChunkSizes:
    """The chunk sizes of a run, one for each role, shared by all trajectories.

    Args:
        fixed: Sizes that the user chose; they never change.
    """

    def __init__(self, fixed: dict[Role, int | None]) -> None:
        self._fixed = fixed
        self._learned = {role: _Learned(FIRST[role]) for role in Role}

    def of(self, role: Role) -> int:
        """The size that is currently expected to be the fastest."""
        if fixed := self._fixed.get(role):
            return fixed
        known = self._learned[role]
        if known.new >= _FEW and (line := known.fit()):
            known.size = best(known.spans, *line)
            known.new = 0
        return known.size

    def next(self, role: Role) -> int:
        """How many tokens the next call should ask for."""
        if fixed := self._fixed.get(role):
            return fixed
        size, known = self.of(role), self._learned[role]
        known.asked += 1
        return size if known.asked % _LARGER_EVERY else min(2 * size, LARGEST)

    def called(self, role: Role, tokens: int, seconds: float) -> None:
        """Record a call: how many tokens it returned, and how long it took."""
        if tokens:
            self._learned[role].line.add(tokens, seconds)

    def handed_over(self, role: Role, tokens: int) -> None:
        """Record the length of a span that ended."""
        known = self._learned[role]
        known.spans[min(tokens, _LONGEST)] += 1
        known.new += 1

    def ahead(self, role: Role) -> int | None:
        """The most tokens that a stream should ask for; None if any number will do.

        For a role with a fixed size it does not depend on how late the client is (*Replay*).
        """
        return None if self._fixed.get(role) else self._learned[role].ahead

    def read_after(self, seconds: float) -> None:
        """Choose again how much streams should ask for.

        Args:
            seconds: How long after it was written text is read and judged.
        """
        for known in self._learned.values():
            line = known.fit()
            known.ahead = best_ahead(known.spans, *line, seconds) if line else None


def best_ahead(spans: Sequence[float], first_s: float, token_s: float, late_s: float) -> int | None:
    """How many tokens a stream should ask for, so that a server's time is spent best.

    A stream that is left late goes on for `late_s`, but not beyond what was asked for; what it was
    not asked for costs another request.

    Args:
        spans: The number of spans of each length in tokens, from 0.
        first_s: Seconds that a call takes apart from its tokens.
        token_s: Seconds for each token.
        late_s: Seconds from when text is written until it is read and judged.

    Returns:
        The number; None if it is best to ask for any number.
    """
    if late_s < token_s:
        return None
    import numpy as np  # not needed while the client keeps up

    sizes = np.arange(SMALLEST, LARGEST + 1)
    counts, lengths = np.asarray(spans), np.arange(len(spans))
    chunks = -(-(lengths[:, None] + 1) // sizes)
    written = np.minimum(chunks * sizes * token_s, (lengths[:, None] + 1) * token_s + late_s)
    seconds = counts @ (chunks * first_s + written)
    unlimited = counts @ (first_s + (lengths + 1) * token_s + late_s)
    return int(sizes[seconds.argmin()]) if seconds.min() < unlimited else None


def best(spans: Sequence[float], first_s: float, token_s: float) -> int:
    """The chunk size that takes the least time for the given spans.

    Args:
        spans: The number of spans of each length in tokens, from 0.
        first_s: Seconds that a call takes apart from its tokens.
        token_s: Seconds for each token.
    """
    import numpy as np  # not needed when thinking is streamed

    sizes = np.arange(SMALLEST, LARGEST + 1)
    lengths = np.arange(len(spans))
    chunks = -(-(lengths[:, None] + 1) // sizes)  # one more token is needed to see the boundary
    seconds = np.asarray(spans) @ chunks * (first_s + token_s * sizes)
    return int(sizes[seconds.argmin()])
