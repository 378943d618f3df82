"""One run of `tessy.asynthesize` in a process of its own, measured: prints a line of JSON.

python benchmarks/client.py JSON, with the keys of `Asked`.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import world

import tessy
from tessy.event_loop import run_loop


@dataclass
class Asked:
    """What is to be run.

    Attributes:
        folder: For questions, tokenizers and the run.
        student: URLs.
        teacher: URLs.
        questions: How many.
        at_once: Trajectories at once.
        words: Of thinking.
        answer_words: Of answer.
        settings: Of tessy, more.
    """

    folder: str
    student: str
    teacher: str
    questions: int = 200
    at_once: int = 100
    words: int = 1000
    answer_words: int = 200
    settings: dict[str, object] = field(default_factory=dict)


async def main(asked: Asked) -> dict[str, float]:
    """Run it."""
    folder = Path(asked.folder)
    world.write_questions(folder / "questions.jsonl", asked.questions)
    settings = {
        "student__model": asked.student,
        "student__tokenizer": str(folder / "student"),
        "teacher__model": asked.teacher,
        "teacher__tokenizer": str(folder / "teacher"),
        "predictor": "python:tessy.testing.predictors:initials",
        "concurrency": asked.at_once,
        "limits__context_tokens": 200_000,
        "limits__thinking_tokens": 100_000,
        **asked.settings,
    }
    before, began = time.process_time(), time.perf_counter()
    result = await tessy.asynthesize(folder / "questions.jsonl", out=folder / "run", **settings)
    wall = time.perf_counter() - began
    used = time.process_time() - before
    assert result.finished == asked.questions, result.failed
    for line in (folder / "run" / "dataset.jsonl").open():
        record = json.loads(line)
        content = record["messages"][-1]["content"]
        world.check(content, record["id"], asked.words, asked.answer_words)
    kept = asked.questions * (asked.words + asked.answer_words)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall_s": wall,
        "cpu_s": used + children.ru_utime + children.ru_stime,
        "kept": kept,
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    print(json.dumps(run_loop(main(Asked(**json.loads(sys.argv[1]))))))
