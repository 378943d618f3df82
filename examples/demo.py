"""The method in a quarter of a minute: two small models, alone and together, on sums.

Run by `make demo`. The models ship with tessy. They have about a million parameters each and were
trained from scratch on arithmetic and word puzzles, each in a style of its own (docs/lab.md). The
student forgets to borrow when it subtracts; the teacher does not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tessy.cli.main import main as run

HERE = Path(__file__).resolve().parent
YOUR_PAIR = """\
   $ tessy synth QUESTIONS --out DIR \\
       --student http://HOST:8000/v1 --student-tokenizer Qwen/Qwen3-8B \\
       --teacher http://HOST:8001/v1 --teacher-tokenizer openai/gpt-oss-120b"""


def main(out: Path) -> None:
    """Measure both models, let them write together, and show who wrote what."""
    questions = shown(HERE / "sums.jsonl")
    say(f"1. Each model alone: {questions}")
    alone = {}
    for role in ("student", "teacher"):
        folder = out / role
        tessy("eval", questions, "--model", f"lab:{role}", "--out", folder, "--quiet")
        alone[role] = json.loads((folder / "evaluation.json").read_text("utf-8"))
    say("2. Together: the student writes style and answers, the teacher what solves the task")
    together = out / "together"
    tessy("synth", questions, "--config", shown(HERE / "demo.toml"), "--out", together)
    records = [json.loads(line) for line in (together / "dataset.jsonl").open(encoding="utf-8")]
    one = best(records, alone)
    say(f"3. Who wrote what: {one}, which the student alone gets wrong")
    tessy("show", together, one, "--discarded")
    say("4. What it comes to")
    summarise(alone, records)
    say("5. The report: who wrote what, and how close it is to the student")
    tessy("report", together, "--against", out / "student")
    say("6. What to do next")
    print(f"tessy view {together}    every sample in a browser, with what was discarded")
    print("make study       trains the student on this and on every other kind of data: hours")
    print("make demo-llm    the same with two real language models, too small to reason well")
    print(f"A pair of yours:\n{YOUR_PAIR}")


def tessy(*args: object) -> None:
    """Run a tessy command in this process, and show it first."""
    print(f"   $ tessy {' '.join(map(str, args))}\n", flush=True)
    try:
        run([str(arg) for arg in args])
    except SystemExit as end:
        if end.code:
            raise


def best(records: list[dict], alone: dict) -> str:
    """The right sample with the most hand-overs that the student alone got wrong, if any."""
    right = [r for r in records if r["verdict"]["outcome"] == "right"]
    won = [r for r in right if alone["student"]["right"].get(r["id"], [0])[0] == 0]
    return max(won or right or records, key=lambda record: record["stats"]["hand_overs"])["id"]


def summarise(alone: dict, records: list[dict]) -> None:
    """Accuracy of all three, and the teacher's share."""
    for role, found in alone.items():
        print(f"   {role + ' alone':<17}{share(found['pass_at']['1']['value'])} right")
    right = sum(record["verdict"]["outcome"] == "right" for record in records)
    print(f"   {'together':<17}{share(right / len(records))} right, of {len(records)} samples")
    tokens = {
        role: sum(record["stats"][f"{role}_tokens"] for record in records)
        for role in ("student", "teacher")
    }
    theirs = tokens["teacher"] / sum(tokens.values())
    print(f"   {'by the teacher':<17}{share(theirs)} of the tokens")


def share(value: float) -> str:
    """As a percentage."""
    return f"{100 * value:5.1f}%"


def shown(path: Path) -> Path:
    """A path as one would type it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def say(line: str) -> None:
    """Print a line that stands out."""
    print(f"\n\033[1m{line}\033[0m" if sys.stdout.isatty() else f"\n{line}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/demo"))
