"""Short spans stay with their writer: against a reading of the rule, word by word."""

from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulation import WordPredictor
from tessy.method.judging import Judging
from tessy.method.trajectory import Role, Trajectory
from tessy.method.words import is_prose, units

WORDS = ["So", "then", "x", "12", "`f`", "we", "√2", "don't", "a", "well-known"]
kinds = st.lists(st.tuples(st.sampled_from(WORDS), st.booleans()), min_size=1, max_size=30)


class Labelled(WordPredictor):
    """Knows the kind of each word of a text by where it begins."""

    def __init__(self, styles):
        self.styles = styles
        super().__init__(lambda before, word: styles[len(before)])


def judged(role, minimum, text, styles, *, final=True, cuts=()):
    """What is known of a text, and of each of its beginnings on the way."""
    predictor, judging = Labelled(styles), Judging(Trajectory(role=role), minimum)
    for cut in (*cuts, len(text)):
        question = judging.ask(text[:cut], final=final and cut == len(text))
        while question is not None:
            question = judging.take(predictor.judge([question])[0])
        if judging.judgement.boundary is not None:
            break
    return judging.judgement


def laid_out(words):
    """The text, and the kind of the word at each place."""
    text, styles = "", {}
    for word, style in words:
        text += " "
        styles[len(text)] = style
        text += word
    return text, styles


@given(kinds, st.sampled_from(Role), st.integers(2, 4), st.data())
def test_a_foreign_span_stays_if_it_is_short_and_else_the_boundary_is_at_its_start(
    words, role, minimum, data
):
    text, styles = laid_out(words)
    boundary, tolerated, at = None, [], 0
    for style, group in groupby(words, key=lambda word: word[1]):
        span = [word for word, _ in group]
        length = sum(len(word) + 1 for word in span)
        if style is not (role is Role.STUDENT):
            prose = role is Role.TEACHER or all(map(is_prose, span))
            if len(span) >= minimum or not prose:
                boundary = at
                break
            tolerated.append((at, at + length))
        at += length
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text) - 1))))
    for found in (
        judged(role, minimum, text, styles),
        judged(role, minimum, text, styles, cuts=cuts),
    ):
        assert found.boundary == boundary
        assert list(found.tolerated) == tolerated


@given(kinds, st.sampled_from(Role))
def test_with_a_minimum_of_one_the_predictor_is_asked_once_and_believed(words, role):
    text, styles = laid_out(words)
    judging, predictor = Judging(Trajectory(role=role)), Labelled(styles)
    question = judging.ask(text)
    answer = predictor.judge([question])[0]
    assert judging.take(answer) is None
    assert judging.judgement is answer
    assert question.text == text


@given(kinds, st.integers(2, 4), st.integers(0, 100))
def test_words_that_may_be_tolerated_wait(words, minimum, cut):
    """Nothing is settled from the start of a span on whose end is not seen."""
    text, styles = laid_out(words)
    text = text[:cut]
    found = judged(Role.TEACHER, minimum, text, styles, final=False)
    if found.waits is None:
        return
    assert found.boundary is None
    assert found.settled <= found.waits.start
    waiting = [word for word in units(text) if word.start >= found.waits.start]
    assert len(waiting) <= minimum + 1
    assert all(styles[word.word_start] for word in waiting[:-2])


class Contrary(WordPredictor):
    """Calls every word the other kind, whoever wrote it."""

    def __init__(self):
        super().__init__(lambda before, word: False)

    def _judge(self, passage):
        self.is_style = lambda before, word: passage.role is Role.TEACHER
        return super()._judge(passage)


@pytest.mark.parametrize("minimum", [2, 3, 8])
def test_where_two_predictors_disagree_words_are_tolerated_one_by_one_and_then_handed_over(minimum):
    judging = Judging(Trajectory(role=Role.TEACHER), minimum)
    question = judging.ask(" one two three four five six seven eight nine ten ")
    while question is not None:
        question = judging.take(Contrary().judge([question])[0])
    assert judging.judgement.boundary == 0


@pytest.mark.parametrize(
    ("word", "prose"),
    [
        *[(word, True) for word in ("So", "then,", "(well", "don't", "a", "I", "Hmm…", "“yes”")],
        *[
            (word, False)
            for word in ("x", "n,", "12", "2nd", "`a`", "$x$", "f(x)", "a_b", "=", "n-1")
        ],
    ],
)
def test_prose_has_no_digits_formulas_code_or_names_of_variables(word, prose):
    assert is_prose(word) is prose
