"""Fewer hand-overs: what each setting and method costs on an engine's time (docs/handover.md).

    python benchmarks/frontier.py [ROW …]        the table, or some rows of it
    DATA=FOLDER, SLOWNESS=2                      as for benchmarks/engine.py

Real traces of Qwen3-8B are replayed on the engine of `benchmarks/engine.py` with four API servers:
64 trajectories at once of 1,000 tokens, then four of 14,600. Words are those of the records.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import engine
from engine import APIS4, LONG, SHORT, SLOWNESS, Case, Made

SETTINGS = {
    "faithful": {},
    "min-2": {"minimum": 2},
    "min-3": {"minimum": 3},
    "min-5": {"minimum": 5},
    "rewrite": {"method": "rewrite"},
    "rewrite-min-2": {"method": "rewrite", "minimum": 2},
}
LENGTHS = {
    "1k": replace(SHORT["replay"], engine=APIS4),
    "15k": replace(LONG["replay"], engine=APIS4),
}
HEAD = (
    "| | hand-overs in 1,000 words | requests in 1,000 words | style let through, % of the words | "
    "dropped + unseen | wall | ÷ the teacher alone | late |\n" + "|---" * 8 + "|"
)


def row(name: str, made: Made, alone: Made) -> str:
    """A row of the table."""
    generated, per_1000 = made.kept + made.dropped + made.unseen, 1000 / made.words
    cells = [
        name,
        f"{made.hand_overs * per_1000:.0f}",
        f"{made.requests * per_1000:.0f}",
        f"{made.tolerated / made.words:.1%}",
        f"{made.dropped / generated:.1%} + {max(made.unseen, 0) / generated:.1%}",
        f"{made.wall_s:.1f} s",
        f"{made.wall_s / made.kept / (alone.wall_s / alone.kept):.2f}",
        f"{made.late:.1%}",
    ]
    return f"| {' | '.join(cells)} |"


def timed(case: Case) -> Made:
    """Run a case by the clock that the environment sets."""
    return engine.run(replace(case, slowness=case.slowness * SLOWNESS))


def main(names: list[str]) -> None:
    """Print rows of the table, those of each length after the teacher alone."""
    print(HEAD, flush=True)
    for length, case in LENGTHS.items():
        wanted = {f"{name}-{length}": each for name, each in SETTINGS.items()}
        chosen = {name: each for name, each in wanted.items() if name in names or not names}
        if chosen:
            alone = timed(replace(case, alone=True))
            print(row(f"teacher alone, {length}", alone, alone), flush=True)
        for name, changes in chosen.items():
            print(row(name, timed(replace(case, **changes)), alone), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
