"""Replicas: several servers of one model, of which each trajectory has one.

    pin       a trajectory stays where its prefix is cached: the replica is chosen by rendezvous
              hashing on its id (Thaler and Ravishankar 1998), among those that are not full
              (bounded loads: Mirrokni, Thorup and Zadimoghaddam 2018)
    move      it goes elsewhere when its replica is gone; and to a replica that has become much
              quicker, if what it gains there is more than its prefix costs to compute anew
    watch     a replica that is gone is asked every few seconds, and used again when it answers

One server is a case of this: there is nowhere to go then, and its calls are tried to the end.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

from tessy.errors import ServerFailure, TimedOut, Unreachable
from tessy.models.client import Client, Traffic
from tessy.models.following import Reader
from tessy.models.wire import Completion, Dialect, Request

_WATCH_S = 2.0
_QUICK_RETRIES = 1
"""Attempts after the first before a replica is suspected to be gone, where there are others."""
_MARGIN = 2
"""Trajectories that a replica must have more than another for a move to be thought of."""

T = TypeVar("T")
R = TypeVar("R", bound=Reader)


@dataclass(slots=True)
class Replica:
    """One of the servers.

    Attributes:
        client: Calls it.
        up: It answered when it was last asked.
        load: Trajectories that it has.
        first_s: Seconds to a first token whose prefix was cached; fading mean; None: not known.
        prefill_s: Seconds for each token of a prefix that was not.
    """

    client: Client
    up: bool = True
    load: int = 0
    first_s: float | None = None
    prefill_s: float | None = None

    def took(self, seconds: float, new_tokens: int) -> None:
        """A first token took so long; so many tokens of its prompt were new to this replica."""
        if new_tokens:
            each = max(0.0, seconds - (self.first_s or 0.0)) / new_tokens
            self.prefill_s = _faded(self.prefill_s, each)
        else:
            self.first_s = _faded(self.first_s, seconds)


def _faded(mean: float | None, value: float) -> float:
    return value if mean is None else 0.9 * mean + 0.1 * value


def pays(here: Replica, there: Replica, prefix_tokens: int, turns: int) -> bool:
    """Whether a trajectory gains by moving.

    Args:
        here: Where it is.
        there: Where it might be.
        prefix_tokens: What would have to be computed anew.
        turns: First tokens that it will still wait for, about.
    """
    if here.load - there.load < _MARGIN or here.first_s is None:
        return False
    waits_there = there.first_s or 0.0
    prefill_s = there.prefill_s or here.prefill_s or 0.0
    return turns * (here.first_s - waits_there) > prefix_tokens * prefill_s


def ranked(key: str, names: Sequence[str]) -> list[int]:
    """The places of some servers in the order of their rendezvous weight for a key."""
    weights = [hashlib.blake2b(f"{key}\0{name}".encode(), digest_size=8).digest() for name in names]
    return sorted(range(len(names)), key=weights.__getitem__, reverse=True)


@dataclass(slots=True)
class Seat:
    """A trajectory's place at a replica.

    Attributes:
        key: The trajectory's id.
        replica: Where it is.
        calls: How many it made.
        seen: Tokens of its prompts that its replica has computed.
    """

    key: str
    replica: Replica
    calls: int = 0
    seen: int = 0


class Replicas:
    """The servers of one model; use it with `async with`, inside its clients'.

    Args:
        clients: One for each.

    Attributes:
        moves: How often a trajectory went to another replica.
    """

    def __init__(self, clients: Sequence[Client]) -> None:
        self.replicas = [Replica(client) for client in clients]
        self.moves = 0
        self._watching: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._watching:
            task.cancel()

    @property
    def dialect(self) -> Dialect:
        """What all of them understand."""
        return self.replicas[0].client.dialect

    @property
    def base_url(self) -> str:
        """Their addresses."""
        return ", ".join(replica.client.base_url for replica in self.replicas)

    @property
    def traffic(self) -> Traffic:
        """What went over all wires."""
        total = Traffic()
        faults: Counter[str] = Counter()
        for replica in self.replicas:
            for name in ("requests", "attempts", "generated_tokens", "prompt_tokens"):
                setattr(total, name, getattr(total, name) + getattr(replica.client.traffic, name))
            total.cached_tokens += replica.client.traffic.cached_tokens
            faults.update(replica.client.traffic.faults)
        total.faults = dict(faults)
        return total

    @property
    def requests(self) -> int:
        """Calls that were made to all of them."""
        return sum(replica.client.traffic.requests for replica in self.replicas)

    async def is_alive(self) -> bool:
        """Whether any of them answers."""
        answers = await asyncio.gather(*(replica.client.is_alive() for replica in self.replicas))
        return any(answers)

    def lose(self, client: Client, like: Client) -> None:
        """A server does not answer at the start: it is used when it does, as one like another."""
        client.served_name, client.dialect = like.served_name, like.dialect
        self._lose(next(replica for replica in self.replicas if replica.client is client))

    # --- Seats ------------------------------------------------------------------------------

    def sit(self, key: str) -> Seat:
        """Give a trajectory its place; `rise` gives it back."""
        seat = Seat(key, self._choose(key))
        seat.replica.load += 1
        return seat

    def rise(self, seat: Seat) -> None:
        """A trajectory is over."""
        seat.replica.load -= 1

    def _choose(self, key: str) -> Replica:
        """The first in rendezvous order that is up and has not its full share."""
        up = [replica for replica in self.replicas if replica.up] or self.replicas
        share = math.ceil((sum(replica.load for replica in up) + 1) / len(up))
        order = ranked(key, [replica.client.base_url for replica in up])
        return next(up[at] for at in order if up[at].load < share)

    def _move(self, seat: Seat, replica: Replica) -> None:
        seat.replica.load -= 1
        replica.load += 1
        seat.replica, seat.seen = replica, 0
        self.moves += 1

    def _reconsider(self, seat: Seat) -> None:
        """Move a trajectory whose replica is gone, or whose move pays."""
        if not seat.replica.up:
            self._move(seat, self._choose(seat.key))
            return
        others = [r for r in self.replicas if r.up and r is not seat.replica]
        if others:
            best = min(others, key=lambda replica: replica.load)
            if pays(seat.replica, best, seat.seen, max(seat.calls, 1)):
                self._move(seat, best)

    # --- Calls ------------------------------------------------------------------------------

    async def complete(self, seat: Seat, request: Request, *, stream: bool = False) -> Completion:
        """See `Client.complete`."""

        async def call(client: Client, retries: int | None) -> Completion:
            return await client.complete(request, stream=stream, retries=retries)

        return await self._call(seat, request, call)

    async def follow(
        self, seat: Seat, request: Request, new_reader: Callable[[], R]
    ) -> tuple[Completion, R]:
        """See `Client.follow`."""

        async def call(client: Client, retries: int | None) -> tuple[Completion, R]:
            return await client.follow(request, new_reader, retries=retries)

        return await self._call(seat, request, call)

    async def _call(
        self, seat: Seat, request: Request, call: Callable[[Client, int | None], Awaitable[T]]
    ) -> T:
        self._reconsider(seat)
        while True:
            replica = seat.replica
            alone = not any(other.up for other in self.replicas if other is not replica)
            try:
                result = await call(replica.client, None if alone else _QUICK_RETRIES)
            except (Unreachable, ServerFailure, TimedOut):
                if alone:
                    raise
                if await replica.client.is_alive():  # it has its troubles, but is there
                    result = await call(replica.client, None)
                else:
                    self._lose(replica)
                    self._move(seat, self._choose(seat.key))
                    continue
            self._note(seat, request)
            return result

    def _note(self, seat: Seat, request: Request) -> None:
        seat.calls += 1
        tokens, first_s = request.prompt_tokens, seat.replica.client.first_token_s
        if tokens is not None and first_s:
            seat.replica.took(first_s, 0 if seat.seen else tokens)
            seat.seen = tokens

    def _lose(self, replica: Replica) -> None:
        if replica.up:
            replica.up = False
            task = asyncio.get_running_loop().create_task(self._watch(replica))
            self._watching.add(task)
            task.add_done_callback(self._watching.discard)

    async def _watch(self, replica: Replica) -> None:
        while not replica.up:
            await asyncio.sleep(_WATCH_S)
            replica.up = await replica.client.is_alive()
