"""Replicas: several servers of one model; each trajectory uses one at a time.

    pin       a trajectory stays where its prefix is cached: rendezvous hashing on its id chooses
              the replica (Thaler and Ravishankar 1998), among those that are not full
              (bounded loads: Mirrokni, Thorup and Zadimoghaddam 2018)
    move      it moves when its replica is down, or when another has become so much faster that
              the gain exceeds the cost of computing its prefix again
    watch     a replica that is down is polled every few seconds, and used again when it responds

A single server is the simplest case: there is nowhere to move, and calls use all their retries.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tessy.errors import ModelError, ServerFailure, TimedOut, Unreachable
from tessy.models.client import Call, Client, ClientStats
from tessy.models.wire import Capabilities

GONE = (Unreachable, ServerFailure, TimedOut)
"""Errors that may mean that a server is down."""

_WATCH_S = 2.0
_QUICK_RETRIES = 1
"""Retries before a check whether the replica is down, if there are others."""
_BLOCK = 32
"""Prompt tokens at the end that a cache of whole blocks does not hold."""
_MARGIN = 2
"""How many more trajectories a replica must have than another before a move is considered."""


@dataclass(slots=True)
class Replica:
    """One of the servers.

    Attributes:
        client: The client that calls it.
        up: It is not known to be down.
        load: Trajectories that use it.
        first_s: Seconds to the first token of a prompt whose prefix was cached (decaying mean);
            None if not known.
        prefill_s: Seconds for each prompt token that was not cached (decaying mean); None if not
            known.
    """

    client: Client
    up: bool = True
    load: int = 0
    first_s: float | None = None
    prefill_s: float | None = None

    def took(self, seconds: float, new_tokens: int) -> None:
        """Record the seconds to a first token; `new_tokens` of its prompt were not cached."""
        if new_tokens:
            each = max(0.0, seconds - (self.first_s or 0.0)) / new_tokens
            self.prefill_s = _decayed(self.prefill_s, each)
        else:
            self.first_s = _decayed(self.first_s, seconds)


def _decayed(mean: float | None, value: float) -> float:
    return value if mean is None else 0.9 * mean + 0.1 * value


def worth_moving(here: Replica, there: Replica, prefix_tokens: int, turns: int) -> bool:
    """Whether a trajectory gains time by moving.

    Args:
        here: Its replica.
        there: The replica that it might move to.
        prefix_tokens: Tokens that would have to be computed again.
        turns: An estimate of how many more calls it will make.
    """
    if here.load - there.load < _MARGIN or here.first_s is None:
        return False
    waits_there = there.first_s or 0.0
    prefill_s = there.prefill_s or here.prefill_s or 0.0
    return turns * (here.first_s - waits_there) > prefix_tokens * prefill_s


def ranked(key: str, names: Sequence[str]) -> list[int]:
    """The indices of `names`, sorted by rendezvous weight for a key."""
    weights = [hashlib.blake2b(f"{key}\0{name}".encode(), digest_size=8).digest() for name in names]
    return sorted(range(len(names)), key=weights.__getitem__, reverse=True)


class Replicas:
    """The servers of one model.

    Args:
        clients: A client for each server.

    Attributes:
        moves: How often a trajectory moved to another replica.
    """

    def __init__(self, clients: Sequence[Client]) -> None:
        self.replicas = [Replica(client) for client in clients]
        self.moves = 0
        self._watching: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """Stop watching replicas that are down, and close all clients."""
        for task in self._watching:
            task.cancel()
        for replica in self.replicas:
            replica.client.close()

    @property
    def capabilities(self) -> Capabilities:
        """What all servers can do."""
        return self.replicas[0].client.capabilities

    @property
    def base_url(self) -> str:
        """The URLs of all servers, for messages."""
        return ", ".join(replica.client.base_url for replica in self.replicas)

    @property
    def stats(self) -> ClientStats:
        """The counts of all servers together."""
        return sum((replica.client.stats for replica in self.replicas), ClientStats())

    async def is_alive(self) -> bool:
        """Whether any server responds."""
        answers = await asyncio.gather(*(replica.client.is_alive() for replica in self.replicas))
        return any(answers)

    def acquire(self, key: str) -> Lease:
        """Choose a replica for a trajectory; `Lease.release` releases it.

        Args:
            key: The trajectory's id.
        """
        return Lease(self, key, self.choose(key))

    async def post(self, path: str, payload: dict[str, Any]) -> Any:
        """Post JSON to a server that is up; see `Client.post`."""
        lease = self.acquire(path)
        try:
            return await lease.call().run(lambda client: client.post_once(path, payload))
        finally:
            lease.release()

    def choose(self, key: str) -> Replica:
        """The first in rendezvous order that is up and below its share of the load."""
        up = [replica for replica in self.replicas if replica.up] or self.replicas
        share = math.ceil((sum(replica.load for replica in up) + 1) / len(up))
        order = ranked(key, [replica.client.base_url for replica in up])
        return next(up[at] for at in order if up[at].load < share)

    def others(self, replica: Replica) -> list[Replica]:
        """The other replicas that are up."""
        return [other for other in self.replicas if other.up and other is not replica]

    def mark_down(self, replica: Replica) -> None:
        """Stop using a replica until it responds again."""
        if replica.up:
            replica.up = False
            task = asyncio.get_running_loop().create_task(self._watch(replica))
            self._watching.add(task)
            task.add_done_callback(self._watching.discard)

    async def _watch(self, replica: Replica) -> None:
        while not replica.up:
            await asyncio.sleep(_WATCH_S)
            replica.up = await replica.client.is_alive()


class Lease:
    """One trajectory's use of a replica; it counts towards the replica's load.

    Args:
        replicas: The replicas that it may move between.
        key: The trajectory's id.
        replica: Its first replica.
    """

    def __init__(self, replicas: Replicas, key: str, replica: Replica) -> None:
        self.replica = replica
        self._replicas = replicas
        self._key = key
        self._calls = 0
        self._seen = 0  # prompt tokens that its replica has cached
        replica.load += 1

    def again(self) -> Lease:
        """Another lease of the same replica, which has the trajectory's prefix cached."""
        return Lease(self._replicas, self._key, self.replica)

    def release(self) -> None:
        """Release the replica."""
        self.replica.load -= 1

    def call(self) -> ReplicaCall:
        """Choose the replica of the next call, and begin it."""
        if not self.replica.up:
            self.move(self._replicas.choose(self._key))
        elif others := self._replicas.others(self.replica):
            best = min(others, key=lambda replica: replica.load)
            if worth_moving(self.replica, best, self._seen, max(self._calls, 1)):
                self.move(best)
        return ReplicaCall(self)

    def move(self, replica: Replica) -> None:
        """Move to another replica."""
        self.replica.load -= 1
        replica.load += 1
        self.replica, self._seen = replica, 0
        self._replicas.moves += 1

    def answered(self, prompt_tokens: int | None, cached_tokens: int | None = None) -> None:
        """Record a call that succeeded.

        Args:
            prompt_tokens: Tokens of its prompt; None for text.
            cached_tokens: Those that were in the prefix cache; None if the server did not say.
        """
        self._calls += 1
        if prompt_tokens is not None and cached_tokens is not None:
            stats = self.replica.client.stats
            stats.seen_tokens += self._seen
            stats.lost_tokens += max(0, self._seen - cached_tokens - _BLOCK)
        first_s = self.replica.client.first_token_s
        if prompt_tokens is not None and first_s:
            self.replica.took(first_s, 0 if self._seen else prompt_tokens)
            self._seen = prompt_tokens

    async def leave_if_gone(self) -> bool:
        """Move if its replica no longer responds and another is up; returns whether it moved."""
        if not self._replicas.others(self.replica) or await self.replica.client.is_alive():
            return False
        self._replicas.mark_down(self.replica)
        self.move(self._replicas.choose(self._key))
        return True


class ReplicaCall(Call):
    """A call that moves to another replica when its own is down."""

    def __init__(self, lease: Lease) -> None:
        super().__init__(lease.replica.client)
        self._lease = lease

    async def retry_after(self, error: ModelError) -> None:
        """See `Call.retry_after`."""
        failures = self.attempts + 1
        if failures > min(_QUICK_RETRIES, self.client.settings.retries) and isinstance(error, GONE):
            gone = self.client
            if await self._lease.leave_if_gone():
                gone.stats.faults[type(error).__name__] += 1
                self.client, self.attempts = self._lease.replica.client, 0
                return
        await super().retry_after(error)
