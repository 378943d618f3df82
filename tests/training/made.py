"""Samples and a small student to train on them."""

from __future__ import annotations

import json
from pathlib import Path

from e2e.tiny_models import write_model
from tessy.training.settings import SFTSettings

OPEN, CLOSE = "<think>\n", "\n</think>\n\n"
TEMPLATES = Path(__file__).parent.parent / "templates"


def sample(number: int, *, spans: bool = True, **more) -> dict:
    """A record: the student hesitates, the teacher adds up, the student answers."""
    pieces = [
        *(("format", OPEN), ("student", "Okay,"), ("teacher", f" {number}+{number} is")),
        *(("teacher", f" {2 * number},"), ("student", " so, wait"), ("format", CLOSE)),
        ("student", f"It is {2 * number}."),
    ]
    content, found = "", []
    for role, text in pieces:
        found.append({"role": role, "start": len(content), "end": len(content) + len(text)})
        content += text
    row = {
        "id": str(number),
        "messages": [
            {"role": "user", "content": f"What is {number}+{number}?"},
            {"role": "assistant", "content": content},
        ],
        "method": "tessy",
        "models": {"student": "small", "teacher": "large"},
    }
    return {**row, **({"spans": found} if spans else {}), **more}


def write(path: Path, rows: list) -> Path:
    """Write rows as JSONL; a text is a line as it is."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def student(folder: Path) -> Path:
    """A Llama of random weights with Qwen3's own chat template."""
    write_model(folder, "qwen3", 1)
    (folder / "chat_template.jinja").write_text((TEMPLATES / "qwen3.jinja").read_text("utf-8"))
    return folder


def settings(model: Path, **more) -> SFTSettings:
    """Quick ones."""
    quick = {"epochs": 2, "batch_size": 8, "learning_rate": 5e-3}
    return SFTSettings.model_validate({"model": str(model), **quick, **more})
