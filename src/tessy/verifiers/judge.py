"""Verifying many responses, in order, and counting what came of it."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

from tessy.errors import DataError, InputError
from tessy.verifiers.protocol import Outcome, Verdict, Verifier
from tessy.verifiers.responses import Response

_AHEAD = 8
"""Responses under way for each that the verifier works on at once, so that it never waits."""
_SHOWN = 20


@dataclass(slots=True)
class Tally:
    """Verdicts, counted.

    Attributes:
        outcomes: How many came out how.
        scores: The sum of their scores.
    """

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    scores: float = 0.0

    def add(self, verdict: Verdict) -> None:
        """Count a verdict."""
        self.outcomes[verdict.outcome] += 1
        self.scores += verdict.score

    @property
    def count(self) -> int:
        """How many were counted."""
        return self.outcomes.total()

    @property
    def right_share(self) -> float:
        """The share that is right, of all; errors are among these."""
        return self.outcomes[Outcome.RIGHT] / self.count if self.count else 0.0


def check_all(responses: Iterable[Response], verifier: Verifier) -> int:
    """See whether all can be verified.

    Args:
        responses: What will be verified.
        verifier: By whom.

    Returns:
        How many there are.

    Raises:
        DataError: There is none, or some can't be; each is named, with the reason.
    """
    bad: list[str] = []
    hint, count = None, 0
    for count, response in enumerate(responses, 1):  # noqa: B007
        try:
            verifier.check(response.row)
        except InputError as error:
            bad.append(f"  {response.where}: {error}")
            hint = hint or error.hint
    if not count:
        raise DataError("there is no response to verify")
    if bad:
        more = [f"  … and {len(bad) - _SHOWN} more"] if len(bad) > _SHOWN else []
        head = f"{len(bad)} of {count} can't be verified; nothing was started"
        raise DataError("\n".join([head, *bad[:_SHOWN], *more]), hint=hint)
    return count


async def judge(
    responses: Iterable[Response], verifier: Verifier, *, at_once: int
) -> AsyncIterator[tuple[Response, Verdict]]:
    """Verify responses, many at once.

    Args:
        responses: What to verify; read as needed.
        verifier: By whom.
        at_once: How many it works on at once.

    Yields:
        Each response with its verdict, in order.
    """
    waiting: deque[tuple[Response, asyncio.Task[Verdict]]] = deque()
    try:
        for response in responses:
            task = asyncio.ensure_future(_verdict(verifier, response))
            waiting.append((response, task))
            if len(waiting) >= at_once * _AHEAD:
                first, task = waiting.popleft()
                yield first, await task
        while waiting:
            first, task = waiting.popleft()
            yield first, await task
    finally:
        for _, task in waiting:
            task.cancel()
        await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)


async def _verdict(verifier: Verifier, response: Response) -> Verdict:
    """A verdict; a verifier of somebody's own may raise, and that is one, too."""
    try:
        return await verifier.verify(response.row, response.answer)
    except Exception as error:
        return Verdict(Outcome.ERROR, detail=f"{verifier.name} raised {error!r}")
