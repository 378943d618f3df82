"""Figures, held against counts made by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.boundary.training.metrics import (
    FARTHEST,
    FIGURES,
    LabelCounts,
    Labelling,
    count,
    figures,
)

KINDS = st.lists(st.booleans(), min_size=1, max_size=40)


def labelling(marks, scores=None):
    """A labelling of words of one letter: `S` is style, `.` is capability."""
    spans = [(2 * at, 2 * at + 1) for at, mark in enumerate(marks) if mark == "S"]
    return Labelling([mark == "S" for mark in marks], spans, scores)


def counted(true, said, scores=None):
    return count(labelling(true), labelling(said, scores), 2 * len(true))


def value(name, true, said, scores=None):
    return FIGURES[name](counted(true, said, scores))


def test_words_and_characters():
    #             S S . . S .   true
    #             S . S . S S   said: 2 hits of 4 said and 3 true
    counts = counted("SS..S.", "S.S.SS")
    assert counts.words.tolist() == [2, 4, 3]
    assert counts.characters.tolist() == [2, 4, 3, 12]
    assert FIGURES["word_precision"](counts) == 2 / 4
    assert FIGURES["word_recall"](counts) == 2 / 3
    assert FIGURES["word_f1"](counts) == pytest.approx(4 / 7)
    assert FIGURES["style_share"](counts) == pytest.approx(4 / 12)


def test_kappa_is_agreement_beyond_chance():
    # 12 characters, 2 of them agreed style, 4 and 3 said; observed 9/12, chance (12 + 72)/144
    chance = (4 * 3 + 8 * 9) / 144
    expected = (9 / 12 - chance) / (1 - chance)
    assert value("character_kappa", "SS..S.", "S.S.SS") == pytest.approx(expected)
    assert value("character_kappa", "S.S.", "S.S.") == 1
    assert math.isnan(FIGURES["word_f1"](LabelCounts()))


@pytest.mark.parametrize(
    ("true", "said", "exact", "near"),
    [
        ("SS..", "SS..", (1, 1, 1), (1, 1, 1)),
        ("SS...", "SSS..", (0, 1, 1), (1, 1, 1)),
        ("SS...", "SSSS.", (0, 1, 1), (0, 1, 1)),
        ("SS..", "..SS", (0, 1, 1), (0, 1, 1)),  # the same place, but the other direction
        ("SSSS", "SS.S", (0, 2, 0), (0, 2, 0)),
        ("S.S.", "S.S.", (3, 3, 3), (3, 3, 3)),
        (".S..", ".SS.", (1, 2, 2), (2, 2, 2)),
        ("SS....", "S.S...", (0, 3, 1), (1, 3, 1)),  # both are near one, which counts once
        ("S", "S", (0, 0, 0), (0, 0, 0)),
    ],
)
def test_boundaries_exact_and_within_one_word(true, said, exact, near):
    counts = counted(true, said)
    assert tuple(counts.exact) == exact
    assert tuple(counts.near) == near


@pytest.mark.parametrize(
    ("true", "said", "late"),
    [
        ("SS..", "SS..", [0]),
        ("SSS..", "S....", [-2]),
        ("S....", "SSS..", [2]),
        ("SS..SS", "SS..SS", [0, 0]),
    ],
)
def test_how_early_or_late_a_writer_is_stopped(true, said, late):
    cuts = counted(true, said).cuts
    assert sum(cuts) == len(late)
    for words in late:
        assert cuts[FARTHEST + words] == late.count(words)


def test_calibration_error_by_hand():
    # 0.95 twice, of which one is style; 0.05 twice, none is: |1 - 1.9| / 4 + |0 - 0.1| / 4
    scores = [0.95, 0.95, 0.05, 0.05]
    assert value("ece", "S...", "SS..", scores) == pytest.approx((0.9 + 0.1) / 4)
    assert value("ece", "S.", "S.", [1.0, 0.0]) == 0
    assert math.isnan(value("ece", "S.", "S."))


def test_a_word_of_which_nothing_is_known_is_not_in_the_calibration():
    assert value("ece", "S..", "S..", [math.nan, 0.0, 0.0]) == 0


# --- Properties ---------------------------------------------------------------------------------


@given(KINDS)
def test_a_perfect_labelling_has_perfect_figures(kinds):
    marks = "".join("S" if kind else "." for kind in kinds)
    for name in ("word_f1", "character_f1", "boundary_f1", "boundary_f1_near", "cut_exact"):
        found = value(name, marks, marks)
        assert math.isnan(found) or found == 1


@given(KINDS, st.randoms())
def test_all_figures_lie_between_none_and_all(kinds, chance):
    true = "".join("S" if kind else "." for kind in kinds)
    said = "".join(chance.choice("S.") for _ in kinds)
    counts = counted(true, said)
    for name, compute in FIGURES.items():
        if name not in ("character_kappa", "cut_mean_late_words"):
            assert math.isnan(compute(counts)) or 0 <= compute(counts) <= 1, name
    assert tuple(counts.exact) <= tuple(counts.near)
    assert counts.near[0] <= min(counts.near[1], counts.near[2])


@given(KINDS, st.randoms())
def test_swapping_truth_and_labelling_swaps_precision_and_recall(kinds, chance):
    true = "".join("S" if kind else "." for kind in kinds)
    said = "".join(chance.choice("S.") for _ in kinds)
    there, back = counted(true, said), counted(said, true)
    for what in ("words", "exact", "near"):
        hits, first, second = getattr(there, what)
        assert tuple(getattr(back, what)) == (hits, second, first)


def test_counts_survive_being_flattened():
    counts = counted("SS..S.", "S.S.SS", [0.5] * 6)
    assert (LabelCounts.of_row(counts.flat()).flat() == counts.flat()).all()


# --- Intervals ----------------------------------------------------------------------------------


def test_intervals_hold_the_value_and_shrink_with_more_segments():
    pairs = [("SS..S.", "S.S.SS"), ("SS..S.", "SS..S."), ("S.....", "SS....")]
    few = figures([counted(*pair) for pair in pairs * 3])
    many = figures([counted(*pair) for pair in pairs * 60])
    for name in ("word_f1", "boundary_f1_near"):
        assert few[name].low <= few[name].value <= few[name].high
        assert many[name].value == pytest.approx(few[name].value)
        assert many[name].high - many[name].low < (few[name].high - few[name].low) / 2


def test_without_samples_there_are_no_intervals():
    (figure,) = {figures([counted("S.", "S.")], samples=0)["word_f1"]}
    assert figure.value == 1
    assert math.isnan(figure.low)
