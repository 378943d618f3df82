"""How many questions of the lab's world are answered rightly: by a model alone, or in a run.

    python benchmarks/lab_accuracy.py questions.jsonl --model student --temperature 0
    python benchmarks/lab_accuracy.py questions.jsonl --model student --folder FOLDER
    python benchmarks/lab_accuracy.py questions.jsonl --run runs/lab

`tessy lab questions` makes the file. A model is served by llama.cpp, as tessy serves it, and asked
with token ids; a run is one of `tessy synth` on the same file. Right is what reasoning-gym's own
scorer gives 1.0. Intervals are Wilson's, 95%.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import aiohttp

from tessy.lab.encode import Encoder
from tessy.lab.questions import score
from tessy.lab.voices import voice
from tessy.models import local, weights
from tessy.trajectory import Role

SLOTS = 4
CONTEXT = 1024
LONGEST = 400


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("questions", type=Path)
    parser.add_argument("--model", type=Role, choices=list(Role), default=Role.STUDENT)
    parser.add_argument("--folder", type=Path, help="of a model; by default the one that ships")
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--run", type=Path, help="a run's folder")
    chosen = parser.parse_args()
    rows = [json.loads(line) for line in chosen.questions.read_text("utf-8").splitlines()]
    began = time.monotonic()
    if chosen.run:
        answers = of_a_run(chosen.run)
        role = Role.STUDENT
    else:
        role = chosen.model
        folder = chosen.folder or weights.lab_folder(role)
        answers, tokens = asyncio.run(of_a_model(rows, folder, role, chosen.temperature))
        seconds = time.monotonic() - began
        print(f"{tokens} tokens in {seconds:.0f} s: {tokens / seconds:.0f} tokens/s")
    show(rows, answers, role)


def show(rows: list[dict[str, Any]], answers: dict[str, str], role: Role) -> None:
    """Print the share of right answers of each family."""
    right: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        said = voice(role).answered(answers.get(row["id"], ""))
        right[row["family"]].append(said is not None and score(row, said) == 1.0)
    for family, each in right.items():
        low, high = wilson(sum(each), len(each))
        print(f"{family:20} {sum(each):4} of {len(each):4}  {sum(each) / len(each):.1%}"
              f" ({low:.1%} to {high:.1%})")  # fmt: skip


def wilson(right: int, count: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share."""
    z = 1.96
    share, square = right / count, z * z / count
    half = z * math.sqrt(share * (1 - share) / count + square / (4 * count))
    return tuple((share + square / 2 + sign * half) / (1 + square) for sign in (-1, 1))


async def of_a_model(
    rows: list[dict[str, Any]], folder: Path, role: Role, temperature: float
) -> tuple[dict[str, str], int]:
    """What a model answers, alone, by question, and how many tokens it wrote."""
    encoder = Encoder(folder, role)
    answers: dict[str, str] = {}
    tokens = 0
    gate = asyncio.Semaphore(SLOTS)
    serving = local.serve(folder / "model.gguf", slots=SLOTS, context_tokens=CONTEXT)
    async with serving as url, aiohttp.ClientSession() as session:

        async def ask(number: int, row: dict[str, Any]) -> None:
            nonlocal tokens
            body = {
                "prompt": encoder.prompt(row["prompt"]),
                "n_predict": LONGEST,
                "temperature": temperature,
                "top_k": 0,
                "top_p": 1.0,
                "min_p": 0.0,
                "seed": number,
                "return_tokens": True,
            }
            native = url.removesuffix("/v1") + "/completion"
            async with gate, session.post(native, json=body) as response:
                ids = (await response.json())["tokens"]
            tokens += len(ids)
            end = ids.index(encoder.end) if encoder.end in ids else len(ids)
            answers[row["id"]] = encoder.split(ids[:end])[1]

        await asyncio.gather(*(ask(number, row) for number, row in enumerate(rows)))
    return answers, tokens


def of_a_run(folder: Path) -> dict[str, str]:
    """The answers of a run's data set, by question."""
    found = {}
    for line in (folder / "dataset.jsonl").read_text("utf-8").splitlines():
        record = json.loads(line)
        found[record["id"]] = record["messages"][-1]["content"].rpartition("</think>\n\n")[2]
    return found


if __name__ == "__main__":
    main()
