"""The recipe of the predictor that ships, on traces of our own."""

from __future__ import annotations

import gzip
import json
from collections import Counter

import pytest

from studies.predictor import make
from studies.predictor.draw import code_halves, drawn, drawn_code, halves
from studies.predictor.traces import question, traces
from tessy.boundary.training.segments import (
    Segment,
    gold_file,
    read_segments,
    write_segments,
)

NAMES = ("read", "first", "second", "languages", "read_code", "first_code", "second_code")
HUMANEVAL = {"question_id": "code_fim-0-0", "question": "def above():"}
AGENT = {"question_id": "miniswe-0-3", "question": "Fix this."}
LAW = {"question_id": "newton_bench-3-0", "question": "Find the law. " * 120}


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
    """No traces, no teacher: all that a step needs is in its folder."""
    segment = Segment(id="a", text="Okay, 2 + 2.", question="q")
    write_segments(tmp_path / "pool.jsonl", [segment])
    assert make.drawn(tmp_path / "nowhere", tmp_path / "pool.jsonl") == [segment]
    known = make.labelled(segment, [0.9, 0.2, 0.1, 0.4])
    assert known.spans == ((0, 5),)
    write_segments(tmp_path / "weak.jsonl", [known])
    assert make.weak_labels([segment], [], tmp_path) == [known]
    (tmp_path / "soft.jsonl").write_text('["a", [0.9, 0.2, 0.1, 0.4]]\n')
    assert make.soft_labels([segment], [], tmp_path) == {"a": [0.9, 0.2, 0.1, 0.4]}


def test_segments_that_were_labelled_by_reading_are_whole():
    for name in NAMES:
        assert read_segments(make.HERE / f"{name}.jsonl")


@pytest.mark.parametrize(
    ("folder", "first", "second", "one"),
    [
        ("crest", {"question_id": "q-1"}, {"question_id": "q-2"}, False),
        ("opencode_qwen36_kotlin", {"question_id": "doors#1"}, {"question_id": "doors#15"}, True),
        ("opencode_qwen36_kotlin", {"question_id": "doors#1"}, {"question_id": "items#1"}, False),
        ("localbench_sort", {"question_id": "sort-java-q4"}, {"question_id": "sort-rust-q8"}, True),
        ("lrm_token_economy", {"question_id": "sum-0"}, {"question_id": "sum-1"}, True),
        ("lrm_token_economy", {"question_id": "sum-0"}, {"question_id": "product-0"}, False),
        ("nemogym_code", HUMANEVAL, HUMANEVAL | {"question_id": "evalplus-3-0"}, True),
        ("nemogym_code", HUMANEVAL, HUMANEVAL | {"question": "def below():"}, False),
        ("nemogym_code", AGENT, AGENT | {"question_id": "miniswe-1-0"}, True),
        ("nemogym_code", AGENT, AGENT | {"question": "Fix that."}, False),
        ("nemogym_code", LAW, LAW | {"question": LAW["question"] + "It measured 3."}, True),
    ],
)
def test_what_a_predictor_could_learn_by_heart_is_one_question(folder, first, second, one):
    assert (question(folder, first) == question(folder, second)) is one


def test_later_sources_about_code_are_halved_by_themselves(tmp_path):
    write_traces(tmp_path / "traces_one", 81)
    earlier = drawn(tmp_path)
    folder = tmp_path / "traces_nemogym_code"
    folder.mkdir()
    row = {"domain": "code", "model": "gpt-oss-120b", "thinking": "Now compute it, since x = 1."}
    with gzip.open(folder / "traces.jsonl.gz", "wt", encoding="utf-8") as file:
        for number in range(40):
            source = f"NVIDIA-NeMo/Gym {'evalplus' if number % 8 == 4 else 'code_fim'}"
            known = {"source": source, "question_id": f"code_fim-{number}-0"}
            file.write(json.dumps(row | known | {"question": f"def f{number // 4}():"}) + "\n")
    assert drawn(tmp_path) == earlier
    rest, chosen = code_halves(list(traces(tmp_path)))
    assert len(rest) + len(chosen) == 40
    assert 8 <= len(chosen) <= 16
    assert not {trace.question for trace in rest} & {trace.question for trace in chosen}
    gold, pool = drawn_code(tmp_path)
    assert {segment.trace for segment in gold} <= {trace.id for trace in chosen}
    assert {segment.trace for segment in pool} <= {trace.id for trace in rest}


def test_no_question_of_the_gold_set_was_read_for_training():
    gold = {segment.question for segment in gold_file()}
    for name in ("read", "read_code"):
        assert not gold & {s.question for s in read_segments(make.HERE / f"{name}.jsonl")}
    assert Counter(segment.subject for segment in gold_file())["code"] == 170
