"""How long it takes to select from many questions, and how much memory (docs/select.md).

Makes questions of about 2 KB, of words drawn at random, of which one in a hundred is the one before
it with a few words changed, and what two evaluations measured of them at random. Each selection
runs in a process of its own; seconds are CPU time. What compares words gets a tenth of the
questions. A journal is of responses of 15,000 words.

    python benchmarks/selection.py [QUESTIONS [SAMPLES]]
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
from million import peak_mib
from questions import write

WORDS = [f"{start}{end}" for start in ("tri", "po", "su", "ka") for end in range(2_000)]
LENGTH = 300
RATES = ("--by", "student=student.json", "--by", "teacher=teacher.json")
SELECTIONS = {
    "rates": ("many.jsonl", RATES),
    "rates, and 100,000 drawn": (
        "many.jsonl",
        (*RATES, "--count", "100000", "--stratify", "source"),
    ),
    "2,000 test questions": ("tenth.jsonl", ("--decontaminate", "test.jsonl")),
    "near-duplicates": ("tenth.jsonl", ("--near-duplicates", "0.8")),
    "a journal": ("few.jsonl", ("--by", "teacher=run")),
}


def made(count: int, length: int, seed: int) -> Iterator[dict]:
    """Questions of so many words."""
    draw = random.Random(seed)
    words: list[str] = []
    for number in range(count):
        if number % 100 == 99:
            words[draw.randrange(length)] = "changed"
        else:
            words = draw.choices(WORDS, k=length)
        source = draw.choice(("amc", "olympiads", "forum"))
        yield {"id": f"question-{number}", "problem": " ".join(words), "source": source}


def write_rates(folder: Path, count: int) -> None:
    """Write what two evaluations of four samples measured."""
    draw = random.Random(0)
    for model in ("student", "teacher"):
        right = {f"question-{n}": [draw.randrange(5), 4] for n in range(count)}
        (folder / f"{model}.json").write_bytes(orjson.dumps({"model": model, "right": right}))


def write_journal(folder: Path, samples: int) -> None:
    """Write the run of an evaluation."""
    from evaluated import question_rows, write_evaluation

    rows = question_rows(samples)
    write(folder / "few.jsonl", iter(rows))
    ends = {row["id"]: [n % 2 == 0] for n, row in enumerate(rows)}
    write_evaluation(folder / "run", rows, ends, thinking="word " * 15_000)


def select(name: str) -> None:
    """Select in this process, and print what it took."""
    from tessy.cli.main import main

    source, options = SELECTIONS[name]
    try:
        main(["select", source, "--out", "out.jsonl", "--quiet", *options])
    except SystemExit as end:
        if end.code:
            raise
    print(f"{name}: {time.process_time():.1f} s, peak {peak_mib():,.0f} MiB", flush=True)


def main(questions: int, samples: int) -> None:
    """Measure all selections, each in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "many.jsonl", made(questions, LENGTH, 0))
        write(folder / "tenth.jsonl", made(questions // 10, LENGTH, 1))
        write(folder / "test.jsonl", made(2000, 60, 2))
        write_rates(folder, questions)
        write_journal(folder, samples)
        for each in SELECTIONS:
            command = [sys.executable, __file__, "--do", each]
            subprocess.run(command, check=True, cwd=folder)


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    if sys.argv[1:2] == ["--do"]:
        select(sys.argv[2])
    else:
        given = [*map(int, sys.argv[1:])]
        main(given[0] if given else 1_000_000, given[1] if len(given) > 1 else 2_000)
