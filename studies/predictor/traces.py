"""The public traces that gold and training segments were drawn from, as `ReasoningTrace` rows.

    python -m studies.predictor.traces DATA OUT

DATA holds folders `traces_*` with `traces.jsonl.gz` in them (source, domain, model, question_id,
thinking). OUT is a file that `tessy predictor annotate` reads. The traces are cleaned: the canned
sentence that opens about half of the Qwen3-2507 traces of CREST is cut off, models get one name
each, and domains become subjects.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tessy.boundary.training.segments import ReasoningTrace

SUBJECTS = {
    "math": "mathematics",
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
    "QwQ-32b": "QwQ-32B",
    "QwQ-32b-16k": "QwQ-32B",
    "deepseek-r1-0528": "DeepSeek-R1-0528",
    "deepseek-r1-distill-qwen-14b": "DeepSeek-R1-Distill-Qwen-14B",
    "glm-z1-32b": "GLM-Z1-32B",
    "moonshotai/kimi-k2-thinking": "Kimi-K2-Thinking",
    "openai/gpt-oss-120b": "gpt-oss-120b",
    "phi-4-reasoning-plus": "Phi-4-reasoning-plus",
    "qwen3-235b-a22b-think": "Qwen3-235B-A22B-Thinking",
    "qwen3-30b-a3b-think": "Qwen3-30B-A3B-Thinking",
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
                    question=f"{name}:{row['question_id']}",
                )


if __name__ == "__main__":
    found = list(traces(Path(sys.argv[1])))
    with Path(sys.argv[2]).open("w", encoding="utf-8") as out:
        out.writelines(trace.model_dump_json() + "\n" for trace in found)
    print(f"{len(found)} traces")
