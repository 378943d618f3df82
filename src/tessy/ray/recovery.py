"""What a dead task means for its shard and for the counts of the run. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from tessy.runs.counters import Counters

MOST_DEATHS = 5
"""How often tasks may die in a row, if no sample ends in between."""
LOCKED_S = 60.0
"""How long the process of a dead node may hold its shard's lock."""


@dataclass(slots=True)
class Recovery:
    """Whether the shard of a task that failed is written again.

    Attributes:
        ended: The samples of the run that had ended when a task last died.
    """

    ended: int
    _deaths: int = 0
    _locked_since: dict[int, float] = field(default_factory=dict)

    def died(self, shard: int, ended: int) -> bool:
        """A task died with its node, or by itself.

        Args:
            shard: Its shard.
            ended: The samples of the run that have ended.

        Returns:
            Whether to write the shard again: not if tasks die and no sample ends.
        """
        self._deaths = 1 if ended > self.ended else self._deaths + 1
        self.ended = ended
        self._locked_since.pop(shard, None)
        return self._deaths <= MOST_DEATHS

    def locked(self, shard: int, now: float) -> bool:
        """A task found its shard locked, perhaps by the process of a dead node.

        Args:
            shard: The shard.
            now: The time, in seconds.

        Returns:
            Whether to try again: not if it has been locked for too long.
        """
        return now - self._locked_since.setdefault(shard, now) <= LOCKED_S


def cause(error: Exception) -> str:
    """What killed a task, in a line: of an exception that it raised, its own last line."""
    lines = str(error).strip().splitlines() if type(error).__name__.startswith("RayTask") else []
    return ": ".join([type(error).__name__, *lines[-1:]])


def add_up(
    counters: Counters,
    before: Mapping[int, dict[str, Any]],
    reports: Mapping[tuple[int, int], dict[str, Any]],
    running: Collection[tuple[int, int]] = (),
) -> None:
    """Add up what the tasks of a run report. Pure, but for the counters.

    Samples that ended are those of a shard's last report; tokens and requests are added up over
    all of its tasks, also those that died.

    Args:
        counters: Are updated.
        before: The counts of earlier starts, by shard.
        reports: The last counts of each task, by shard and attempt.
        running: The tasks that are running.
    """
    last = {shard: attempt for shard, attempt in sorted(reports)}
    parts = [counts for shard, counts in before.items() if shard not in last]
    for (shard, attempt), counts in reports.items():
        part = dict(counts)
        if last[shard] != attempt:
            part |= {"finished": 0, "failed": {}}
        if (shard, attempt) not in running:
            part |= {"running": 0, "paused": 0}
        parts.append(part)
    counters.add_up(parts, 0, Counter())
