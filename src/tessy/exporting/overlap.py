"""Texts that share words with test questions, and texts that are nearly the same.

A text is *contaminated* if it holds any N words in a row of a test question, N = 13 by default:
the overlap of Brown et al. 2020 (GPT-3), appendix C, as EleutherAI's lm-evaluation-harness
computes it (its page on decontamination). Words are compared in lower case, without
punctuation. A test question with fewer words would be found everywhere by chance, so it is compared
as a whole with a conversation's questions as a whole.

*Near-duplicates* are found by the Jaccard index of the sets of five words in a row, estimated by
MinHash; locality-sensitive hashing finds the candidates (`datasketch`). The hash functions are
fixed, so the same input gives the same decisions everywhere.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tessy.data.questions import read
from tessy.errors import MissingExtra, install_hint
from tessy.exporting.settings import NGRAM
from tessy.method.words import plain

SHINGLE = 5
"""Words in a row that near-duplicates are compared by."""
PERMUTATIONS = 128
"""Hash functions of a sketch: the estimate's standard error is at most 0.044."""
_MARGIN = 0.05
_MISSING_IS_WORSE = (0.1, 0.9)
"""The index finds candidates, and their sketches decide. So the index searches a little below the
threshold, and its weights make a miss worse than a false candidate: with the library's own weights
it would miss 60% of the pairs whose similarity is exactly a threshold of 0.8."""


def questions_in(sources: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Name and text of each question in files or data sets.

    Raises:
        DataError: One can't be read.
    """
    for source in sources:
        for question in read(source):
            yield f"{source} {question.id}", question.messages[-1]["content"]


def ngrams(words: list[str], size: int) -> Iterator[tuple[str, ...]]:
    """All runs of `size` words."""
    return zip(*(words[start:] for start in range(size)), strict=False)


class WordOverlap:
    """Finds conversations that share words with test questions.

    Args:
        questions: Name and text of each test question.
        size: Number of words in a row that a conversation may not share.
    """

    def __init__(self, questions: Iterable[tuple[str, str]], size: int = NGRAM) -> None:
        self._size = size
        self._runs: dict[tuple[str, ...], str] = {}
        self._short: dict[tuple[str, ...], str] = {}
        self.questions = 0
        self.short = 0
        """Questions with fewer than `size` words, compared as a whole."""
        for name, text in questions:
            words = plain(text)
            self.questions += 1
            if len(words) < size:
                self.short += 1
                self._short.setdefault(tuple(words), name)
            for run in ngrams(words, size):
                self._runs.setdefault(run, name)

    def __str__(self) -> str:
        short = f", {self.short} of them compared as a whole" if self.short else ""
        return f"{self.questions} test questions{short}"

    def find(self, messages: Sequence[Mapping[str, str]]) -> str | None:
        """What a conversation shares with which test question; None if nothing."""
        for message in messages:
            words = plain(message["content"])
            whole = tuple(words)
            if message["role"] == "user" and words and whole in self._short:
                return _shares(self._short[whole], whole)
            if self._runs.keys().isdisjoint(ngrams(words, self._size)):
                continue
            run = next(run for run in ngrams(words, self._size) if run in self._runs)
            return _shares(self._runs[run], run)
        return None


def _shares(name: str, run: tuple[str, ...]) -> str:
    return f"shares with test question {name}: {' '.join(run)}"


class SimilarTexts:
    """Finds texts that are nearly one that was new; of similar texts, the first one is new.

    It keeps a sketch of each new text, about 6 kB with its place in the index.

    Args:
        threshold: Similarity from which a text is not new, above 0 and at most 1.

    Raises:
        MissingExtra: `datasketch` is not installed.
    """

    def __init__(self, threshold: float) -> None:
        try:
            from datasketch import MinHash, MinHashLSH
        except ImportError:
            raise MissingExtra(
                "finding near-duplicates needs `datasketch`", hint=install_hint("export")
            ) from None
        self._threshold = threshold
        self._index = MinHashLSH(
            threshold=max(threshold - _MARGIN, _MARGIN),
            num_perm=PERMUTATIONS,
            weights=_MISSING_IS_WORSE,
        )
        self._empty = MinHash(num_perm=PERMUTATIONS, seed=1, hashfunc=zlib.crc32)
        self._kept: list[tuple[str, Any]] = []

    def find(self, name: str, text: str) -> str | None:
        """Which earlier text a text is like; None if it is new, and then it is remembered."""
        sketch = self._sketch(text)
        for number in sorted(self._index.query(sketch)):
            other_name, other = self._kept[number]
            if (similarity := sketch.jaccard(other)) >= self._threshold:
                return f"{similarity:.2f} like {other_name}"
        self._index.insert(len(self._kept), sketch)
        self._kept.append((name, sketch))
        return None

    def bands(self, text: str) -> list[bytes]:
        """What the index files a text under: `find` compares texts that share one of these."""
        values = self._sketch(text).hashvalues
        return [values[start:end].tobytes() for start, end in self._index.hashranges]

    def _sketch(self, text: str) -> Any:
        words = plain(text)
        runs = ngrams(words, min(SHINGLE, len(words)) or 1)
        sketch = self._empty.copy()
        sketch.update_batch({" ".join(run).encode() for run in runs})
        return sketch
