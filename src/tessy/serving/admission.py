"""How many samples are written at once, how many wait, and who is sent away."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from tessy.serving.refusals import ApiError, refused

_LONGEST_S = 60
_NEW = 0.1
"""The weight of the last sample in the mean duration."""


class Admission:
    """Admits requests to a server, or sends them away when its queue is full.

    Args:
        at_once: Samples that are written at once.
        queue: Samples that may wait.

    Attributes:
        admitted: Samples of requests that have not ended.
        waiting: Samples that wait for a place.
        running: Samples that have one.
    """

    def __init__(self, at_once: int, queue: int) -> None:
        self._at_once = at_once
        self._most = at_once + queue
        self._places = asyncio.Semaphore(at_once)
        self._mean_s = 1.0
        self.admitted = 0
        self.waiting = 0
        self.running = 0

    @contextmanager
    def admit(self, samples: int) -> Iterator[None]:
        """Admit a request while the context is open.

        Args:
            samples: How many it asks for.

        Raises:
            ApiError: The queue is full, or can never hold so many.
        """
        if samples > self._most:
            raise refused("n", f"{samples} choices, and this server takes {self._most} at most")
        if self.admitted + samples > self._most:
            raise ApiError(
                429,
                f"{self.admitted} samples are being written or wait, of at most {self._most}: "
                "try again later",
                kind="rate_limit_error",
                code="queue_full",
                retry_after_s=self.retry_after_s,
            )
        self.admitted += samples
        try:
            yield
        finally:
            self.admitted -= samples

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place, and keep it while the context is open."""
        self.waiting += 1
        try:
            await self._places.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        began = time.monotonic()
        try:
            yield
        finally:
            self.running -= 1
            self._places.release()
            self._mean_s += _NEW * (time.monotonic() - began - self._mean_s)

    @property
    def retry_after_s(self) -> int:
        """Whole seconds until a place in the queue should be free, by how long samples take."""
        return max(1, min(_LONGEST_S, math.ceil(self._mean_s / self._at_once)))
