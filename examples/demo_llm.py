"""Three contest problems and two small real language models.

    python examples/demo_llm.py [FOLDER] [QUESTIONS]

Run by `make demo-llm`, after fetch_models.py has downloaded SmolLM2-135M (the student) and
Gemma-3-270M (the teacher). They are far too small to solve these problems. The demo shows how the
method works, who wrote what, and that the data set loads.
"""

from __future__ import annotations

import sys
import tempfile

from demo import HERE, YOUR_PAIR, say, shown, tessy


def main(out: str = "runs/demo-llm", questions: str = str(shown(HERE / "problems.jsonl"))) -> None:
    """Synthesize, show a trajectory, and load the data set."""
    say("1. Contest problems, the thinking written in turns")
    tessy("synth", questions, "--config", shown(HERE / "demo_llm.toml"), "--out", out)
    from datasets import disable_progress_bars, load_dataset

    disable_progress_bars()
    with tempfile.TemporaryDirectory() as cache:
        path = f"{out}/dataset.jsonl"
        data = load_dataset("json", data_files=path, split="train", cache_dir=cache)
        most = max(data, key=lambda record: record["stats"]["hand_overs"])["id"]
        say(f"2. Who wrote what: {most} has the most hand-overs")
        tessy("show", out, most, "--discarded")
        say("3. The data set, loaded with datasets.load_dataset")
        print(data)
    say("4. What to do next")
    print("The text is poor: these models have 135 and 270 million parameters and never learned")
    print("to reason. For data worth training on, serve a real pair:\n")
    print(YOUR_PAIR)


if __name__ == "__main__":
    main(*sys.argv[1:])
