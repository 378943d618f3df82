"""Learned chunk sizes: the chosen size is the one that would have been fastest."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.method.chunks import FIRST, LARGEST, SMALLEST, ChunkSizes, best, best_ahead
from tessy.method.trajectory import Role

TEACHER = Role.TEACHER


def seconds(lengths, size, first_s, token_s):
    """The seconds that spans take, chunk by chunk."""
    chunks = sum(math.ceil((length + 1) / size) for length in lengths)
    return chunks * (first_s + token_s * size)


@given(
    st.lists(st.integers(0, 200), min_size=1, max_size=30),
    st.floats(0.001, 1),
    st.floats(0.001, 0.1),
)
def test_no_other_size_would_have_been_quicker(lengths, first_s, token_s):
    counts = np.bincount(lengths, minlength=201).astype(float)
    chosen = best(counts, first_s, token_s)
    assert SMALLEST <= chosen <= LARGEST
    took = seconds(lengths, chosen, first_s, token_s)
    for size in range(SMALLEST, LARGEST + 1):
        assert took <= seconds(lengths, size, first_s, token_s) * (1 + 1e-9)


def test_it_learns_from_spans_and_from_the_times_of_calls():
    sizes = ChunkSizes({})
    assert sizes.of(TEACHER) == FIRST[TEACHER]
    chance = random.Random(1)
    for _ in range(200):
        tokens = chance.choice([5, 10, 20])
        sizes.called(TEACHER, tokens, 0.025 + 0.010 * tokens)
        sizes.handed_over(TEACHER, 15)
    assert sizes.of(TEACHER) == 16, "a span of 15 tokens and the word after it, in one call"
    assert sizes.of(Role.STUDENT) == FIRST[Role.STUDENT], "the other role's spans are its own"
    for _ in range(3000):  # the network has become slow: a call for itself costs a lot
        sizes.called(TEACHER, chance.choice([5, 10, 20]), 2.0)
        sizes.handed_over(TEACHER, chance.choice([15, 40]))
    assert sizes.of(TEACHER) == 41


@pytest.mark.parametrize("tokens", [0, 8])
def test_it_keeps_its_size_until_it_has_seen_enough(tokens):
    """Calls of one length don't show what a token costs, but nothing breaks."""
    sizes = ChunkSizes({})
    for _ in range(100):
        sizes.called(TEACHER, tokens, 0.1)
        sizes.handed_over(TEACHER, 30)
    assert SMALLEST <= sizes.of(TEACHER) <= LARGEST


def test_calls_of_one_length_do_not_mislead_it():
    """They can't separate the cost of a call from that of a token, so some calls are longer."""
    sizes = ChunkSizes({})
    for _ in range(200):
        sizes.called(TEACHER, 10, 0.125)
        sizes.handed_over(TEACHER, 3)
    assert sizes.of(TEACHER) == FIRST[TEACHER]
    asked = [sizes.next(TEACHER) for _ in range(64)]
    assert asked.count(2 * FIRST[TEACHER]) == 4
    assert set(asked) == {FIRST[TEACHER], 2 * FIRST[TEACHER]}


def test_a_size_that_the_user_chose_stays():
    sizes = ChunkSizes({TEACHER: 33})
    for _ in range(100):
        sizes.called(TEACHER, 10, 0.1)
        sizes.handed_over(TEACHER, 5)
    assert {sizes.next(TEACHER) for _ in range(20)} == {sizes.of(TEACHER)} == {33}


def served(lengths, size, first_s, token_s, late_s):
    """The seconds that servers spend on spans that are left late; any number of tokens is inf."""
    total = 0.0
    for length in lengths:
        requests = 1 if size == math.inf else math.ceil((length + 1) / size)
        asked = requests * size
        total += requests * first_s + min(asked * token_s, (length + 1) * token_s + late_s)
    return total


@given(
    st.lists(st.integers(0, 200), min_size=1, max_size=30),
    st.floats(0.001, 1),
    st.floats(0.001, 0.1),
    st.floats(0, 2),
)
def test_no_other_number_of_tokens_ahead_would_have_cost_servers_less(
    lengths, first_s, token_s, late_s
):
    counts = np.bincount(lengths, minlength=201).astype(float)
    chosen = best_ahead(counts, first_s, token_s, late_s)
    assert chosen is None or SMALLEST <= chosen <= LARGEST
    took = served(lengths, chosen or math.inf, first_s, token_s, late_s)
    for size in (*range(SMALLEST, LARGEST + 1), math.inf):
        if late_s >= token_s or size == math.inf:
            assert took <= served(lengths, size, first_s, token_s, late_s) * (1 + 1e-9)


def learned(late_s, fixed=None):
    """Sizes that have seen spans of 15 tokens, 25 ms to the first and 10 ms for each."""
    sizes, chance = ChunkSizes({TEACHER: fixed}), random.Random(1)
    for _ in range(200):
        tokens = chance.choice([5, 10, 20])
        sizes.called(TEACHER, tokens, 0.025 + 0.010 * tokens)
        sizes.handed_over(TEACHER, 15)
    sizes.read_after(late_s)
    return sizes


def test_streams_ask_for_any_number_while_they_are_read_in_time():
    assert learned(0.009).ahead(TEACHER) is None


def test_streams_that_are_left_late_ask_for_the_usual_length():
    sizes = learned(1.0)
    assert sizes.ahead(TEACHER) == 16
    assert sizes.ahead(Role.STUDENT) is None, "nothing is known of it"
    sizes.read_after(0.0)
    assert sizes.ahead(TEACHER) is None


def test_replay_with_a_fixed_size_streams_do_not_depend_on_how_late_they_are_read():
    assert learned(1.0, fixed=48).ahead(TEACHER) is None
