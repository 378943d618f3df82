"""Chunk sizes that learn: the size is the one that would have been quickest."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.method.chunks import FIRST, LARGEST, SMALLEST, ChunkSizes, best
from tessy.method.trajectory import Role

TEACHER = Role.TEACHER


def seconds(lengths, size, first_s, token_s):
    """What spans take, chunk by chunk."""
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


def test_it_learns_from_spans_and_from_what_calls_take():
    sizes = ChunkSizes({})
    assert sizes.of(TEACHER) == FIRST[TEACHER]
    chance = random.Random(1)
    for _ in range(200):
        tokens = chance.choice([5, 10, 20])
        sizes.called(TEACHER, tokens, 0.025 + 0.010 * tokens)
        sizes.handed_over(TEACHER, 15)
    assert sizes.of(TEACHER) == 16, "a span of 15 tokens and the word behind it, in one call"
    assert sizes.of(Role.STUDENT) == FIRST[Role.STUDENT], "the other role's spans are its own"
    for _ in range(3000):  # the network has become slow: a call for itself costs a lot
        sizes.called(TEACHER, chance.choice([5, 10, 20]), 2.0)
        sizes.handed_over(TEACHER, chance.choice([15, 40]))
    assert sizes.of(TEACHER) == 41


@pytest.mark.parametrize("tokens", [0, 8])
def test_it_keeps_its_size_while_it_knows_too_little(tokens):
    """All calls of one length say nothing about what a token takes, but nothing breaks."""
    sizes = ChunkSizes({})
    for _ in range(100):
        sizes.called(TEACHER, tokens, 0.1)
        sizes.handed_over(TEACHER, 30)
    assert SMALLEST <= sizes.of(TEACHER) <= LARGEST


def test_calls_of_one_length_do_not_mislead_it():
    """They can't tell what a call costs from what a token costs; so now and then one is longer."""
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
