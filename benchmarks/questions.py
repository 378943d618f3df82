"""How long reading many questions takes, and how much memory: `python benchmarks/questions.py`.

Makes a file of random questions (in Parquet all at once: for a million, 6 GB of memory), and reads
it in a process of its own: once to check all, then again to use them, and to use those of one shard
of many.

    python benchmarks/questions.py --questions 1000000 --format parquet
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import orjson
import pyarrow
import pyarrow.parquet

WORD_LENGTHS = range(2, 11)
POOL = 50_000
BATCH = 10_000
SHARDS = 64


def questions(count: int, size: int, seed: int = 0) -> Iterator[dict]:
    """Questions of about so many bytes, as data sets of mathematics have them."""
    draw = random.Random(seed)
    letters = "etaoinshrdlucmfwypvbgk"
    words = ["".join(draw.choices(letters, k=draw.choice(WORD_LENGTHS))) for _ in range(POOL)]
    text = " ".join(draw.choices(words, k=20 * POOL))
    for number in range(count):
        start = draw.randrange(len(text) - 2 * size)
        length = draw.randint(size // 2, size * 3 // 2)
        yield {
            "id": f"question-{number}",
            "problem": text[start : start + length],
            "answer": str(draw.randrange(10**6)),
            "source": draw.choice(("amc", "olympiads", "forum")),
            "difficulty": draw.random(),
        }


def write(path: Path, rows: Iterator[dict]) -> None:
    """Write a file of lines, or of Parquet with one row group: the hardest to read in parts."""
    if path.suffix == ".jsonl":
        with path.open("wb") as file:
            file.writelines(orjson.dumps(row) + b"\n" for row in rows)
        return
    parts = []
    while batch := list(islice(rows, BATCH)):
        parts.append(pyarrow.Table.from_pylist(batch))
    table = pyarrow.concat_tables(parts)
    pyarrow.parquet.write_table(table, path, row_group_size=len(table), compression="zstd")


def measure(path: Path) -> None:
    """Read the file in this process, and print what it took."""
    from tessy.data.questions import read

    with timed("start"):
        pass
    with timed("check all"):
        found = read(path)
    with timed("read all again"):
        sum(1 for _ in found)
    with timed(f"read one of {SHARDS} shards"):
        sum(1 for _ in found.take(found.numbers(0, SHARDS)))


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Print a line of the table."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{name:25} {wall:6.1f} s ({cpu:.1f} s of CPU), peak {peak:.0f} MiB", flush=True)


def main() -> None:
    """Make the file, and read it in another process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=1_000_000)
    parser.add_argument("--bytes", type=int, default=2000, help="of a question, in the mean")
    parser.add_argument("--format", choices=("parquet", "jsonl"), default="parquet")
    parser.add_argument("--write", type=Path, help="only write this file")
    parser.add_argument("--read", type=Path, help="only read this file")
    chosen = parser.parse_args()
    if chosen.write is not None:
        write(chosen.write, questions(chosen.questions, chosen.bytes))
        return
    if chosen.read is not None:
        measure(chosen.read)
        return
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / f"questions.{chosen.format}"
        again = [sys.executable, *sys.argv]
        # In a process of its own, since a process's peak is at least that of the one it is from.
        subprocess.run([*again, "--write", str(path)], check=True)
        print(f"{path.name}: {path.stat().st_size / 1e9:.2f} GB", flush=True)
        subprocess.run([*again, "--read", str(path)], check=True)


if __name__ == "__main__":
    main()
