"""Draw the segments that were labelled by reading: gold and training, never of the same question.

    python -m studies.predictor.draw DATA OUT

DATA is as for traces.py. OUT gets `gold.jsonl` and `pool.jsonl`, both not labelled. A quarter of
the questions of each subject is for gold; all models' traces of a question go together.
"""

from __future__ import annotations

import sys
from pathlib import Path

from studies.predictor.traces import traces
from tessy.boundary.training.segments import ReasoningTrace, Segment, draw, split, write_segments

GOLD = {"mathematics": 122, "code": 90, "science": 102, "word problems": 122, "other": 62}
POOL = {"mathematics": 900, "code": 700, "science": 800, "word problems": 900, "other": 300}


def drawn(data: Path) -> tuple[list[Segment], list[Segment]]:
    """Gold and training segments, not labelled."""
    gold, pool = [], []
    found = list(traces(data))
    for subject in GOLD:
        rest, chosen = halves([trace for trace in found if trace.subject == subject])
        gold += draw(chosen, GOLD[subject], seed=1)
        pool += draw(rest, POOL[subject], seed=2)
    return gold, pool


def halves(found: list[ReasoningTrace]) -> tuple[list[ReasoningTrace], list[ReasoningTrace]]:
    """Traces for training and traces for gold: a quarter, by question."""
    stubs = [Segment(id=trace.id, text=".", question=trace.question) for trace in found]
    by_id = {trace.id: trace for trace in found}
    rest, chosen = split(stubs, 0.25, seed=1)
    return [by_id[stub.id] for stub in rest], [by_id[stub.id] for stub in chosen]


if __name__ == "__main__":
    out = Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    for name, segments in zip(("gold", "pool"), drawn(Path(sys.argv[1])), strict=True):
        write_segments(out / f"{name}.jsonl", segments)
        print(f"{name}: {len(segments)} segments")
