"""How long `tessy report` takes and how much memory, on a run made up for it.

    python benchmarks/report.py --samples 10000 --tokens 15000 [--runs 2] [--tokenizer FOLDER]

Texts are words drawn as in English (Zipf's law, of 60,000 words); every seventh word is a number.
Spans have 4 words of the student's and 14 of the teacher's on average. There are 1.3 tokens to a
word, as in the traces of Qwen3-8B. Runs stay in `--out` and are made once.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from tessy.method.trajectory import Failure
from tessy.runs.folder import RunFolder
from tessy.runs.journal import Journal
from tessy.runs.written import Ending

WORDS = 60_000
TOKENS_A_WORD = 1.3
FAILED = 0.03
_GROUP = 50


def vocabulary(seed: int) -> list[str]:
    """Made-up words, the frequent ones short."""
    chance = np.random.default_rng(seed)
    letters = np.array(list("etaoinshrdlucmfwypvbgkjqxz"))
    lengths = np.minimum(2 + (np.log2(np.arange(WORDS) + 1) / 2.2).astype(int), 14)
    return ["".join(chance.choice(letters, length)) for length in lengths]


def texts(chance: np.random.Generator, words: list[str], count: int) -> list[str]:
    """That many words in a row, each with its blank."""
    ranks = np.minimum(chance.zipf(1.25, count) - 1, WORDS - 1).tolist()
    numbers = (chance.random(count) < 1 / 7).tolist()
    values = chance.zipf(1.2, count).clip(0, 10**6).tolist()
    return [
        f" {value}" if number else f" {words[rank]}"
        for rank, number, value in zip(ranks, numbers, values, strict=True)
    ]


def sample(position: int, seed: int, words: list[str], tokens: int) -> Ending:
    """A sample as a run would end it."""
    chance = np.random.default_rng((seed, position))
    failed = chance.random() < FAILED
    length = max(20, int(chance.normal(tokens, tokens / 4) / TOKENS_A_WORD))
    written = texts(chance, words, length)
    spans: list[dict[str, Any]] = [{"role": "format", "start": 0, "end": 8, "forced": False}]
    parts, at, place, role = ["<think>\n"], 8, 0, "student"
    counts, discards = {"student": 0, "teacher": 0}, []
    thinking = int(length * 0.9)
    while place < thinking:
        size = min(int(chance.geometric(1 / 4 if role == "student" else 1 / 14)), thinking - place)
        text = "".join(written[place : place + size])
        forced = bool(chance.random() < 0.01)
        spans.append({"role": role, "start": at, "end": at + len(text), "forced": forced})
        discards.append({"role": role, "part": "thinking", "at": at - 8 + len(text),
                         "text": "".join(written[place : place + 2])})  # fmt: skip
        parts.append(text)
        counts[role] += int(size * TOKENS_A_WORD)
        at, place, role = at + len(text), place + size, _OTHER[role]
    answer = "".join(written[place:]).strip()
    if not failed:
        closing = "\n</think>\n\n"
        spans.append({"role": "format", "start": at, "end": at + len(closing), "forced": False})
        at += len(closing)
        spans.append({"role": "student", "start": at, "end": at + len(answer), "forced": False})
        parts += [closing, answer]
    stats = {
        **{f"{name}_tokens": count for name, count in counts.items()},
        "thinking_tokens": sum(counts.values()),
        "answer_tokens": 0 if failed else int((length - thinking) * TOKENS_A_WORD),
        **{f"{name}_discarded_tokens": len(discards) for name in counts},
        "turns": len(discards) + 1,
        "hand_overs": len(discards) - 1,
        "thinking_cut_off": False,
    }
    record = _record(position, "".join(parts), spans, stats, failed=failed)
    failure = Failure.REPETITION if failed else None
    trace = {"discards": discards, "asked": [512] * len(discards)}
    seconds = float(chance.gamma(9, tokens / 900))
    return Ending(position, record["id"], failure, record, trace, seconds, len(discards) + 1)


_OTHER = {"student": "teacher", "teacher": "student"}


def _record(
    position: int, content: str, spans: list[dict[str, Any]], stats: dict[str, Any], *, failed: bool
) -> dict[str, Any]:
    asked = {"role": "user", "content": f"Question {position}: what comes next, and why?"}
    common = {"id": f"q{position}", "spans": spans, "stats": stats}
    if failed:
        more = {"reason": "repetition", "detail": "again and again", "where": None, "answer": ""}
        return {**common, **more, "messages": [asked], "content": content}
    messages = [asked, {"role": "assistant", "content": content}]
    models = {"student": "made-up", "teacher": "made-up"}
    return {**common, "messages": messages, "method": "tessy", "models": models, "seed": 0}


async def make_run(folder: Path, seed: int, samples: int, tokens: int) -> None:
    """Write a run's journal and settings."""
    words = vocabulary(seed)
    shard = RunFolder(folder).shard(0)
    shard.path.mkdir(parents=True)
    async with Journal(shard) as journal:
        for group in _groups(samples):
            made = [sample(position, seed, words, tokens) for position in group]
            await asyncio.gather(*(journal.end(ending) for ending in made))
    settings = {"method": "tessy", "run": {"questions": "made-up"}}
    RunFolder(folder).settings.write_text(tomli_w.dumps(settings), encoding="utf-8")


def _groups(samples: int) -> Iterator[range]:
    for start in range(0, samples, _GROUP):
        yield range(start, min(start + _GROUP, samples))


def main() -> None:
    """Make the runs that are missing, and time the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--tokens", type=int, default=15_000)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--tokenizer")
    parser.add_argument("--out", type=Path, default=Path("runs/bench-report"))
    given = parser.parse_args()
    folders = []
    for seed in range(given.runs):
        folder = given.out / f"{given.samples}x{given.tokens}-{seed}"
        folders.append(folder)
        if not RunFolder(folder).settings.exists():
            print(f"making {folder}", flush=True)
            folder.mkdir(parents=True)
            asyncio.run(make_run(folder, seed, given.samples, given.tokens))
    command = [sys.executable, "-m", "tessy", "report", str(folders[0])]
    command += [part for other in folders[1:] for part in ("--against", str(other))]
    command += ["--student-tokenizer", given.tokenizer] if given.tokenizer else ["--words"]
    began = time.perf_counter()
    subprocess.run(command, check=True)
    took = time.perf_counter() - began
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy, memory = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    page = (folders[0] / "report.html").stat().st_size
    print(f"{took:.0f} s, {busy:.0f} s of a core, {memory:,.0f} MB, a page of {page / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
