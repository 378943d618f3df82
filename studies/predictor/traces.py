"""The public traces that gold and training segments were drawn from, as `ReasoningTrace` rows.

    python -m studies.predictor.traces DATA OUT

DATA holds folders `traces_*` with `traces.jsonl.gz` in them (source, domain, model, question_id,
thinking). OUT is a file that `tessy predictor annotate` reads. The traces are cleaned: the canned
sentence that opens about half of the Qwen3-2507 traces of CREST is cut off, models get one name
each, and domains become subjects.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tessy.boundary.training.segments import ReasoningTrace

SUBJECTS = {
    "math": "mathematics",
    "math-puzzle": "puzzles",
    "code": "code",
    "mmlu_pro": "science",
    "trick-puzzles": "word problems",
    "arith": "word problems",
    "deduct": "word problems",
    "overthink": "word problems",
    "recall": "science",
    "instruct": "other",
    "creative": "other",
    "essay_grading": "other",
    "hiring": "other",
    "medical": "other",
}
MODELS = {
    "Mellum2-12B-A2.5B-Thinking-Q6_K": "Mellum2-12B-A2.5B-Thinking",
    "Mellum2-12B-A2.5B-Thinking-Q8_0": "Mellum2-12B-A2.5B-Thinking",
    "NVIDIA-Nemotron-3-Nano-30B-A3B": "Nemotron-3-Nano-30B-A3B",
    "QwQ-32b": "QwQ-32B",
    "QwQ-32b-16k": "QwQ-32B",
    "Qwen3.6-35B-A3B-Q8_0": "Qwen3.6-35B-A3B",
    "Qwen3.6-35B-A3B-UD-Q4_K_M": "Qwen3.6-35B-A3B",
    "deepseek-r1-0528": "DeepSeek-R1-0528",
    "deepseek-r1-distill-qwen-14b": "DeepSeek-R1-Distill-Qwen-14B",
    "glm-z1-32b": "GLM-Z1-32B",
    "moonshotai/kimi-k2-thinking": "Kimi-K2-Thinking",
    "nemotron-3-nano-30b-a3b": "Nemotron-3-Nano-30B-A3B",
    "nemotron-3-super": "Nemotron-3-Super",
    "nvidia-nemotron-nano-9b-v2": "Nemotron-Nano-9B-v2",
    "openai/gpt-oss-120b": "gpt-oss-120b",
    "phi-4-reasoning-plus": "Phi-4-reasoning-plus",
    "qwen3-235b-a22b-think": "Qwen3-235B-A22B-Thinking",
    "qwen3-235b-a22b-thinking-2507": "Qwen3-235B-A22B-Thinking-2507",
    "qwen3-30b-a3b-think": "Qwen3-30B-A3B-Thinking",
    "qwen3-32b": "Qwen3-32B",
    "qwen3.6-27b": "Qwen3.6-27B",
    "qwen3.6-35b-a3b": "Qwen3.6-35B-A3B",
    "z-ai/glm-4.7": "GLM-4.7",
}
CANNED = re.compile(r"\A\s*This is a complex or challenging question[^\n]*\n+")


def traces(data: Path) -> Iterator[ReasoningTrace]:
    """Every trace below a folder, in a fixed order; ids are unique."""
    for path in sorted(data.glob("traces_*/traces.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file):
                row = json.loads(line)
                thinking = CANNED.sub("", row["thinking"]).strip()
                if not thinking:
                    continue
                name = path.parent.name.removeprefix("traces_")
                yield ReasoningTrace(
                    id=f"{name}/{number}",
                    thinking=thinking,
                    model=MODELS.get(row["model"], row["model"]),
                    subject=SUBJECTS[row["domain"]],
                    source=row["source"],
                    question=f"{name}:{question(name, row)}",
                )


def question(name: str, row: dict[str, Any]) -> str:
    """The task of a row of the folder `traces_<name>`, without the sample, step or language."""
    known = str(row["question_id"])
    if name == "opencode_qwen36_kotlin":  # session#step
        return known.partition("#")[0]
    if name == "localbench_sort":  # one task in three languages
        return "bubble-sort"
    if name == "lrm_token_economy":  # task-sample
        return known.rpartition("-")[0]
    if name == "nemogym_code":  # its numbers are of rows: the same task has several
        function = re.search(r"def (\w+)", row["question"])
        if known.startswith(("code_fim", "evalplus")) and function:  # both are of HumanEval
            return f"humaneval/{function[1]}"
        prompt = row["question"]
        if known.startswith("newton_bench"):  # what the agent has seen is added to its prompt
            prompt = prompt[:1500]
        return hashlib.sha256(prompt.encode()).hexdigest()[:12]
    return known


if __name__ == "__main__":
    found = list(traces(Path(sys.argv[1])))
    with Path(sys.argv[2]).open("w", encoding="utf-8") as out:
        out.writelines(trace.model_dump_json() + "\n" for trace in found)
    print(f"{len(found)} traces")
