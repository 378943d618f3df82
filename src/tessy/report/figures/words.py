"""Words: how often each occurs, which are frequent, and whose frequency differs most.

A sample becomes a sparse row of counts and its text is forgotten, so memory grows with the number
of different words in a sample, not with its length. The same holds for tokens of the student's
tokenizer, which similarity can count instead.

Frequent words are those of the paper's Fig. 16. Differences are log-odds ratios with an
informative Dirichlet prior: Monroe, Colaresi and Quinn, "Fightin' Words", Political Analysis 16
(2008), equations 16, 20 and 22. The prior is the words of both sides together, scaled to `PRIOR`
words, which keeps rare words from the top.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tessy.method.trajectory import Role
from tessy.report.figures.sample import ReportSample

Tokenize = Callable[[Sequence[str]], list[list[int]]]
"""Returns the token ids of each of some texts."""
Counted = NDArray[np.int64]
"""How often each word occurs, shape (words,)."""

LARGEST = 2**20
"""How many different words are told apart. Those that come later are left out."""

WORD = re.compile(r"\w+(?:['’]\w+)*")
"""Letters, digits and underscores, with inner apostrophes."""

PRIOR = 1000.0
"""How many words the prior counts for."""

_AT_ONCE = 16
"""Samples tokenised at once."""


class WordNumbers:
    """Numbers words in the order in which they come; shared by all runs of a report.

    Args:
        largest: How many are numbered.
    """

    def __init__(self, largest: int = LARGEST) -> None:
        self._numbers: dict[str, int] = {}
        self._largest = largest

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, word: str) -> int | None:
        """The number of a word; None if there was no room for it."""
        found = self._numbers.get(word)
        if found is None and len(self._numbers) < self._largest:
            found = self._numbers[word] = len(self._numbers)
        return found

    @property
    def words(self) -> list[str]:
        """All of them, by number."""
        return list(self._numbers)


class SparseRows:
    """Rows of counts, one for each sample, compact while they are added."""

    def __init__(self) -> None:
        self._columns, self._counts, self._ends = array("i"), array("i"), array("q", [0])

    def add(self, counts: Iterable[tuple[int, int]]) -> None:
        """Add a row of pairs of column and count."""
        for column, count in counts:
            self._columns.append(column)
            self._counts.append(count)
        self._ends.append(len(self._columns))

    def matrix(self, columns: int | None = None) -> sparse.csr_matrix:
        """All rows, shape (rows, columns); with as many columns as they need by default."""
        if columns is None:
            columns = max(self._columns, default=-1) + 1
        parts = (
            np.asarray(self._counts, np.int32),
            np.asarray(self._columns, np.int32),
            np.asarray(self._ends, np.int64),
        )
        return sparse.csr_matrix(parts, shape=(len(self._ends) - 1, columns))


class WordCounter:
    """Counts the words of a run's finished samples.

    Args:
        numbers: Of the words.
        tokenize: The student's tokenizer, if similarity is to count its tokens.

    Attributes:
        questions: The key of each row's question.
        left_out: Words for which there was no number.
    """

    def __init__(self, numbers: WordNumbers, tokenize: Tokenize | None = None) -> None:
        self.questions: list[bytes] = []
        self.left_out = 0
        self._numbers = numbers
        self._tokenize = tokenize
        self._words = {role: SparseRows() for role in Role}
        self._tokens = SparseRows()
        self._waiting: list[str] = []

    def add(self, sample: ReportSample) -> None:
        """Count a sample."""
        self.questions.append(sample.question)
        for role, rows in self._words.items():
            text = "\n".join(each.text for each in sample.texts if each.role is role)
            rows.add(self._numbered(Counter(WORD.findall(text.lower()))))
        if self._tokenize is not None:
            self._waiting.append("".join(each.text for each in sample.texts))
            if len(self._waiting) == _AT_ONCE:
                self._count_tokens(self._tokenize)

    def _numbered(self, counts: Counter[str]) -> Iterable[tuple[int, int]]:
        for word, count in counts.items():
            number = self._numbers.number(word)
            if number is None:
                self.left_out += count
            else:
                yield number, count

    def _count_tokens(self, tokenize: Tokenize) -> None:
        for ids in tokenize(self._waiting):
            found, counts = np.unique(np.asarray(ids, np.int64), return_counts=True)
            self._tokens.add(zip(found.tolist(), counts.tolist(), strict=True))
        self._waiting.clear()

    def by(self, role: Role | None, questions: set[bytes] | None = None) -> Counted:
        """How often an author wrote each word.

        Args:
            role: The author; None for both.
            questions: Only in responses to these; None for all.
        """
        rows = self._matrix(role)
        if questions is not None:
            rows = rows[[row for row, key in enumerate(self.questions) if key in questions]]
        return np.asarray(rows.sum(axis=0), np.int64).ravel()

    def matrix(self) -> sparse.csr_matrix:
        """Counts of tokens if there is a tokenizer, else of words, shape (samples, used)."""
        if self._tokenize is not None:
            self._count_tokens(self._tokenize)
            return self._tokens.matrix()
        return self._matrix(None)

    def _matrix(self, role: Role | None) -> sparse.csr_matrix:
        """Counts of the words of one author or of both, shape (samples, words)."""
        if role is None:
            return self._matrix(Role.STUDENT) + self._matrix(Role.TEACHER)
        return self._words[role].matrix(len(self._numbers))


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
    if len(there) < 2 or not first.sum() or not second.sum():
        return [], []  # a single word has all of the text on both sides
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
