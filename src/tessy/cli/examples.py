"""Two examples for each command, which end its `--help`."""

from __future__ import annotations

EXAMPLES = {
    "synth": (
        "tessy synth questions.jsonl --out runs/first --student http://localhost:8000/v1 "
        "--student-tokenizer Qwen/Qwen3-8B --teacher http://localhost:8001/v1 "
        "--teacher-tokenizer openai/gpt-oss-120b",
        "tessy synth questions.jsonl --out runs/first --config run.toml --verify math --limit 100",
    ),
    "serve": (
        "tessy serve --student lab:student --teacher lab:teacher --predictor lab --port 8200",
        "tessy serve --config run.toml --host 0.0.0.0 --api-key-env TESSY_KEY "
        "--journal runs/served",
    ),
    "eval": (
        "tessy eval test.jsonl --model http://localhost:8000/v1 --tokenizer Qwen/Qwen3-8B "
        "--out runs/eval",
        "tessy eval test.jsonl --model lab:student --out runs/eval --samples-per-question 4 "
        "--verify number",
    ),
    "select": (
        "tessy select questions.jsonl --by student=runs/eval-student "
        "--by teacher=runs/eval-teacher --out chosen.jsonl",
        "tessy select questions.jsonl --near-duplicates 0.8 --decontaminate test.jsonl "
        "--count 80000 --stratify family --out chosen.jsonl",
    ),
    "doctor": (
        "tessy doctor --student http://localhost:8000/v1 --student-tokenizer Qwen/Qwen3-8B "
        "--teacher http://localhost:8001/v1 --teacher-tokenizer openai/gpt-oss-120b",
        "tessy doctor --config run.toml",
    ),
    "show": (
        "tessy show runs/first",
        "tessy show runs/first q7 --discarded",
    ),
    "view": (
        "tessy view runs/first",
        "tessy view s3://lab/runs/first --port 8300",
    ),
    "report": (
        "tessy report runs/first",
        "tessy report runs/first --against runs/student-only --markdown report.md",
    ),
    "export": (
        "tessy export runs/first --to trl --out data/first",
        "tessy export runs/first --to trl --out data/first --mask capability --right",
    ),
    "merge": (
        "tessy merge runs/first",
        "tessy merge s3://lab/runs/first --rows-per-file 10000",
    ),
    "sft": (
        "tessy sft data/first/train.jsonl --model Qwen/Qwen3-8B --out models/first",
        "tessy sft data/first/train.jsonl --config sft.toml --out models/first",
    ),
    "verify": (
        "tessy verify runs/first --with math",
        "tessy verify responses.jsonl --with number:gold --group family",
    ),
}


def epilog(name: str) -> str:
    """What ends the help of a command."""
    return "\n\n".join(["Examples:", *EXAMPLES[name]])
