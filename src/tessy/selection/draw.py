"""Draws questions, with strata or without. Pure.

Each question has a number that depends on its id and the seed only, and those with the smallest
numbers are drawn. So the order of the questions makes no difference, and a larger count draws the
same questions and more.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def lot(question_id: str, seed: int) -> int:
    """The number of a question by which it is drawn, of 64 bits.

    Args:
        question_id: Its id.
        seed: Another seed gives other numbers.
    """
    key = f"{seed}/{question_id}".encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest())


def shares(sizes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """How many to draw from each stratum: as many from each, and all where there are not so many.

    Args:
        sizes: How many each stratum has, shape (strata,).
        count: How many to draw together.

    Returns:
        Shape (strata,); their sum is `count`, or that of the sizes if this is less. What can't be
        shared out evenly goes to the first strata that have more, one each.
    """
    low, high = 0, int(sizes.max(initial=0))
    while low < high:  # the largest equal share that is not too much
        middle = (low + high + 1) // 2
        low, high = (
            (middle, high) if np.minimum(sizes, middle).sum() <= count else (low, middle - 1)
        )
    found = np.minimum(sizes, low)
    more = np.flatnonzero(sizes > low)[: max(0, count - int(found.sum()))]
    found[more] += 1
    return found


def drawn(lots: NDArray[np.uint64], strata: NDArray[np.int32], count: int) -> NDArray[np.bool_]:
    """Which questions are drawn.

    Args:
        lots: The number of each question, shape (questions,); see `lot`.
        strata: The stratum of each question, from 0, of the same shape.
        count: How many to draw.

    Returns:
        Shape (questions,).
    """
    found = np.zeros(len(lots), bool)
    sizes = np.bincount(strata, minlength=1).astype(np.int64)
    # Strata, then numbers within them; equal numbers in the order of the questions.
    order = np.lexsort((lots, strata))
    starts = np.cumsum(sizes) - sizes
    # By their smallest numbers, as the order in which strata appear is that of the questions.
    firsts = np.array([lots[order[s]] if n else 0 for s, n in zip(starts, sizes, strict=True)])
    ranked = np.argsort(firsts, kind="stable")
    several = np.empty_like(sizes)
    several[ranked] = shares(sizes[ranked], count)
    for start, share in zip(starts, several, strict=True):
        found[order[start : start + share]] = True
    return found
