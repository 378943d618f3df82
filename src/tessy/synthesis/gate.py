"""Lets only so many trajectories run at once; the others wait before their next request.

A trajectory that runs keeps its place from request to request, since its prefix is cached; so the
earliest run, and the latest wait. A limit that falls is reached as trajectories come to their next
request: nothing that is being written is given up.
"""

from __future__ import annotations

import asyncio
import heapq
import sys


class Gate:
    """Trajectories pass it before each request.

    Args:
        limit: How many may run at once, at least one; by default any number.
    """

    def __init__(self, limit: int = sys.maxsize) -> None:
        self._limit = limit
        self._running: set[int] = set()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._calls = 0

    @property
    def running(self) -> int:
        """Trajectories that have passed and not left."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Trajectories that wait for a place."""
        return len({position for position, _, place in self._waiting if not place.done()})

    async def enter(self, position: int) -> None:
        """Wait for a place, if this trajectory has none or has to give its own up.

        Args:
            position: The trajectory's place in the run; the lowest run first.
        """
        running = self._running
        if position in running:
            if len(running) <= self._limit or self._is_early(position):
                return
            running.remove(position)
        self._calls += 1
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (position, self._calls, place))
        self._admit()
        await place

    def leave(self, position: int) -> None:
        """Give a place up; the trajectory has ended."""
        self._running.discard(position)
        self._admit()

    def limit(self, count: int) -> None:
        """Change how many may run at once."""
        self._limit = max(1, count)
        self._admit()

    def _is_early(self, position: int) -> bool:
        return sum(other < position for other in self._running) < self._limit

    def _admit(self) -> None:
        while waiting := self._waiting:
            position, _, place = waiting[0]
            if place.done():  # cancelled
                heapq.heappop(waiting)
                continue
            if position not in self._running and len(self._running) >= self._limit:
                return
            heapq.heappop(waiting)
            self._running.add(position)
            place.set_result(None)
