"""Labelling a text by walking through it as synthesis would."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.boundary.training.segments import Segment
from tessy.boundary.training.walk import labellings, truth, walk
from tessy.method.judgement import Judgement, Passage
from tessy.method.trajectory import Role
from tessy.method.words import units
from tessy.testing.predictors import AgreeablePredictor, ContraryPredictor, DigitPredictor


class Oracle:
    """Knows which words of a text are style; counts what it was asked."""

    name, batched = "oracle", False

    def __init__(self, before: str, text: str, kinds: Sequence[bool]) -> None:
        self.before, self.text, self.kinds = before, text, kinds
        self.asked = 0

    def judge(self, passages: Sequence[Passage]) -> list[Judgement]:
        self.asked += len(passages)
        return [self._one(passage) for passage in passages]

    def _one(self, passage: Passage) -> Judgement:
        begin = len(passage.context) - len(self.before)
        assert passage.context + passage.text == self.before + self.text
        assert passage.final
        mine = passage.role is Role.STUDENT
        for word, kind in zip(units(self.text), self.kinds, strict=True):
            if word.word_start >= begin and word.word_end > word.word_start and kind is not mine:
                return Judgement(word.word_start - begin, 0)
        return Judgement(None, len(passage.text))


@given(
    st.lists(
        st.sampled_from(["so ", "x=1 ", "we\n\n", " — ", "is\u3000"]), min_size=1, max_size=20
    ),
    st.sampled_from(["", "before it. "]),
    st.data(),
)
def test_a_predictor_that_knows_the_truth_labels_it(words, before, data):
    text = "".join(words).strip()
    count = len(units(text))
    kinds = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    oracle = Oracle(before, text, kinds)
    (found,) = walk(oracle, [Segment(id="x", text=text, before=before)])
    assert found == kinds
    assert oracle.asked <= count + 2


@pytest.mark.parametrize("predictor", [ContraryPredictor(), AgreeablePredictor()])
def test_every_word_gets_a_label_whatever_the_predictor_says(predictor):
    segments = [Segment(id="x", text="so it is 5, " * 20 + "."), Segment(id="y", text="hm")]
    for segment, found in zip(segments, walk(predictor, segments), strict=True):
        assert len(found) == len(units(segment.text))


def test_many_texts_at_once_are_labelled_as_each_alone():
    segments = [
        Segment(id=str(n), text=f"so {n} is " * (n % 7) + "it 4" * (n % 11)) for n in range(1, 77)
    ]
    together = walk(DigitPredictor(), segments)
    assert together == [walk(DigitPredictor(), [segment])[0] for segment in segments]
    assert len({tuple(kinds) for kinds in together}) == len(segments)


def test_words_of_punctuation_do_not_count():
    segment = Segment(id="x", text="Okay — so 3 = 3 !", spans=((0, 4), (7, 9)))
    assert truth(segment).kinds == [True, True, False, False, False]


def test_a_scorer_brings_its_probabilities():
    class Scored(DigitPredictor):
        def style(self, passages):
            return [
                [0.25 if any(map(str.isdigit, w)) else 0.75 for w in p.text.split()]
                for p in passages
            ]

    (found,) = labellings(Scored(), [Segment(id="x", text="so — 3")])
    assert found.kinds == [True, False]
    assert found.scores == [0.75, 0.25]
    (without,) = labellings(DigitPredictor(), [Segment(id="x", text="so 3")])
    assert without.scores is None
