"""An annotator's answer is located exactly or rejected with a reason."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.boundary.training.locate import Rejected, RejectReason, locate, parse
from tessy.boundary.training.segments import spans_of
from tessy.method.words import units

TEXT = "Okay, so we need to add 3 and 4. Wait, so that is 7. Yes, 7 so it is."


def reason(call, *arguments):
    with pytest.raises(Rejected) as error:
        call(*arguments)
    return error.value.reason


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ('["Okay, so"]', ["Okay, so"]),
        (" \n[]\n", []),
        ('```json\n["Wait,"]\n```', ["Wait,"]),
        ('```\n["Wait,",\n "Yes,"]```', ["Wait,", "Yes,"]),
        ('["a \\"b\\" \\u00e9"]', ['a "b" é']),
    ],
)
def test_an_array_is_read_even_in_a_fence(answer, found):
    assert parse(answer) == found


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("", RejectReason.PROSE),
        ("The style spans are: Okay, so", RejectReason.PROSE),
        ('Here you are: ["Okay, so"]', RejectReason.PROSE),
        ('["Okay, so"] are the spans.', RejectReason.PROSE),
        ('{"spans": ["Okay, so"]}', RejectReason.PROSE),
        ('["Okay, so", "Wait', RejectReason.BROKEN),
        ("['Okay, so']", RejectReason.BROKEN),
        ('["Okay, so",]', RejectReason.BROKEN),
        ('["Okay", 3]', RejectReason.NOT_STRINGS),
        ('[["Okay"]]', RejectReason.NOT_STRINGS),
        ('["Okay", " "]', RejectReason.NOT_STRINGS),
        ("[null]", RejectReason.NOT_STRINGS),
    ],
)
def test_what_is_no_array_of_strings_is_rejected(answer, why):
    assert reason(parse, answer) is why


@pytest.mark.parametrize(
    ("spans", "found"),
    [
        ([], []),
        (["Okay, so we need to add"], ["Okay, so we need to add"]),
        (["Okay,", "so"], ["Okay, so"]),
        (["Oka"], None),
        (["Wait", "Yes"], ["Wait,", "Yes,"]),
        (["Okay, so", "so", "so"], ["Okay, so", "so", "so"]),
        ([" Wait, "], ["Wait,"]),
    ],
)
def test_spans_are_found_in_order_as_whole_words(spans, found):
    if found is None:
        assert reason(locate, TEXT, spans) is RejectReason.ALTERED
    else:
        assert [TEXT[a:b] for a, b in locate(TEXT, spans)] == found


@pytest.mark.parametrize(
    ("spans", "why"),
    [
        (["okay, so"], RejectReason.ALTERED),
        (["Okay so"], RejectReason.ALTERED),
        (["Okay, so we want to add"], RejectReason.ALTERED),
        (["Wait,", "Okay,"], RejectReason.OUT_OF_ORDER),
        (["Okay, so", "Okay, so"], RejectReason.OVERLAPPING),
        (["Okay, so we", "we need to"], RejectReason.OVERLAPPING),
    ],
)
def test_spans_that_are_altered_out_of_order_or_overlapping_are_rejected(spans, why):
    assert reason(locate, TEXT, spans) is why


@given(st.lists(st.sampled_from(["so", "wait,", "x=1", "we", "Sum"]), min_size=1), st.data())
def test_true_spans_with_words_that_occur_once_are_always_located(words, data):
    """With words that occur twice, an array of strings can't say which was meant."""
    text = " ".join(f"{word}{number}" for number, word in enumerate(words))
    kinds = data.draw(st.lists(st.booleans(), min_size=len(words), max_size=len(words)))
    spans = spans_of(units(text), kinds)
    answer = json.dumps([text[start:end] for start, end in spans])
    assert locate(text, parse(answer)) == spans


@given(st.text(max_size=80), st.lists(st.text(max_size=8), max_size=5))
def test_any_answer_is_located_or_rejected(text, spans):
    try:
        found = locate(text, parse(json.dumps(spans)))
    except Rejected:
        return
    assert all(0 <= start < end <= len(text) for start, end in found)
