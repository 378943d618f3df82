"""Runs that are killed, stopped and resumed on servers that fail: every question ends once."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections import Counter
from pathlib import Path

from commands import start
from scripted import faulty, two_servers, write_questions
from tessy.testing import Latency
from torture.counts import Table

QUESTIONS = 12
KILLS = 5
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_SETTINGS = "[student]\nretries = 30\n[teacher]\nretries = 30\n"


async def kills(table: Table, folder: Path, tokenizers: dict[str, Path]) -> None:
    """Kill runs at random moments: modes × workers × share of calls that fail."""
    draw = random.Random(17)
    questions = write_questions(folder / "q.jsonl", QUESTIONS)
    settings = folder / "retries.toml"
    settings.write_text(_SETTINGS)
    expected = await _texts(folder / "undisturbed", questions, settings, tokenizers, "stream", 1, 0)
    for rate in (0.0, 0.1, 0.25):
        what = f"{KILLS} × kill -9, SIGTERM, SIGHUP or Ctrl-C each; {rate:.0%} of calls fail"
        with table.row("runs", what, "every question ends once, with the same text") as row:
            for mode in ("stream", "chunks"):
                for workers in (1, 2):
                    run = folder / f"{mode}-{workers}-{rate}"
                    found = await _texts(
                        run, questions, settings, tokenizers, mode, workers, rate, draw
                    )
                    for name in sorted(expected):
                        held = found[name] == expected[name]
                        row.count(held, f"{mode}, {workers} workers, {rate:.0%}: {name}")


async def _texts(
    run: Path,
    questions: Path,
    settings: Path,
    tokenizers: dict[str, Path],
    mode: str,
    workers: int,
    rate: float,
    draw: random.Random | None = None,
) -> dict[str, list[str]]:
    """All records of a run by id, after it was killed `KILLS` times if `draw` is given."""
    slow = Latency(first_token_s=0.004, token_s=0.0005)
    faults = faulty(rate) if rate else None
    async with two_servers(tokenizers, latency=slow, words=120, faults=faults) as (
        servers,
        options,
    ):
        command = ["synth", questions, "--out", run, *options, "--config", settings, "--quiet"]
        command += ["--concurrency", "4", "--mode", mode, "--workers", str(workers)]
        for number in range(KILLS if draw else 0):
            process = await start(*command)
            wanted = servers["teacher"].stats.requests + draw.randint(2, 14)
            while process.returncode is None and servers["teacher"].stats.requests < wanted:
                await asyncio.sleep(0.01)
            if process.returncode is None:
                process.send_signal(SIGNALS[number % len(SIGNALS)])
            await asyncio.wait_for(process.communicate(), 60)
        process = await start(*command)
        _, err = await asyncio.wait_for(process.communicate(), 300)
    if process.returncode:
        print(err.decode()[-400:])
    ended = [
        json.loads(line)
        for name in ("dataset.jsonl", "failures.jsonl")
        for line in (run / name).read_text(encoding="utf-8").splitlines()
    ]
    counts = Counter(record["id"] for record in ended)
    texts = {record["id"]: [json.dumps(record.get("messages"))] for record in ended}
    return {
        f"q{n}": texts.get(f"q{n}", ["lost"]) * max(1, counts[f"q{n}"]) for n in range(QUESTIONS)
    }
