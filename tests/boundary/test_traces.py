"""Reading the thinking of data sets and runs."""

from __future__ import annotations

import gzip
import json

import pyarrow
import pyarrow.parquet
import pytest

from tessy.boundary.training.traces import read_traces
from tessy.errors import DataError

THOUGHT = {"role": "assistant", "content": "<think>\nHm, 3.\n</think>\n\n3"}
ASKED = {"role": "user", "content": "What?"}


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    "row",
    [
        {"thinking": "Hm, 3."},
        {"reasoning_content": "Hm, 3.\n", "response": "3"},
        {"reasoning": "Hm, 3."},
        {"response": "<think>Hm, 3.</think>3"},
        {"text": "before <think>\nHm, 3. </think> 3"},
        {"content": "<think>Hm, 3."},
        {"messages": [ASKED, THOUGHT]},
        {"messages": [ASKED, {"role": "assistant", "content": "3", "reasoning_content": "Hm, 3."}]},
        {"thinking": "", "messages": [ASKED, THOUGHT]},
    ],
)
def test_where_thinking_is_found(tmp_path, row):
    (trace,) = read_traces(write(tmp_path / "t.jsonl", row)).traces
    assert trace.thinking == "Hm, 3."


def test_what_else_a_row_says(tmp_path):
    row = {"id": 7, "thinking": "Hm.", "model": "m", "domain": "math", "source": "s"}
    more = [{"question_id": "q1"}, {"prompt": "What?"}, {"messages": [ASKED, THOUGHT]}]
    read = read_traces(write(tmp_path / "t.jsonl", *({**row, **other} for other in more)))
    assert [trace.question for trace in read.traces] == ["q1", "What?", "What?"]
    first = read.traces[0]
    assert (first.id, first.model, first.subject, first.source) == ("7", "m", "math", "s")


def test_rows_without_thinking_are_counted(tmp_path):
    read = read_traces(write(tmp_path / "t.jsonl", {"thinking": "Hm."}, {"response": "3"}, {}))
    assert len(read.traces) == 1
    assert read.without == 2


def test_compressed_files_parquet_and_runs(tmp_path):
    row = {"thinking": "Hm."}
    with gzip.open(tmp_path / "t.jsonl.gz", "wt") as file:
        file.write(json.dumps(row))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "t.parquet")
    (tmp_path / "run").mkdir()
    write(tmp_path / "run" / "dataset.jsonl", {"messages": [ASKED, THOUGHT]})
    for name in ("t.jsonl.gz", "t.parquet", "run"):
        assert len(read_traces(tmp_path / name).traces) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"response": "3"}\n{"messages": []}\n', "no row of 2 holds any thinking"),
        ("", "no row of 0 holds any thinking"),
        ('{"thinking": "Hm."}\n{"thinking": \n[1]\n', r"(?s)2 bad lines.*t\.jsonl:2: not JSON.*:3"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, content, said):
    (tmp_path / "t.jsonl").write_text(content)
    with pytest.raises(DataError, match=said):
        read_traces(tmp_path / "t.jsonl")


def test_sources_that_are_none(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_traces(tmp_path / "nothing.jsonl")
    with pytest.raises(DataError, match=r"a folder without dataset\.jsonl"):
        read_traces(tmp_path)
    (tmp_path / "t.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(DataError, match=r"t\.jsonl\.gz"):
        read_traces(tmp_path / "t.jsonl.gz")
