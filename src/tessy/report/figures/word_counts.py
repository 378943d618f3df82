"""How often each word, or each token of the student, occurs in each sample of a run.

A sample becomes a sparse row of counts and its text is forgotten, so memory grows with the number
of different words in a sample, not with its length.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

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

    def by(self, role: Role, questions: set[bytes] | None = None) -> Counted:
        """How often an author wrote each word.

        Args:
            role: The author.
            questions: Only in responses to these; None for all.
        """
        rows = self._words[role].matrix(len(self._numbers))
        if questions is not None:
            rows = rows[[row for row, key in enumerate(self.questions) if key in questions]]
        return np.asarray(rows.sum(axis=0), np.int64).ravel()

    def matrix(self) -> sparse.csr_matrix:
        """Counts of tokens if there is a tokenizer, else of words, shape (samples, used)."""
        if self._tokenize is not None:
            self._count_tokens(self._tokenize)
            return self._tokens.matrix()
        student, teacher = (self._words[role].matrix(len(self._numbers)) for role in Role)
        return student + teacher
