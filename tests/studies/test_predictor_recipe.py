"""The recipe of the predictor that ships, on traces of our own."""

from __future__ import annotations

import gzip
import json

from studies.predictor import make
from studies.predictor.draw import halves
from studies.predictor.traces import traces
from tessy.boundary.training.segments import Segment, read_segments


def write_traces(folder, count):
    folder.mkdir()
    row = {"source": "ours", "domain": "math", "model": "QwQ-32b-16k"}
    with gzip.open(folder / "traces.jsonl.gz", "wt", encoding="utf-8") as file:
        for number in range(count):
            thinking = f"This is a complex or challenging question, so\n\nOkay, {number} it is."
            row |= {"question_id": number // 2, "thinking": thinking if number else "  "}
            file.write(json.dumps(row) + "\n")


def test_traces_are_cleaned_and_a_question_is_for_gold_or_for_training(tmp_path):
    write_traces(tmp_path / "traces_one", 81)
    found = list(traces(tmp_path))
    assert [trace.id for trace in found] == [f"one/{number}" for number in range(1, 81)]
    assert found[0].thinking == "Okay, 1 it is."
    assert (found[0].model, found[0].subject) == ("QwQ-32B", "mathematics")
    rest, gold = halves(found)
    assert len(rest) + len(gold) == 80
    assert 10 < len(gold) < 30
    assert not {trace.question for trace in rest} & {trace.question for trace in gold}


def test_a_step_that_is_done_is_not_done_again(tmp_path):
    segment = Segment(id="a", text="Okay, 2 + 2.", question="q", spans=((0, 5),), annotator="us")
    path = tmp_path / "kept.jsonl"
    assert make.kept(path, lambda: [segment]) == [segment]
    assert make.kept(path, lambda: []) == [segment]


def test_segments_that_were_labelled_by_reading_are_whole():
    for name in ("read", "first", "second", "languages"):
        assert read_segments(make.HERE / f"{name}.jsonl")
