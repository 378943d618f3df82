"""How fast `tessy view` is with many samples: the table of docs/view.md.

    python benchmarks/view.py FOLDER [SAMPLES] [CHARACTERS]

makes a run of that many samples (by default 100,000 of 60 kB, which needs 15 GB) unless FOLDER has
one, then measures a server in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tessy.data.record import THINK_CLOSE, THINK_OPEN
from tessy.method.trajectory import Failure
from tessy.runs.folder import RunFolder
from tessy.runs.journal import Journal
from tessy.runs.written import Ending

WORD = 6.5
"""Characters of a word, with the blank after it."""
FILTERS = {
    "none": "",
    "id, a part": "id=q77",
    "status": "status=failed",
    "teacher share": "share_least=70&share_most=75",
    "tokens": "tokens_least=12000",
    "text, a rare word": "text=needle777",
    "text, three common words": "text=aba+abe+abi",
    "text, one letter": "text=a",
    "all at once": "id=q7&status=finished&share_least=50&tokens_least=5000&text=aba",
    "none, the last page": "page={last}",
    "verdict": "verdict=wrong",
    "none, by tokens": "sort=tokens&descending=yes",
    "none, by tokens, the last page": "sort=tokens&page={last}",
    "none, by time a call": "sort=seconds_a_call",
}


class Texts:
    """Thinking of words that are as unevenly frequent as those of a language."""

    def __init__(self, characters: int) -> None:
        self._draw = np.random.default_rng(1)
        sounds = [c + v for c in "bcdfghklmnprstvw" for v in "aeiou"]
        self._words = np.array(
            ["a" + a for a in sounds]
            + [a + b for a in sounds for b in sounds]
            + [a + b + c for a in sounds for b in sounds for c in sounds[:4]]
        )
        weights = 1 / np.arange(1, len(self._words) + 1)
        self._weights = weights.cumsum() / weights.sum()
        self._count = int(characters / WORD)

    def text(self) -> str:
        """One thinking; its length differs by half."""
        count = int(self._count * self._draw.uniform(0.5, 1.5))
        at = np.searchsorted(self._weights, self._draw.random(count))
        return " ".join(self._words[at].tolist())

    def ending(self, number: int) -> Ending:
        """A sample that ended: one in fifty failed."""
        thinking, answer = f"needle{number} {self.text()}", "So it is 42."
        content = THINK_OPEN + thinking + THINK_CLOSE + answer
        cuts = np.unique(self._draw.integers(1, len(thinking), max(2, len(thinking) // 150)))
        edges = [0, *(len(THINK_OPEN) + cuts).tolist(), len(THINK_OPEN) + len(thinking)]
        edges[0] = len(THINK_OPEN)
        roles = ("student", "teacher")
        spans = [_span("format", 0, len(THINK_OPEN))]
        spans += [_span(roles[n % 2], a, b) for n, (a, b) in enumerate(pairwise(edges))]
        closed = edges[-1] + len(THINK_CLOSE)
        spans += [_span("format", edges[-1], closed), _span("student", closed, len(content))]
        tokens = len(thinking) // 4
        teacher = int(tokens * self._draw.uniform(0.4, 0.9))
        failed = number % 50 == 0
        asked = [{"role": "user", "content": f"What is {number} + {number}? {thinking[:400]}"}]
        record: dict[str, Any] = {
            "id": f"q{number}",
            "spans": spans,
            "stats": _stats(tokens, teacher),
        }
        if failed:
            record |= {"reason": "repetition", "detail": "it repeats itself", "where": None}
            record |= {"messages": asked, "content": content, "answer": ""}
        else:
            answered = {"role": "assistant", "content": content}
            outcome = "wrong" if number % 7 == 0 else "right"
            record |= {"messages": [*asked, answered], "method": "tessy", "models": {}, "seed": 0}
            record["verdict"] = {"outcome": outcome, "score": 0.0, "detail": ""}
        discards = [
            {"role": "teacher", "part": "thinking", "at": int(at), "text": thinking[at : at + 40]}
            for at in cuts[::2]
        ]
        trace = {"discards": discards, "asked": [20] * len(cuts)}
        failure = Failure.REPETITION if failed else None
        return Ending(number, f"q{number}", failure, record, trace, number / 7, 100)


def _span(role: str, start: int, end: int) -> dict[str, Any]:
    return {"role": role, "start": start, "end": end, "forced": False}


def _stats(tokens: int, teacher: int) -> dict[str, Any]:
    return {
        "student_tokens": tokens - teacher,
        "teacher_tokens": teacher,
        "thinking_tokens": tokens,
        "answer_tokens": 5,
        "student_discarded_tokens": tokens // 20,
        "teacher_discarded_tokens": tokens // 10,
        "turns": tokens // 15,
        "hand_overs": tokens // 20,
        "thinking_cut_off": False,
    }


async def make(folder: RunFolder, samples: int, characters: int) -> None:
    """Write a run's journal."""
    folder.shard(0).path.mkdir(parents=True)
    texts = Texts(characters)
    async with Journal(folder.shard(0)) as journal:
        for start in range(0, samples, 500):
            numbers = range(start, min(start + 500, samples))
            await asyncio.gather(*(journal.end(texts.ending(number)) for number in numbers))
            print(f"\r{numbers[-1] + 1:,} of {samples:,} samples made", end="", flush=True)
    print()


class Server:
    """`tessy view` in a process of its own."""

    def __init__(self, run: Path, cache: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tessy", "view", str(run), "--no-open"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "TESSY_CACHE": str(cache)},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.url = re.findall(r"http://\S+", line)[0]

    def get(self, path: str) -> str:
        """A page."""
        with urllib.request.urlopen(self.url + path) as answer:
            return str(answer.read().decode())

    def state(self) -> dict[str, Any]:
        """How far its index is."""
        with urllib.request.urlopen(self.url + "events") as answer:
            return dict(json.loads(answer.readline().decode().removeprefix("data: ")))

    def cpu_s(self) -> float:
        """CPU time it used, in seconds; other work on the machine changes it little."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def most_mb(self) -> float:
        """The most memory it used, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024

    def stop(self) -> None:
        """Stop it as Ctrl-C does."""
        self.process.send_signal(2)
        self.process.wait(10)


def measure(run: Path, cache: Path) -> None:
    """Print the table."""
    shutil.rmtree(cache, ignore_errors=True)
    began = time.perf_counter()
    server = Server(run, cache)
    try:
        server.get("")
        _row("first page, from the command on", time.perf_counter() - began)
        _row("  of CPU time", server.cpu_s())
        ended = server.state()["ended"]
        for key, name in (("listed", "all samples listed"), ("searched", "all words searched")):
            slowest = 0.0
            while server.state()[key] < ended:
                asked = time.perf_counter()
                server.get("?status=failed")
                slowest = max(slowest, time.perf_counter() - asked)
                time.sleep(0.2)
            _row(f"{name}, from the command on", time.perf_counter() - began)
            _row("  of CPU time", server.cpu_s())
            _row("  the slowest page meanwhile", slowest)
        _filters(server, ended)
        print(f"most memory: {server.most_mb():.0f} MB")
    finally:
        server.stop()
    size = sum(file.stat().st_size for file in (cache / "view").iterdir())
    journal = RunFolder(run).shard(0).journal.stat().st_size
    print(f"journal {journal / 1e6:,.0f} MB, index {size / 1e6:,.0f} MB")
    began = time.perf_counter()
    server = Server(run, cache)
    server.get("")
    _row("first page with an index that is there", time.perf_counter() - began)
    _row("  of CPU time", server.cpu_s())
    server.stop()


def _filters(server: Server, ended: int) -> None:
    for name, query in FILTERS.items():
        query = query.format(last=-(-ended // 50))
        page, seconds = _best(server, f"?{query}")
        count = re.findall(r'id="count">([\d,]+)', page)[0]
        _row(f"list, filter: {name} ({count} samples)", seconds)
    middle = f"sample={urllib.parse.quote(f'q{ended // 2}')}"
    page, seconds = _best(server, f"sample?{middle}")
    _row(f"a sample ({len(page) / 1e3:.0f} kB)", seconds)
    page, seconds = _best(server, f"sample?rendered=yes&{middle}")
    _row(f"the same as Markdown ({len(page) / 1e3:.0f} kB)", seconds)
    _, seconds = _best(server, f"sample?text=aba+abe&{middle}")
    _row("a sample of a list filtered by two common words", seconds)


def _best(server: Server, path: str) -> tuple[str, float]:
    """A page, and the seconds of the quickest of five requests."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        page = server.get(path)
        times.append(time.perf_counter() - began)
    return page, min(times)


def _row(name: str, seconds: float) -> None:
    print(f"{name}: {seconds:.3f} s" if seconds < 10 else f"{name}: {seconds:.0f} s", flush=True)


def main() -> None:
    """Make the run if it is missing, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("samples", type=int, nargs="?", default=100_000)
    parser.add_argument("characters", type=int, nargs="?", default=60_000)
    given = parser.parse_args()
    folder = RunFolder(given.folder)
    if not folder.started_shards():
        asyncio.run(make(folder, given.samples, given.characters))
    measure(given.folder, given.folder.with_name(f"{given.folder.name}-cache"))


if __name__ == "__main__":
    main()
