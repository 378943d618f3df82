"""The questions of a dry run's sample are the run's own: same ids, messages and columns."""

from __future__ import annotations

import json

import pytest

from tessy.data.questions import read
from tessy.evaluation.dry_run import _put

ROWS = [
    {"prompt": "What is 1 + 1?", "answer": 2, "stats": {"a": [1, None]}},
    {"id": 7, "problem": "π, „“ \u2028 \\ \x7f?", "messages": None, "answer": 12345678901234567890},
    {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hm?"}]},
    {"id": "x", "question": "Why?", "spans": [], "method": "m", "seed": 1, "where": "here"},
    {"instruction": "Add.", "input": "1 2", "score": 0.1234567890123456789, "system": None},
]


@pytest.mark.parametrize("column", [None, "text"])
def test_what_is_written_is_read_as_it_was(tmp_path, column):
    rows = ROWS if column is None else [{"text": "Which?", "prompt": "not me", "answer": 3}]
    source, copy = tmp_path / "q.jsonl", tmp_path / "copy.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    asked = list(read(source, column=column))
    _put(asked, copy)
    again = list(read(copy, column="messages"))
    assert [(each.id, each.messages, each.extra) for each in again] == [
        (each.id, each.messages, each.extra) for each in asked
    ]
