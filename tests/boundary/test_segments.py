"""Segments: drawing them, splitting them, and their files."""

from __future__ import annotations

from collections import Counter

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessy.boundary.training.segments import (
    ReasoningTrace,
    Segment,
    draw,
    dump,
    is_style,
    read_segments,
    spans_of,
    split,
    write_segments,
)
from tessy.errors import DataError
from tessy.method.words import units

TEXTS = st.text(st.sampled_from("ab 1.\n,é"), min_size=1, max_size=60).filter(str.strip)


def traces(models=("a", "b"), subjects=("math", "code"), each=6, words=400):
    return [
        ReasoningTrace(
            id=f"{model}/{subject}/{number}",
            thinking=" ".join(f"w{number}x{index}" for index in range(words)),
            model=model,
            subject=subject,
            question=f"{subject}{number}",
        )
        for model in models
        for subject in subjects
        for number in range(each)
    ]


# --- Labels -------------------------------------------------------------------------------------


@given(TEXTS, st.data())
def test_spans_of_words_give_the_words_back(text, data):
    segment = Segment(id="x", text=text)
    words = units(text)
    kinds = data.draw(st.lists(st.booleans(), min_size=len(words), max_size=len(words)))
    spans = spans_of(words, kinds)
    again = is_style(segment.model_copy(update={"spans": spans}), words)
    solid = [word.word_end > word.word_start for word in words]
    assert [a for a, there in zip(again, solid, strict=True) if there] == [
        kind for kind, there in zip(kinds, solid, strict=True) if there
    ]
    assert all(text[start:end].strip() == text[start:end] for start, end in spans)
    assert Segment(id="x", text=text, spans=spans).spans == spans


def test_a_word_is_style_if_most_of_it_is():
    segment = Segment(id="x", text="abcd efg", spans=((0, 3), (6, 7)))
    assert is_style(segment, units(segment.text)) == [True, False]


# --- Drawing ------------------------------------------------------------------------------------


def test_the_same_seed_draws_the_same():
    found = traces()
    assert draw(found, 40, seed=3) == draw(found, 40, seed=3)
    assert draw(found, 40, seed=3) != draw(found, 40, seed=4)


def test_models_subjects_and_positions_come_up_evenly():
    drawn = draw(traces(), 48)
    assert set(Counter((s.model, s.subject) for s in drawn).values()) == {12}
    thirds = Counter(min(2, int(s.position * 3)) for s in drawn)
    assert set(thirds) == {0, 1, 2}
    assert max(thirds.values()) - min(thirds.values()) <= 8


def test_a_rare_model_is_drawn_as_often_as_a_frequent_one():
    many, few = traces(models=("many",), each=40), traces(models=("few",), each=3)
    counts = Counter(s.model for s in draw(many + few, 24))
    assert counts == {"many": 12, "few": 12}


@settings(max_examples=40)
@given(st.integers(5, 70), st.integers(0, 150), st.integers(0, 9))
def test_segments_are_whole_words_that_do_not_overlap(words, before, seed):
    found = traces(each=2, words=150)
    thinking = {trace.id: trace.thinking for trace in found}
    taken = set()
    for segment in draw(found, 200, words=words, before=before, seed=seed):
        whole, own = thinking[segment.trace].split(), segment.text.split()
        assert words / 2 <= len(own) <= words
        at = whole.index(own[0])
        assert whole[at : at + len(own)] == own
        assert segment.before + segment.text in thinking[segment.trace]
        assert len(segment.before.split()) == min(at, before)
        places = {(segment.trace, at + index) for index in range(len(own))}
        assert not places & taken
        taken |= places


def test_a_short_trace_is_a_segment_of_its_own():
    (segment,) = draw([ReasoningTrace(id="x", thinking=" \n Yes, it is. \n")], 5)
    assert (segment.text, segment.before, segment.spans) == ("Yes, it is.", "", None)


def test_there_may_be_no_text_for_as_many():
    assert 0 < len(draw(traces(each=1), 10_000)) < 100


# --- Splitting ----------------------------------------------------------------------------------


@given(
    st.lists(st.integers(0, 9), min_size=2, max_size=80), st.floats(0.05, 0.5), st.integers(0, 5)
)
def test_no_question_is_on_both_sides(questions, share, seed):
    segments = [Segment(id=str(n), text="x", question=f"q{q}") for n, q in enumerate(questions)]
    first, second = split(segments, share, seed)
    assert sorted((*first, *second), key=lambda s: int(s.id)) == segments
    assert not {s.question for s in first} & {s.question for s in second}
    assert second
    largest = max(Counter(questions).values())
    assert len(second) < share * len(segments) + largest


# --- Files --------------------------------------------------------------------------------------


def test_a_file_gives_back_what_was_written(tmp_path):
    segments = draw(traces(), 20)
    labelled = [s.model_copy(update={"spans": ((0, 3),), "annotator": "me"}) for s in segments]
    write_segments(tmp_path / "s.jsonl", labelled)
    assert read_segments(tmp_path / "s.jsonl") == labelled
    write_segments(tmp_path / "s.jsonl", segments)
    assert read_segments(tmp_path / "s.jsonl", labelled=False) == segments


GOOD = {"id": "a", "text": "Wait, it is 5.", "spans": [[0, 5]]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"text": ""}, "the text is empty"),
        ({"text": " \n"}, "the text is empty"),
        ({"spans": None}, "it has no spans: it is not labelled"),
        ({"spans": [[0, 15]]}, r"span \[0, 15\) is outside the text \(0 to 14\)"),
        ({"spans": [[3, 3]]}, "or empty"),
        ({"spans": [[-1, 3]]}, "outside"),
        ({"spans": [[0, 5], [4, 8]]}, "the span at 4 begins before the one before it ends"),
        ({"spans": [[6, 8], [0, 5]]}, "the span at 0 begins before"),
        ({"spans": [["0", "x"]]}, "spans.0.1"),
        ({"text": 5}, "text: "),
        ({"colour": "red"}, "colour: "),
    ],
)
def test_a_bad_line_is_named_with_what_is_wrong(tmp_path, change, said):
    path = tmp_path / "s.jsonl"
    path.write_bytes(dump(Segment(**GOOD)) + orjson.dumps(GOOD | change) + b"\n\nnot json\n")
    with pytest.raises(DataError, match=said) as error:
        read_segments(path)
    assert f"{path}:2: " in str(error.value)
    assert f"{path}:4: not JSON" in str(error.value)
    assert "2 bad lines" in str(error.value)


@pytest.mark.parametrize("content", [None, "", "\n \n"])
def test_a_file_without_segments(tmp_path, content):
    path = tmp_path / "s.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=str(path)):
        read_segments(path)
