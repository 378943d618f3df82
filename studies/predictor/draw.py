"""Draw the segments that were labelled by reading: gold and training, never of the same question.

    python -m studies.predictor.draw DATA OUT

DATA is as for traces.py. OUT gets `gold.jsonl` and `pool.jsonl`, and `gold-code.jsonl` and
`pool-code.jsonl` of the sources about code that were found later; none is labelled. A quarter of
the questions of each subject (of each later source) is for gold; all models' traces of a question
go together.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

from studies.predictor.traces import traces
from tessy.boundary.training.segments import ReasoningTrace, Segment, draw, split, write_segments

GOLD = {"mathematics": 122, "code": 90, "science": 102, "word problems": 122, "other": 62}
POOL = {"mathematics": 900, "code": 700, "science": 800, "word problems": 900, "other": 300}

CODE = (
    "open-r1/codeforces-cots",
    "mikharju/exploration-engine",
    "NVIDIA-NeMo/Gym",
    "thesteve0/local-llm-benchmark",
)
"""How the names of the later sources begin."""
CODE_MODELS = {  # how their names begin; segments of gold, of the pool
    "DeepSeek-R1": (34, 100),
    "Qwen3.6-": (32, 120),
    "Qwen3-": (30, 100),
    "gpt-oss-": (26, 25),
    "Nemotron-": (26, 55),
    "Mellum2-": (22, 0),  # one task only
}


def drawn(data: Path) -> tuple[list[Segment], list[Segment]]:
    """Gold and training segments, not labelled."""
    gold, pool = [], []
    found = [trace for trace in traces(data) if not trace.source.startswith(CODE)]
    for subject in GOLD:
        rest, chosen = halves([trace for trace in found if trace.subject == subject])
        gold += draw(chosen, GOLD[subject], seed=1)
        pool += draw(rest, POOL[subject], seed=2)
    return gold, pool


def drawn_code(data: Path) -> tuple[list[Segment], list[Segment]]:
    """Gold and training segments of the later sources about code, not labelled."""
    rest, chosen = code_halves(list(traces(data)))
    gold, pool = [], []
    for name, (golden, pooled) in CODE_MODELS.items():
        gold += draw([trace for trace in chosen if trace.model.startswith(name)], golden, seed=1)
        pool += draw([trace for trace in rest if trace.model.startswith(name)], pooled, seed=2)
    return gold, pool


def code_halves(found: list[ReasoningTrace]) -> tuple[list[ReasoningTrace], list[ReasoningTrace]]:
    """Traces of the later sources about code, for training and for gold.

    HumanEval's tasks are in two folders of one source: these are halved together.
    """
    groups: dict[str, list[ReasoningTrace]] = defaultdict(list)
    for trace in found:
        if trace.source.startswith(CODE):
            shared = ":humaneval/" in trace.question
            groups["humaneval" if shared else trace.source].append(trace)
    parts = [halves(groups[source]) for source in sorted(groups)]
    return [t for rest, _ in parts for t in rest], [t for _, chosen in parts for t in chosen]


def halves(found: list[ReasoningTrace]) -> tuple[list[ReasoningTrace], list[ReasoningTrace]]:
    """Traces for training and traces for gold: a quarter, by question."""
    stubs = [Segment(id=trace.id, text=".", question=trace.question) for trace in found]
    by_id = {trace.id: trace for trace in found}
    rest, chosen = split(stubs, 0.25, seed=1)
    return [by_id[stub.id] for stub in rest], [by_id[stub.id] for stub in chosen]


if __name__ == "__main__":
    out = Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    folder = Path(sys.argv[1])
    names = ("gold", "pool", "gold-code", "pool-code")
    for name, segments in zip(names, (*drawn(folder), *drawn_code(folder)), strict=True):
        write_segments(out / f"{name}.jsonl", segments)
        print(f"{name}: {len(segments)} segments")
