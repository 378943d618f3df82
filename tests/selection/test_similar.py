"""Near-duplicates among many: as if all were compared with all, and only suspects are held."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tessy.exporting.overlap import SimilarTexts
from tessy.selection.similar import near_duplicates, sharing_bands

WORDS = [f"w{number}" for number in range(300)]


def prose(seed, changes):
    """Forty words; with other changes of one seed, much the same ones."""
    draw = random.Random(seed)
    words = draw.choices(WORDS, k=40)
    for at in random.Random(f"{seed}/{changes}").sample(range(40), changes):
        words[at] = "new"
    return " ".join(words)


@settings(max_examples=15)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), max_size=20),
    st.sampled_from([0.5, 0.8, 1.0]),
)
def test_decisions_are_those_of_comparing_all(drawn, threshold):
    texts = [prose(*each) for each in drawn] + ["", "7", ""]
    numbers = np.arange(len(texts)) * 3  # they need not be all rows

    def read(wanted):
        return ((int(n), f"q{n}", texts[n // 3]) for n in wanted)

    all_of_them = SimilarTexts(threshold)
    wanted = {
        number: like
        for number, name, text in read(numbers)
        if (like := all_of_them.find(name, text))
    }
    assert dict(near_duplicates(SimilarTexts(threshold), read, numbers)) == wanted


def test_texts_that_share_nothing_are_read_once():
    texts = [prose(seed, 0) for seed in range(50)] + [prose(0, 1)]
    asked = []

    def read(wanted):
        asked.append(len(wanted))
        return ((int(n), f"q{n}", texts[n]) for n in wanted)

    found = dict(near_duplicates(SimilarTexts(0.7), read, np.arange(51)))
    assert [*found] == [50]
    assert asked[0] == 51
    assert asked[1] <= 4


def test_nothing_is_like_nothing():
    assert sharing_bands([], 0).tolist() == []
    assert list(near_duplicates(SimilarTexts(0.8), lambda wanted: [], np.arange(0))) == []
