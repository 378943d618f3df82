"""From P(style) of tokens to judgements, with a network whose odds are known."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from tessy.boundary import classifier
from tessy.boundary.classifier import ClassifierPredictor
from tessy.boundary.protocol import Scorer
from tessy.boundary.settings import ClassifierSettings, Thresholds
from tessy.method.judgement import Passage
from tessy.method.trajectory import Role
from tessy.method.words import units

TEACHER, STUDENT = Role.TEACHER, Role.STUDENT
LETTERS = "abcdefghijklmnopqrstuvwxyz .,\n0123456789"


class Spoken:
    """A token is one character; letters are style, digits are capability; how sure is settable."""

    def __init__(self, final=4.0):
        self.final = final
        self.asked = []

    def __call__(self, ids):
        self.asked += [list(row) for row in ids]
        return [[-self.final if LETTERS[i].isdigit() else self.final for i in row] for row in ids]


def predictor(network=None, **settings):
    tokenizer = Tokenizer(models.WordLevel({c: i for i, c in enumerate(LETTERS)}, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    chosen = ClassifierSettings(**settings)
    return ClassifierPredictor("spoken", tokenizer, network or Spoken(), chosen)


def judge(text, role=STUDENT, *, context="", final=True, network=None, **settings):
    made = predictor(network, **settings)
    return made.judge([Passage(role, context, text, final)])[0]


def test_it_says_how_sure_it_is():
    made = predictor()
    assert isinstance(made, Scorer)
    (scores,) = made.style([Passage(STUDENT, "", "ab 12 a1", True)])
    sure = 1 / (1 + math.exp(-4))
    assert scores == pytest.approx([sure, 1 - sure, 0.5])


def test_a_word_of_punctuation_has_the_score_of_the_word_before_it_and_is_no_boundary():
    (scores,) = predictor().style([Passage(STUDENT, "", "12 . ab", True)])
    assert scores[0] == scores[1] < scores[2]
    assert judge("12 . ab", TEACHER).boundary == 5


@pytest.mark.parametrize(
    ("role", "threshold", "boundary"),
    [
        (TEACHER, 0.6, None),  # a word at one half is no style for it
        (TEACHER, 0.4, 0),
        (STUDENT, 0.6, 0),
        (STUDENT, 0.4, None),
    ],
)
def test_each_writer_has_a_threshold(role, threshold, boundary):
    other = {TEACHER: "student", STUDENT: "teacher"}[role]
    thresholds = Thresholds(**{role.value: threshold, other: 0.5})
    assert judge("a1", role, thresholds=thresholds).boundary == boundary


def test_temperature_and_bias_change_how_sure_it_is():
    (scores,) = predictor(temperature=2.0, bias=1.0).style([Passage(STUDENT, "", "ab", True)])
    assert scores == pytest.approx([1 / (1 + math.exp(-3))])


@pytest.mark.parametrize("odds", [1e6, -1e6, 800.0, -800.0])
def test_odds_beyond_all_measure_are_certainties(odds):
    (scores,) = predictor(Spoken(odds)).style([Passage(STUDENT, "", "ab", True)])
    assert scores == [1.0] if odds > 0 else scores[0] < 1e-300


@pytest.mark.parametrize(
    ("text", "lookahead", "unsure", "final", "boundary", "settled"),
    [
        ("ab 12 ", 3, 0.3, False, 3, 3),  # sure of both
        ("ab a1 12 ", 1, 0.3, False, 6, 6),  # unsure of "a1", but a word follows
        ("ab a1 12 ", 2, 0.3, False, None, 2),
        ("ab a1 12 ", 2, 0.3, True, 6, 6),
        ("ab a1 12 ", 8, 0.0, False, 6, 6),
        ("ab 12 ", 2, 1.0, False, None, 0),  # it never is sure enough
    ],
)
def test_an_unsure_word_waits_for_more_words(text, lookahead, unsure, final, boundary, settled):
    thresholds = Thresholds(student=0.49)  # "a1" is style by a hair
    found = judge(text, final=final, lookahead=lookahead, unsure=unsure, thresholds=thresholds)
    assert (found.boundary, found.settled) == (boundary, settled)


def test_a_window_that_was_judged_is_not_judged_again():
    network = Spoken()
    made = predictor(network)
    passage = Passage(STUDENT, "a ", "ab 12 ")
    other = passage._replace(text="ab 13 ")
    first = made.judge([passage, other, passage])
    assert made.judge([other, passage]) == [first[1], first[0]]
    assert len(network.asked) == 2


def test_a_batch_in_which_windows_are_forgotten_is_judged_all_the_same(monkeypatch):
    monkeypatch.setattr(classifier, "_CACHED_WINDOWS", 2)
    made = predictor()
    known, new = (Passage(STUDENT, "", text, True) for text in ("ab", "12 ab"))
    alone = [*made.judge([known]), *made.judge([new])]
    made = predictor()
    made.judge([known, Passage(STUDENT, "", "b", True)])
    assert made.judge([known, new]) == alone


@pytest.mark.parametrize(("text", "shown"), [("ab 12 ", "ab 12"), ("ab\n ", "ab\n"), ("  ", "")])
def test_blanks_at_the_end_of_a_text_that_is_still_written_are_not_shown(text, shown):
    network = Spoken()
    judge(text, context="1 ", final=False, network=network)
    assert ["".join(LETTERS[i] for i in row) for row in network.asked] == ["1 " + shown]


def test_a_label_that_is_shifted_speaks_of_the_next_token():
    (scores,) = predictor(shift=1).style([Passage(STUDENT, "", "a1 b", True)])
    # "a" has no label before it, "1" has that of "a", "b" has that of the blank
    assert scores == pytest.approx([1 / (1 + math.exp(-4))] * 2)


def test_a_first_word_of_which_nothing_is_known_makes_no_boundary():
    (scores,) = predictor(shift=1).style([Passage(STUDENT, "", "1 a", True)])
    assert math.isnan(scores[0])
    assert judge("1 a", shift=1).boundary is None


# --- Properties ---------------------------------------------------------------------------------

TEXTS = st.text(st.sampled_from("ab1 2.\n"), max_size=60)


@given(TEXTS, TEXTS, st.sampled_from(Role), st.booleans(), st.integers(0, 3))
def test_a_boundary_is_the_first_word_whose_score_is_on_the_other_side(
    context, text, role, final, lookahead
):
    made = predictor(lookahead=lookahead)
    passage = Passage(role, context, text, final)
    (found,), (scores,) = made.judge([passage]), made.style([passage])
    words = units(text)
    assert len(scores) == len(words)
    if found.boundary is None:
        assert 0 <= found.settled <= len(text)
        return
    (at,) = [i for i, word in enumerate(words) if word.word_start == found.boundary]
    assert (scores[at] > 0.5) is (role is TEACHER)
    assert found.confidence == pytest.approx(scores[at] if role is TEACHER else 1 - scores[at])
    for word, score in zip(words[:at], scores[:at], strict=True):
        punctuation = not any(map(str.isalnum, text[word.word_start : word.word_end]))
        assert punctuation or math.isnan(score) or (score > 0.5) is (role is STUDENT)


@given(TEXTS, TEXTS, st.sampled_from(Role), st.integers(0, 3), st.data())
def test_what_was_judged_need_not_be_judged_again(context, text, role, lookahead, data):
    """Judging from where an earlier look had settled comes to the same as judging all of it."""
    made = predictor(lookahead=lookahead)
    earlier = Passage(role, context, text[: data.draw(st.integers(0, len(text)))])
    (first,) = made.judge([earlier])
    whole = Passage(role, context, text)
    if first.boundary is None:
        assert made.judge([whole._replace(judged=first.settled)]) == made.judge([whole])


@example("1", "1" * 16, 16)
@given(st.text(st.sampled_from("ab1 "), max_size=400), TEXTS, st.integers(16, 40))
def test_the_network_sees_the_window_and_all_of_the_text(context, text, window):
    network = Spoken()
    judge(text, context=context, network=network, window=window)
    (row,) = network.asked
    text = text.rstrip(" ")
    whole = [LETTERS.index(c) for c in context + text]
    assert len(row) <= max(window, len(text) + 1)  # a shifted label needs the token before
    assert len(row) >= min(len(text), len(whole))
    assert whole[len(whole) - len(row) :] == row
