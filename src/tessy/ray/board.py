"""Where the tasks of a run on a Ray cluster report their counts, and learn whether to stop."""

from __future__ import annotations

from typing import Any


class Board:
    """An actor of the cluster."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int, int], dict[str, Any]] = {}
        self._stopping = False

    def report(self, shard: int, attempt: int, counts: dict[str, Any]) -> bool:
        """Take the counts of a task; returns whether it is to stop.

        Args:
            shard: The number of its shard.
            attempt: How many tasks of this shard there were before.
            counts: `Counters.as_json`.
        """
        self._counts[shard, attempt] = counts
        return self._stopping

    def read(self) -> dict[tuple[int, int], dict[str, Any]]:
        """The last counts of each task that reported, by shard and attempt."""
        return self._counts

    def stop(self) -> None:
        """Have all tasks stop when they report next."""
        self._stopping = True
