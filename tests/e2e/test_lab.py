"""The small models that ship, as users meet them: `lab:…`, and the predictor `lab`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from commands import run
from scripted import lines
from tessy import lab
from tessy.errors import ConfigError
from tessy.models.address import parse
from tessy.runs.folder import RunFolder
from tessy.runs.reader import JournalReader

SUMS = Path(__file__).parent.parent.parent / "examples" / "sums.jsonl"


def test_the_models_and_their_predictor_are_small():
    folders = [lab.folder(name) for name in (*lab.MEMBERS, lab.PREDICTOR)]
    assert sum(path.stat().st_size for each in folders for path in each.iterdir()) <= 12_000_000


def test_the_pair_writes_together_with_nothing_else_given(tmp_path):
    done = run(
        *("synth", SUMS, "--out", tmp_path / "run", "--limit", "24", "--quiet"),
        *("--student", "lab:student", "--teacher", "lab:teacher", "--predictor", "lab"),
    )
    assert done.code == 0, done.err
    records = lines(tmp_path / "run" / "dataset.jsonl")
    assert len(records) >= 22
    right, teachers = [], []
    for record in records:
        content = record["messages"][-1]["content"]
        answer = content.rpartition("</think>\n\n")[2]
        right.append(answer == f"**Answer:** {record['answer']}")
        teachers += [
            content[span["start"] : span["end"]]
            for span in record["spans"]
            if span["role"] == "teacher"
        ]
    assert sum(right) / len(right) >= 0.85
    assert sum(bool(re.search(r"\d", text)) for text in teachers) / len(teachers) > 0.9
    with JournalReader(RunFolder(tmp_path / "run")) as reader:
        confidence = [
            value for entry in reader.ended(failed=False) for value in entry.trace["confidence"]
        ]
    assert len(confidence) >= len(records)  # the report shows how sure the predictor was


def test_workers_use_the_tokenizer_and_chat_format_that_ship(tmp_path):
    command = ["eval", SUMS, "--model", "lab:teacher", "--limit", "16", "--temperature", "0"]
    done = run(*command, "--quiet", "--out", tmp_path / "two", "--workers", "2")
    assert done.code == 0, done.err
    found = json.loads((tmp_path / "two" / "evaluation.json").read_text("utf-8"))
    assert found["samples"] == 16
    assert found["pass_at"]["1"]["value"] >= 0.9


def test_a_model_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(ConfigError) as refused:
        parse("lab:pupil")
    assert "lab:student" in refused.value.hint
    done = run(
        "synth",
        SUMS,
        "--out",
        tmp_path / "run",
        "--student",
        "lab:pupil",
        "--teacher",
        "lab:teacher",
    )
    assert done.code == 2
    assert "lab:pupil" in done.err
