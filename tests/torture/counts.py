"""What was tried and what held, as a table."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Row:
    """One kind of attack.

    Attributes:
        kind: What was attacked.
        what: How.
        wanted: What must hold.
        tried: How often it was tried.
        missed: What did not hold, a line each.
    """

    kind: str
    what: str
    wanted: str
    tried: int = 0
    missed: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def count(self, held: bool, case: str) -> None:
        """Count one try."""
        self.tried += 1
        if not held:
            self.missed.append(case)


@dataclass
class Table:
    """All rows."""

    rows: list[Row] = field(default_factory=list)

    @contextmanager
    def row(self, kind: str, what: str, wanted: str) -> Iterator[Row]:
        """A row that is timed and printed when it is done."""
        made = Row(kind, what, wanted)
        began = time.monotonic()
        yield made
        made.seconds = time.monotonic() - began
        self.rows.append(made)
        held = made.tried - len(made.missed)
        print(f"{kind:10} {held:5} of {made.tried:5} held  {made.seconds:5.0f} s  {what}")
        for case in made.missed:
            print(f"           MISSED {case}")
        sys.stdout.flush()

    def markdown(self) -> str:
        """The table of docs/reliability.md."""
        lines = ["| attacked | with | must hold | tried | held |", "|---|---|---|---|---|"]
        for row in self.rows:
            held = row.tried - len(row.missed)
            lines.append(f"| {row.kind} | {row.what} | {row.wanted} | {row.tried} | {held} |")
        return "\n".join(lines)

    @property
    def missed(self) -> int:
        """How many tries did not hold."""
        return sum(len(row.missed) for row in self.rows)
