"""Bags: how often each word, or each token of the student, occurs in each sample.

A sample becomes a sparse row of counts and its text is forgotten, so memory grows with the number
of different words in a sample, not with its length.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from tessy.method.trajectory import Role
from tessy.report.figures.figures import Index
from tessy.report.figures.sample import Sample

Tokenize = Callable[[Sequence[str]], list[list[int]]]
"""Token ids of each of some texts."""

LARGEST = 2**20
"""Different words that are told apart. Later ones count as words, but as no particular one."""

WORD = re.compile(r"\w+(?:['’]\w+)*")
"""Letters, digits and underscores, with inner apostrophes."""

_AT_ONCE = 16
"""Samples that are tokenised at once."""


def words(text: str) -> list[str]:
    """The words of a text in lower case: letters, digits and underscores, inner apostrophes."""
    return WORD.findall(text.lower())


class Vocabulary:
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


class Counts:
    """Rows of counts that grow; `matrix` makes them one."""

    def __init__(self) -> None:
        self._columns, self._values, self._ends = array("i"), array("i"), array("q", [0])

    def add(self, counted: Iterable[tuple[int, int]]) -> None:
        """Add a row, by pairs of column and count."""
        for column, count in counted:
            self._columns.append(column)
            self._values.append(count)
        self._ends.append(len(self._columns))

    def matrix(self, columns: int) -> sparse.csr_matrix:
        """Shape (rows, columns)."""
        parts = (
            np.asarray(self._values, np.int32),
            np.asarray(self._columns, np.int32),
            np.asarray(self._ends, np.int64),
        )
        return sparse.csr_matrix(parts, shape=(len(self._ends) - 1, columns))


class Bags:
    """The bags of a run's finished samples.

    Args:
        vocabulary: Numbers the words.
        tokenize: The student's tokenizer, if tokens are to be counted, too.

    Attributes:
        questions: The key of each row's question.
        left_out: Words for which the vocabulary had no room.
    """

    def __init__(self, vocabulary: Vocabulary, tokenize: Tokenize | None = None) -> None:
        self.questions: list[bytes] = []
        self.left_out = 0
        self._vocabulary = vocabulary
        self._tokenize = tokenize
        self._words = {role: Counts() for role in Role}
        self._tokens = Counts()
        self._waiting: list[str] = []
        self._largest_token = -1

    def add(self, sample: Sample) -> None:
        """Count a sample's words, by author."""
        self.questions.append(sample.question)
        texts: dict[Role, list[str]] = {role: [] for role in Role}
        for stretch, text in sample.texts():
            texts[stretch.role].append(text)
        for role, parts in texts.items():
            self._words[role].add(self._numbered(Counter(words("\n".join(parts)))))
        if self._tokenize is not None:
            self._waiting.append("".join(text for _, text in sample.texts()))
            if len(self._waiting) >= _AT_ONCE:
                self._count_tokens()

    def _numbered(self, counted: Counter[str]) -> Iterable[tuple[int, int]]:
        for word, count in counted.items():
            number = self._vocabulary.number(word)
            if number is None:
                self.left_out += count
            else:
                yield number, count

    def _count_tokens(self) -> None:
        assert self._tokenize is not None
        waiting, self._waiting = self._waiting, []
        for ids in self._tokenize(waiting):
            counts = np.bincount(np.asarray(ids, np.int64))
            self._largest_token = max(self._largest_token, len(counts) - 1)
            there = np.flatnonzero(counts)
            self._tokens.add(zip(there.tolist(), counts[there].tolist(), strict=True))

    def words_of(self, role: Role) -> sparse.csr_matrix:
        """How often each word occurs in what an author wrote, shape (samples, vocabulary)."""
        return self._words[role].matrix(len(self._vocabulary))

    def bag(self, width: int) -> sparse.csr_matrix:
        """What similarity is computed of: counts of tokens if there is a tokenizer, else of words.

        Args:
            width: Columns; see `width`.
        """
        if self._tokenize is None:
            return sum_of([self.words_of(role) for role in Role])
        if self._waiting:
            self._count_tokens()
        return self._tokens.matrix(width)

    @property
    def width(self) -> int:
        """Columns that the bag needs."""
        if self._tokenize is None:
            return len(self._vocabulary)
        if self._waiting:
            self._count_tokens()
        return self._largest_token + 1


def sum_of(parts: Sequence[sparse.csr_matrix]) -> sparse.csr_matrix:
    """Add matrices of one shape."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def sums(rows: sparse.csr_matrix, chosen: Index | None = None) -> np.ndarray[Any, Any]:
    """Sums of the columns, of all rows or of some."""
    return np.asarray((rows if chosen is None else rows[chosen]).sum(axis=0)).ravel()
