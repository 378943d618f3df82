"""Which tokens carry loss, under the rules' names; from made-up records to real tokens."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tessy.data.record import check_spans
from tessy.errors import ConfigError
from tessy.testing import build_tokenizer
from tessy.training.masks import (
    IGNORED,
    LossPart,
    WeightRun,
    character_weights,
    labels,
    parse_loss,
    token_weights,
)

OPEN, CLOSE = "<think>\n", "\n</think>\n\n"
HEADER = "<|im_start|>user\nWhat?<|im_end|>\n<|im_start|>assistant\n"
TAIL = "<|im_end|>"

words = st.text(st.sampled_from("ab cdé你😀.\n1"), min_size=1, max_size=12)
spans = st.lists(st.tuples(st.sampled_from(["student", "teacher"]), words), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = build_tokenizer(tmp_path_factory.mktemp("tokenizer"), flavour="qwen3")
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def record(thinking, answer="So it is."):
    """Content and spans, of the thinking's pieces and an answer."""
    pieces = [("format", OPEN), *thinking, ("format", CLOSE), ("student", answer)]
    content, found = "", []
    for role, text in pieces:
        found.append({"role": role, "start": len(content), "end": len(content) + len(text)})
        content += text
    return content, found


def weigh(content, found, loss):
    """The weight of each character."""
    runs = character_weights(content, found, parse_loss(loss))
    assert [run.start for run in runs] == [0, *(run.end for run in runs[:-1])]
    assert all(one.weight != other.weight for one, other in pairwise(runs))
    return [weight for start, end, weight in runs for _ in range(start, end)]


def tokens(tokenizer, content, found, loss):
    """Offsets of all tokens of a rendered conversation, and their weights."""
    encoding = tokenizer.encode(HEADER + content + TAIL, add_special_tokens=False)
    begin = len(HEADER)
    end = begin + len(content) + len(TAIL)
    runs = character_weights(content, found, parse_loss(loss))
    return encoding.offsets, token_weights(encoding.offsets, runs, begin=begin, end=end)


# --- Cover --------------------------------------------------------------------------------------


@given(thinking=spans, answer=words)
def test_cover_without_a_mask_every_token_of_the_response_is_trained(tokenizer, thinking, answer):
    content, found = record(thinking, answer)
    offsets, weights = tokens(tokenizer, content, found, "response")
    assert weights == [int(start >= len(HEADER)) for start, _ in offsets]
    assert weights[-1] == 1  # the end of the turn


@given(thinking=spans, answer=words)
@pytest.mark.parametrize("pair", [("capability", "style"), ("thinking", "answer")])
def test_cover_two_masks_share_the_response_out(tokenizer, pair, thinking, answer):
    content, found = record(thinking, answer)
    offsets, whole = tokens(tokenizer, content, found, "response")
    one, other = (tokens(tokenizer, content, found, loss)[1] for loss in pair)
    assert [a + b for a, b in zip(one, other, strict=True)] == whole
    assert tokens(tokenizer, content, found, "+".join(pair)) == (offsets, whole)


@given(thinking=spans, answer=words)
def test_cover_several_losses_are_the_union_of_each(thinking, answer):
    content, found = record(thinking, answer)
    one, other = (weigh(content, found, loss) for loss in ("capability", "answer"))
    union = [max(pair) for pair in zip(one, other, strict=True)]
    assert weigh(content, found, "capability+answer") == union


@given(thinking=spans, answer=words)
def test_characters_have_their_authors_weight(thinking, answer):
    content, found = record(thinking, answer)
    weights = weigh(content, found, "capability")
    for span in found:
        if span["role"] != "format":
            wanted = int(span["role"] == "teacher")
            assert weights[span["start"] : span["end"]] == [wanted] * (span["end"] - span["start"])


# --- Markers ------------------------------------------------------------------------------------


def test_markers_go_with_the_text_before_them_and_the_first_with_the_text_behind_it():
    content, found = record([("teacher", "x=1"), ("student", "hm"), ("teacher", "y=2")])
    assert character_weights(content, found, parse_loss("capability")) == [
        WeightRun(0, len(OPEN + "x=1"), 1),
        WeightRun(len(OPEN + "x=1"), len(OPEN + "x=1hm"), 0),
        WeightRun(len(OPEN + "x=1hm"), len(OPEN + "x=1hmy=2" + CLOSE), 1),
        WeightRun(len(OPEN + "x=1hmy=2" + CLOSE), len(content), 0),
    ]
    weights = weigh(content, found, "thinking")
    assert weights == [1] * len(OPEN + "x=1hmy=2" + CLOSE) + [0] * len("So it is.")


def test_markers_the_end_of_the_turn_goes_with_the_answer(tokenizer):
    content, found = record([("teacher", "x=1")])
    for loss, wanted in (("answer", 1), ("style", 1), ("thinking", 0), ("capability", 0)):
        assert tokens(tokenizer, content, found, loss)[1][-1] == wanted


def test_what_stands_behind_the_turn_carries_no_loss(tokenizer):
    text = "ab" + TAIL + "\n"
    offsets = tokenizer.encode(text, add_special_tokens=False).offsets
    weights = token_weights(offsets, [WeightRun(0, 2, 1)], begin=0, end=len("ab" + TAIL))
    assert weights[-1] == 0
    assert set(weights[:-1]) == {1}


def test_the_answer_is_told_by_the_marker_of_role_format_and_not_by_its_text():
    content, found = record([("student", "a")], answer="it says </think> here")
    assert sum(weigh(content, found, "answer")) == len("it says </think> here")


def test_without_spans_the_first_end_of_thinking_counts():
    content, _ = record([("student", "a")], answer="b </think> c")
    assert sum(weigh(content, None, "answer")) == len("b </think> c")
    assert sum(weigh(content, None, "thinking")) == len(OPEN + "a" + CLOSE)


# --- Seams --------------------------------------------------------------------------------------


def test_seams_a_token_across_one_belongs_to_the_side_of_its_first_character():
    runs = [WeightRun(0, 3, 1), WeightRun(3, 6, 0)]
    offsets = [(0, 2), (2, 4), (4, 6)]
    assert token_weights(offsets, runs, begin=0, end=6) == [1, 1, 0]
    assert token_weights([(8, 11), (11, 15), (15, 18)], runs, begin=10, end=16) == [0, 1, 0]


def test_seams_bytes_of_one_character_stay_together(tokenizer):
    content, found = record([("student", "你"), ("teacher", "😀")])
    offsets, weights = tokens(tokenizer, content, found, "capability")
    by_character = {}
    for (start, _), weight in zip(offsets, weights, strict=True):
        by_character.setdefault(start, set()).add(weight)
    assert all(len(kinds) == 1 for kinds in by_character.values())
    face = len(HEADER) + content.index("😀")
    assert by_character[face] == {1}
    assert len([start for start, _ in offsets if start == face]) > 1


@given(thinking=spans, answer=words, loss=st.sampled_from([*LossPart, "capability+answer"]))
def test_labels_are_the_ids_that_carry_loss(tokenizer, thinking, answer, loss):
    content, found = record(thinking, answer)
    ids = tokenizer.encode(HEADER + content + TAIL, add_special_tokens=False).ids
    weights = tokens(tokenizer, content, found, loss)[1]
    made = labels(ids, weights)
    assert [label != IGNORED for label in made] == [bool(weight) for weight in weights]
    assert {(i, m) for i, m in zip(ids, made, strict=True) if m != IGNORED} <= {(i, i) for i in ids}


# --- What can't be -----------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "teacher", "response+", "capability,answer"])
def test_a_loss_that_is_none_is_named(text):
    with pytest.raises(ConfigError, match="no part of a response"):
        parse_loss(text)


@pytest.mark.parametrize("loss", ["capability", "style", "style+answer"])
def test_who_wrote_what_is_not_guessed(loss):
    with pytest.raises(ValueError, match="no `spans`"):
        character_weights("<think>\na\n</think>\n\nb", None, parse_loss(loss))


@pytest.mark.parametrize("found", [None, [{"role": "student", "start": 0, "end": 5}]])
def test_a_response_without_thinking_has_no_answer_to_learn(found):
    with pytest.raises(ValueError, match="where its answer begins"):
        character_weights("hello", found, parse_loss("answer"))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ("all", "must be a list"),
        ([{"role": "me", "start": 0, "end": 3}], r"spans\[0\].role"),
        ([{"role": "student", "start": 1, "end": 3}], "must start at 0"),
        ([{"role": "student", "start": 0, "end": -1}], "must start at 0"),
        ([{"role": "student", "start": 0, "end": "3"}], "must start at 0"),
        ([{"role": "student", "start": 0, "end": 2}], "end at 2, the response at 3"),
        ([], "end at 0"),
    ],
)
def test_spans_that_do_not_cover_the_response_are_named(found, said):
    with pytest.raises(ValueError, match=said):
        check_spans("abc", found)


def test_spans_of_a_record_pass():
    content, found = record([("teacher", "x"), ("student", "")])
    assert check_spans(content, found) == found
