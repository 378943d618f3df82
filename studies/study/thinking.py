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
from studies.study.plan import SETTINGS, Train, teacher_of
from studies.study.settings import StudySettings, load

_NUMBER = re.compile(r"-?\d+")


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file."""
    return map(orjson.loads, path.read_bytes().splitlines())


def evaluations(root: Path, settings: StudySettings) -> Iterator[tuple[str, int, Path]]:
    """Whose each evaluation is, its seed and its folder."""
    for seed in settings.main.seeds:
        yield "untouched", seed, root / f"seed-{seed}/untouched/student/eval"
    for condition in settings.conditions:
        for seed in condition.seeds:
            for arm in condition.arms:
                name = Train(seed, condition, arm, teacher_of(settings, condition)).name
                where = root / name / f"eval-{condition.epochs}"
                yield f"{condition.name}/{arm}", seed, where


def main(root: Path) -> None:
    """Count and print."""
    right: dict[str, int] = defaultdict(int)
    asked: dict[str, int] = defaultdict(int)
    for who, seed, folder in evaluations(root, load(root / SETTINGS)):
        wanted = {row["id"]: row["answer"] for row in rows(root / f"seed-{seed}/tests.jsonl")}
        for row in (*rows(folder / "dataset.jsonl"), *rows(folder / "failures.jsonl")):
            if not row["id"].startswith(TARGET):
                continue
            content = row.get("content") or row["messages"][-1]["content"]
            numbers = _NUMBER.findall(content.partition("</think>")[0])
            right[who] += numbers[-1:] == [wanted[row["id"]]]
            asked[who] += 1
    for who, count in asked.items():
        print(f"{who:28} {100 * right[who] / count:5.1f}% of {count}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
