"""Drawing: as many from each stratum, the same with the same seed, whatever the order."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tessy.selection.draw import drawn, lot, shares

SIZES = st.lists(st.integers(0, 12), min_size=1, max_size=6)


@given(SIZES, st.integers(0, 60))
def test_each_stratum_gives_as_many_as_the_others_as_far_as_it_can(sizes, count):
    found = shares(np.array(sizes), count).tolist()
    assert sum(found) == min(count, sum(sizes))
    assert all(0 <= share <= size for share, size in zip(found, sizes, strict=True))
    for share, size in zip(found, sizes, strict=True):
        if share < size:  # it has more: no other gives so much more
            assert share >= max(found) - 1


@given(
    st.lists(
        st.tuples(st.text(max_size=3), st.integers(0, 3)), max_size=30, unique_by=lambda x: x[0]
    ),
    st.integers(1, 30),
    st.integers(0, 3),
    st.randoms(use_true_random=False),
)
def test_the_draw_depends_on_ids_and_seed_alone(questions, count, seed, draw):
    def chosen(order, number):
        lots = np.array([lot(name, seed) for name, _ in order], np.uint64)
        strata = np.array([stratum for _, stratum in order], np.int32)
        taken = drawn(lots, strata, number)
        return {name for (name, _), is_taken in zip(order, taken, strict=True) if is_taken}

    found = chosen(questions, count)
    assert len(found) == min(count, len(questions))
    assert chosen(draw.sample(questions, len(questions)), len(questions)) == {
        n for n, _ in questions
    }
    # Strata are numbered as they appear, so another order numbers them otherwise.
    shuffled = draw.sample(questions, len(questions))
    numbers: dict[int, int] = {}
    other = [(name, numbers.setdefault(stratum, len(numbers))) for name, stratum in shuffled]
    numbers = {}
    first = [(name, numbers.setdefault(stratum, len(numbers))) for name, stratum in questions]
    assert chosen(first, count) == chosen(other, count)
    one_stratum = [(name, 0) for name, _ in questions]
    shuffled = draw.sample(one_stratum, len(questions))
    assert chosen(one_stratum, count) == chosen(shuffled, count)
    assert chosen(one_stratum, count) <= chosen(one_stratum, count + 1)


def test_another_seed_draws_others():
    names = [f"q{n}" for n in range(200)]

    def chosen(seed):
        lots = np.array([lot(name, seed) for name in names], np.uint64)
        return set(np.flatnonzero(drawn(lots, np.zeros(200, np.int32), 100)).tolist())

    assert chosen(1) == chosen(1)
    assert 30 < len(chosen(1) & chosen(2)) < 70  # by chance: 50, and a standard deviation of 3.5
