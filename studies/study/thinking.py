"""How often the thinking comes to the right number, with or without an answer after it.

`python -m studies.study.thinking runs/study`: for the untouched student, and for each arm of each
condition after its last epoch, over all seeds and test questions of the target. A student that no
longer ends its responses has no answer that `tessy eval` could count; this shows whether it still
computes the sum.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from studies.lab.families import TARGET
from studies.study.plan import SETTINGS, Train, Untouched, jobs
from studies.study.settings import load

_NUMBER = re.compile(r"-?\d+")


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file."""
    return map(orjson.loads, path.read_bytes().splitlines())


def evaluations(root: Path) -> Iterator[tuple[str, int, Path]]:
    """Whose each evaluation is, its seed and its folder."""
    for job in jobs(load(root / SETTINGS)):
        if isinstance(job, Untouched) and job.teacher is None:
            yield "untouched", job.seed, root / job.name / "eval"
        elif isinstance(job, Train):
            who = f"{job.condition.name}/{job.arm}"
            yield who, job.seed, root / job.name / f"eval-{job.condition.epochs}"


def main(root: Path) -> None:
    """Count and print."""
    right: dict[str, int] = defaultdict(int)
    count: dict[str, int] = defaultdict(int)
    for who, seed, folder in evaluations(root):
        wanted = {row["id"]: row["answer"] for row in rows(root / f"seed-{seed}/tests.jsonl")}
        for row in (*rows(folder / "dataset.jsonl"), *rows(folder / "failures.jsonl")):
            if not row["id"].startswith(TARGET):
                continue
            content = row.get("content") or row["messages"][-1]["content"]
            numbers = _NUMBER.findall(content.partition("</think>")[0])
            right[who] += numbers[-1:] == [wanted[row["id"]]]
            count[who] += 1
    for who, total in count.items():
        print(f"{who:28} {100 * right[who] / total:5.1f}% of {total}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
