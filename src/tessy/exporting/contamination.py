"""A filter: samples that share a run of words with a question of a test set.

A sample is contaminated if it holds any N words in a row of a test question, N = 13 by default:
the overlap of Brown et al. 2020 (GPT-3), appendix C, as EleutherAI's lm-evaluation-harness has
it (docs/decontamination.md there). Words are compared in lower case, without punctuation. All
messages of the sample are looked at, since a response may repeat a question that its own
question only hints at. A test question of fewer words would be found everywhere by chance, so it
is compared as a whole with the sample's questions as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tessy.exporting.drops import Drop, Reason
from tessy.exporting.sample import Sample
from tessy.exporting.settings import NGRAM
from tessy.method.words import plain


def ngrams(found: list[str], size: int) -> Iterator[tuple[str, ...]]:
    """All runs of `size` words."""
    return zip(*(found[start:] for start in range(size)), strict=False)


class Contamination:
    """Knows the test questions; decides about samples.

    Args:
        questions: Name and text of each test question.
        size: Words in a row that count.
    """

    def __init__(self, questions: Iterable[tuple[str, str]], size: int = NGRAM) -> None:
        self._size = size
        self._runs: dict[tuple[str, ...], str] = {}
        self._short: dict[tuple[str, ...], str] = {}
        self.questions = 0
        self.short = 0
        """Questions with fewer words than count, compared as a whole."""
        for name, text in questions:
            found = plain(text)
            self.questions += 1
            if len(found) < size:
                self.short += 1
                self._short.setdefault(tuple(found), name)
            for run in ngrams(found, size):
                self._runs.setdefault(run, name)

    def __call__(self, sample: Sample) -> Drop | None:
        """Drop a sample that shares words with a test question."""
        for message in sample.messages:
            found = plain(message["content"])
            whole = tuple(found)
            if message["role"] == "user" and found and whole in self._short:
                return self._drop(self._short[whole], whole)
            if self._runs.keys().isdisjoint(ngrams(found, self._size)):
                continue
            run = next(run for run in ngrams(found, self._size) if run in self._runs)
            return self._drop(self._runs[run], run)
        return None

    def _drop(self, name: str, run: tuple[str, ...]) -> Drop:
        return Drop(Reason.CONTAMINATED, f"shares with test question {name}: {' '.join(run)}")
