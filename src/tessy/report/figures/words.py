"""Words: which are frequent (paper, Fig. 16), and whose frequency differs most.

The differences are log-odds ratios with an informative Dirichlet prior: Monroe, Colaresi and
Quinn, "Fightin' Words", Political Analysis 16 (2008), equations 16, 20 and 22. The prior is the
words of both sides together, scaled to `PRIOR` words, which keeps rare words from the top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Counted = NDArray[np.int64]

PRIOR = 1000.0
"""Words that the prior counts for."""


@dataclass(frozen=True, slots=True)
class Frequency:
    """How often a word occurs.

    Attributes:
        word: The word.
        count: Times.
        per_1000: Times per 1,000 tokens.
    """

    word: str
    count: int
    per_1000: float


@dataclass(frozen=True, slots=True)
class Difference:
    """How a word's frequency differs between two sides.

    Attributes:
        word: The word.
        log_odds: Natural logarithm of the ratio of its odds; positive if the first side has more.
        z: The same in standard deviations.
        counts: Times on either side.
    """

    word: str
    log_odds: float
    z: float
    counts: tuple[int, int]


def frequent(
    words: Sequence[str], counts: Counted, tokens: float, most: int = 25
) -> list[Frequency]:
    """The most frequent words; numbers are none.

    Args:
        words: The vocabulary.
        counts: How often each occurs.
        tokens: In how many tokens.
        most: How many to name.
    """
    found: list[Frequency] = []
    for place in np.argsort(-counts, kind="stable"):
        count = int(counts[place])
        if not count or len(found) == most:
            break
        if is_word(words[place]):
            found.append(Frequency(words[place], count, 1000 * count / tokens if tokens else 0.0))
    return found


def differences(
    words: Sequence[str], first: Counted, second: Counted, most: int = 15
) -> tuple[list[Difference], list[Difference]]:
    """The words whose frequency differs most; numbers are none.

    Args:
        words: The vocabulary.
        first: How often each occurs on the first side.
        second: On the second.
        most: How many to name.

    Returns:
        What the first side has more of, and the second, the clearest first.
    """
    keep = np.array([is_word(word) for word in words], bool)
    first, second = np.where(keep, first, 0), np.where(keep, second, 0)
    both = first + second
    if not first.sum() or not second.sum():
        return [], []
    prior = PRIOR * both / both.sum()
    there = np.flatnonzero(both)
    odds = [
        np.log((side[there] + prior[there])
               / (side.sum() + PRIOR - side[there] - prior[there]))
        for side in (first, second)
    ]  # fmt: skip
    apart = odds[0] - odds[1]
    spread = np.sqrt(1 / (first[there] + prior[there]) + 1 / (second[there] + prior[there]))
    z = apart / spread

    def named(order: NDArray[np.intp], sign: int) -> list[Difference]:
        chosen = [at for at in order[:most] if sign * z[at] > 0]
        return [
            Difference(words[there[at]], float(apart[at]), float(z[at]),
                       (int(first[there[at]]), int(second[there[at]])))
            for at in chosen
        ]  # fmt: skip

    return named(np.argsort(-z, kind="stable"), 1), named(np.argsort(z, kind="stable"), -1)


def is_word(text: str) -> bool:
    """Whether it begins with a letter."""
    return text[:1].isalpha()
