"""Labelled segments of reasoning about code, whose text is not ours to ship, from a clone.

    git clone https://github.com/ReasoningPattern/dummyrepo CLONE
    python -m studies.predictor.code CLONE OUT.jsonl
    tessy predictor evaluate english-2 --gold OUT.jsonl

The repository (of "How Do Large Reasoning Models Think? A First Look at Reasoning Behaviors in
Code Generation") has no licence. So `code.jsonl` has no text, only the places of the style in it.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from tessy.boundary.training.segments import ReasoningTrace, Segment, draw, write_segments

COMMIT = "a41dcbf8379b09d7c25e9b9074e26783318a73d5"
TASKS = 60
SHORTEST = 400
LABELS = Path(__file__).with_name("code.jsonl")


def git(clone: str, *arguments: str) -> bytes:
    """What git prints about the clone."""
    return subprocess.run(["git", "-C", clone, *arguments], check=True, capture_output=True).stdout


def traces(clone: str) -> list[ReasoningTrace]:
    """The thinking of five models on some tasks."""
    names = git(clone, "ls-tree", "-r", "--name-only", "-z", COMMIT).decode().split("\0")
    by_model: dict[str, list[str]] = defaultdict(list)
    for name in names:
        if "/Base/" in name and "Reasoning" in name and name.endswith(".txt"):
            by_model[name.split("/")[-2]].append(name)
    found = []
    for model, paths in sorted(by_model.items()):
        for path in sorted(paths)[:TASKS]:
            text = git(clone, "show", f"{COMMIT}:{path}").decode("utf-8", "replace")
            thinking = text.replace("<think>", "").split("</think>")[0].strip()
            if len(thinking) > SHORTEST:
                question = path.rpartition("/")[2]
                found.append(
                    ReasoningTrace(
                        id=path, thinking=thinking, model=model, subject="code", question=question
                    )
                )
    return found


def labelled(clone: str) -> list[Segment]:
    """The segments with their style; each is checked to be the one that was labelled."""
    labels = {row["id"]: row for row in map(json.loads, LABELS.read_text("utf-8").splitlines())}
    segments = []
    for segment in draw(traces(clone), len(labels), seed=1):
        row = labels[segment.id]
        assert hashlib.sha256(segment.text.encode()).hexdigest() == row["sha256"], segment.id
        spans = tuple((start, end) for start, end in row["spans"])
        segments.append(segment.model_copy(update={"spans": spans, "annotator": "reader-1"}))
    return segments


if __name__ == "__main__":
    write_segments(Path(sys.argv[2]), labelled(sys.argv[1]))
