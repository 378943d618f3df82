"""Words: which are frequent (paper, Fig. 16), and whose frequency differs most.

The differences are log-odds ratios with an informative Dirichlet prior: Monroe, Colaresi and
Quinn, "Fightin' Words", Political Analysis 16 (2008), equations 16, 20 and 22. The prior is the
words of both sides together, scaled to `PRIOR` words, which keeps rare words from the top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from tessy.report.figures.word_counts import Counted

PRIOR = 1000.0
"""How many words the prior counts for."""


@dataclass(frozen=True, slots=True)
class Frequency:
    """How often a word occurs.

    Attributes:
        word: The word.
        count: How often it occurs.
        per_1000: How often per 1,000 tokens.
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
        counts: How often it occurs on either side.
    """

    word: str
    log_odds: float
    z: float
    counts: tuple[int, int]


def frequent(
    words: Sequence[str], counts: Counted, tokens: float, most: int = 25
) -> list[Frequency]:
    """The most frequent words; numbers are left out.

    Args:
        words: All words, by number.
        counts: How often each occurs.
        tokens: In how many tokens.
        most: How many to name.
    """
    order = np.argsort(-counts, kind="stable").tolist()
    ranked = ((words[at], int(counts[at])) for at in order if _is_word(words[at]))
    return [
        Frequency(word, count, 1000 * count / tokens if tokens else 0.0)
        for word, count in islice(ranked, most)
        if count
    ]


def differences(
    words: Sequence[str], first: Counted, second: Counted, most: int = 15
) -> tuple[list[Difference], list[Difference]]:
    """The words whose frequency differs most; numbers are left out.

    Args:
        words: All words, by number.
        first: How often each occurs on the first side.
        second: How often on the second.
        most: How many to name.

    Returns:
        What the first side has more of, and what the second has; the clearest first.
    """
    there = [at for at in np.flatnonzero(first + second).tolist() if _is_word(words[at])]
    first, second = first[there], second[there]
    if not first.sum() or not second.sum():
        return [], []
    prior = PRIOR * (first + second) / (first.sum() + second.sum())
    log_odds = [
        np.log((side + prior) / (side.sum() + PRIOR - side - prior)) for side in (first, second)
    ]
    apart = log_odds[0] - log_odds[1]
    z = apart / np.sqrt(1 / (first + prior) + 1 / (second + prior))

    def clearest(sign: int) -> list[Difference]:
        order = np.argsort(-sign * z, kind="stable")[:most]
        return [
            Difference(words[there[at]], float(apart[at]), float(z[at]),
                       (int(first[at]), int(second[at])))
            for at in order
            if sign * z[at] > 0
        ]  # fmt: skip

    return clearest(1), clearest(-1)


def _is_word(text: str) -> bool:
    """Whether it begins with a letter."""
    return text[:1].isalpha()
