"""Five contest problems and two small real language models.

Run by `make demo-llm`. The two models (SmolLM2-135M as student, Gemma-3-270M as teacher) are
fetched on first use, about 330 MB. They are far too small to solve these problems: what this
shows is how the method works, who wrote what, and that the data set loads.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TESSY = [sys.executable, "-m", "tessy"]


def main(out: Path) -> int:
    """Synthesize, show a trajectory, and load the data set back."""
    say("1. tessy synth: five problems, thinking written in turns")
    here = HERE.relative_to(Path.cwd()) if HERE.is_relative_to(Path.cwd()) else HERE
    command = ["synth", here / "problems.jsonl", "--config", here / "demo_llm.toml", "--out", out]
    print(f"   $ tessy {' '.join(map(str, command))}\n", flush=True)
    code = subprocess.run([*TESSY, *map(str, command)], check=False).returncode
    if code:
        return code
    from datasets import disable_progress_bars, load_dataset

    disable_progress_bars()
    path = out / "dataset.jsonl"
    with tempfile.TemporaryDirectory() as cache:
        data = load_dataset("json", data_files=str(path), split="train", cache_dir=cache)
        best = max(data, key=lambda record: record["stats"]["hand_overs"])
        say(f"2. tessy show: who wrote what in the sample with most hand-overs, {best['id']}")
        print(f"   $ tessy show {out} {best['id']} --discarded\n", flush=True)
        subprocess.run([*TESSY, "show", str(out), best["id"], "--discarded"], check=True)
        say("3. the data set, loaded back with datasets.load_dataset")
        print(data)
    say("4. what to put in their place")
    print("The text is poor: these models have 135 and 270 million parameters and never learned")
    print("to reason. For data worth training on, serve a real pair and name it instead:\n")
    print("   $ tessy synth QUESTIONS --out DIR \\")
    print("       --student http://HOST:8000/v1 --student-tokenizer Qwen/Qwen3-8B \\")
    print("       --teacher http://HOST:8001/v1 --teacher-tokenizer openai/gpt-oss-120b")
    return 0


def say(line: str) -> None:
    """Print a line that stands out."""
    print(f"\n\033[1m{line}\033[0m" if sys.stdout.isatty() else f"\n{line}", flush=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/demo-llm")))
