"""What an export costs, in CPU time and memory: `python benchmarks/export.py`.

Makes a data set of random words, as many samples as the paper's and as long, and exports it with
`tessy export` in a process of its own, once for each line of `EXPORTS`.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import orjson

EXPORTS = (
    ("trl",),
    ("trl", "--mask", "capability"),
    ("sharegpt",),
    ("alpaca",),
    ("parquet",),
    ("hf", "--min-teacher-share", "0.3", "--max-tokens", "20000", "--drop-forced"),
    ("parquet", "--decontaminate", "{questions}"),
    ("parquet", "--near-duplicates", "0.8"),
)
SPANS, POOL = 300, 20_000
TOKENS_PER_WORD = 1.3


def passages(words: int, seed: int) -> list[str]:
    """Stretches of text, of so many words each, to make spans of."""
    draw = random.Random(seed)
    letters = "etaoinshrdlucmfwypvbgk"
    vocabulary = ["".join(draw.choices(letters, k=draw.randint(1, 9))) for _ in range(20_000)]
    weights = [1 / rank for rank in range(1, len(vocabulary) + 1)]
    return [" ".join(draw.choices(vocabulary, weights, k=words)) + " " for _ in range(POOL)]


def records(samples: int, tokens: int, seed: int = 0) -> Iterator[dict]:
    """Records of SPANS spans; one in a hundred is a near-duplicate of the one before."""
    draw = random.Random(seed)
    pool = passages(round(tokens / TOKENS_PER_WORD / SPANS), seed)
    texts: list[str] = []
    for number in range(samples):
        if number % 100 == 99:
            texts = [*texts[:-1], draw.choice(pool)]
        else:
            texts = draw.choices(pool, k=SPANS)
        position, spans = 8, [{"role": "format", "start": 0, "end": 8, "forced": False}]
        for index, text in enumerate(texts):
            role = ("student", "teacher")[index % 2]
            end = position + len(text)
            spans.append({"role": role, "start": position, "end": end, "forced": False})
            position = end
        close, answer = "\n</think>\n\n", draw.choice(pool)
        spans.append({"role": "format", "start": position, "end": position + len(close)})
        position += len(close)
        spans.append({"role": "student", "start": position, "end": position + len(answer)})
        content = "<think>\n" + "".join(texts) + close + answer
        yield {
            "id": f"q{number}",
            "messages": [
                {"role": "user", "content": f"{number}: {draw.choice(pool)}"},
                {"role": "assistant", "content": content},
            ],
            "spans": spans,
            "stats": {"student_tokens": tokens // 2, "teacher_tokens": tokens // 2},
            "method": "tessy",
            "models": {"student": "student", "teacher": "teacher"},
            "seed": seed,
        }


def write(path: Path, rows: Iterator[dict]) -> float:
    """Write lines; the file's size in GB."""
    with path.open("wb") as file:
        for row in rows:
            file.write(orjson.dumps(row) + b"\n")
    return path.stat().st_size / 1e9


def measure(command: list[str]) -> tuple[float, float]:
    """Run a command; its seconds of CPU time, and the most memory it held, in MB."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    assert process.stderr
    said = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(said)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Make the data, export it in every way, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=80_000)
    parser.add_argument("--tokens", type=int, default=15_000)
    parser.add_argument("--only", type=int, nargs="*", help="lines of EXPORTS, from 0")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, questions = folder / "dataset.jsonl", folder / "questions.jsonl"
        size = write(data, records(chosen.samples, chosen.tokens))
        prompts = passages(60, seed=1)[:2000]
        write(questions, ({"question": prompt} for prompt in prompts))
        print(f"{chosen.samples} samples of {chosen.tokens} tokens, {size:.2f} GB")
        print("| export | CPU seconds | ms a sample | peak memory, MB |\n|---|---|---|---|")
        for number, (to, *options) in enumerate(EXPORTS):
            if chosen.only is not None and number not in chosen.only:
                continue
            options = [option.format(questions=questions) for option in options]
            out = ["--out", str(folder / "out"), "--force", "--quiet"]
            tessy = [sys.executable, "-m", "tessy", "export", str(data), "--to", to]
            seconds, memory = measure([*tessy, *options, *out])
            shown = " ".join(option.replace(str(folder) + "/", "") for option in options)
            each = 1000 * seconds / chosen.samples
            print(f"| `{to} {shown}` | {seconds:.0f} | {each:.1f} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    main()
