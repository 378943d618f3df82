"""How often the thinking comes to the right result, with or without a right answer after it.

`python -m studies.study.thinking runs/study`: for the untouched student, and for each arm of each
condition after its last epoch, over all seeds and test questions, family by family. The thinking is
right if it ends in the reference: its last number, or its last text in quotes. A student that no
longer ends its responses, or answers in broken words, has no answer that `tessy eval` could count;
this shows whether it still finds the result.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from studies.lab.families import OTHERS, TARGET
from studies.study.plan import SETTINGS, Train, Untouched, jobs
from studies.study.settings import load

_RESULT = {
    "number": re.compile(r"-?\d+"),
    "text": re.compile(r'"([a-z]+)"'),
    "list": re.compile(r"(\[[^\]]*\])"),
}
_KIND = {"spell_backward": "text", "number_filtering": "list"}
"""What the results of a family are; numbers in the others."""


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
    families = (TARGET, *OTHERS)
    right: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for who, seed, folder in evaluations(root):
        tests = {row["id"]: row for row in rows(root / f"seed-{seed}/tests.jsonl")}
        for row in (*rows(folder / "dataset.jsonl"), *rows(folder / "failures.jsonl")):
            test = tests[row["id"]]
            content = row.get("content") or row["messages"][-1]["content"]
            found = _RESULT[_KIND.get(test["family"], "number")].findall(
                content.partition("</think>")[0]
            )
            right[who, test["family"]].append(found[-1:] == [test["answer"]])
    print(f"{'':28} {'  '.join(families)}")
    for who in dict.fromkeys(each for each, _ in right):
        shares = [100 * sum(right[who, each]) / len(right[who, each]) for each in families]
        cells = [f"{s:{len(f)}.1f}" for s, f in zip(shares, families, strict=True)]
        print(f"{who:28} {'  '.join(cells)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
