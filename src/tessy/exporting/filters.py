"""Filters: each gives a reason to drop a sample, or none.

A sample is *contaminated* if it holds any N words in a row of a test question, N = 13 by default:
the overlap of Brown et al. 2020 (GPT-3), appendix C, as EleutherAI's lm-evaluation-harness
computes it (its page on decontamination). Words are compared in lower case, without
punctuation. All messages of a sample are searched, since a response may repeat a question that
its own question only hints at. A test question with fewer words would be found everywhere by
chance, so it is compared as a whole with the sample's questions as a whole.

*Near-duplicates* are found among responses, not questions: several samples of one question are
wanted, two samples with nearly the same response are not. Similarity is the Jaccard index of the
sets of five words in a row, estimated by MinHash; locality-sensitive hashing finds the candidates
(`datasketch`). Of similar samples the first one is kept. The hash functions are fixed, so the same
input gives the same decisions everywhere.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from tessy.data.questions import read
from tessy.display import Say
from tessy.errors import ConfigError, MissingExtra, install_hint
from tessy.exporting.samples import Drop, ExportSample, Reason
from tessy.exporting.settings import NGRAM, ExportSettings
from tessy.method.words import plain
from tessy.runs.reviews import Decision, Review, digest

SHINGLE = 5
"""Words in a row that near-duplicates are compared by."""
PERMUTATIONS = 128
"""Hash functions of a sketch: the estimate's standard error is at most 0.044."""
_MARGIN = 0.05
_MISSING_IS_WORSE = (0.1, 0.9)
"""The index finds candidates, and their sketches decide. So the index searches a little below the
threshold, and its weights make a miss worse than a false candidate: with the library's own weights
it would miss 60% of the pairs whose similarity is exactly a threshold of 0.8."""


def by_review(sample: ExportSample, review: Review | None) -> Drop | None:
    """Drop a sample that no reader accepted as it is.

    Args:
        sample: The sample.
        review: What a reader said about it last.
    """
    if review is None or review.decision is None:
        return Drop(Reason.NOT_ACCEPTED, "no reader has decided")
    if review.text != digest(sample.content):
        return Drop(Reason.NOT_ACCEPTED, "a reader decided about an earlier response")
    if review.decision is Decision.REJECTED:
        comment = f": {review.comment}" if review.comment else ""
        return Drop(Reason.NOT_ACCEPTED, f"rejected{comment}")
    return None


class Filters:
    """The filters that the settings ask for, in their order.

    Args:
        settings: Of the export.
        say: Called with the number of test questions.

    Raises:
        ConfigError: There is no such tokenizer.
        DataError: A file of test questions can't be read.
        MissingExtra: `datasketch` is needed.
    """

    def __init__(self, settings: ExportSettings, say: Say = lambda line: None) -> None:
        self._settings = settings
        self._tokens: Callable[[ExportSample], int] = lambda sample: sample.tokens
        if settings.tokenizer:
            self._tokens = token_counter(settings.tokenizer)
        self._word_filters: list[Callable[[ExportSample], Drop | None]] = []
        if settings.decontaminate:
            contamination = Contamination(_test_questions(settings.decontaminate), settings.ngram)
            self._word_filters.append(contamination)
            say(str(contamination))
        if settings.near_duplicates is not None:
            # It remembers what it lets pass, so it must come last.
            self._word_filters.append(NearDuplicates(settings.near_duplicates))

    def by_numbers(self, sample: ExportSample) -> Drop | None:
        """Drop a sample for its forced spans, its teacher's share or its length."""
        bounds, share, forced = self._settings, sample.teacher_share, sample.forced
        least, most = bounds.min_teacher_share, bounds.max_teacher_share
        if bounds.drop_forced and forced:
            spans = "span" if forced == 1 else "spans"
            return Drop(Reason.FORCED, f"{forced} {spans} kept only for Progress")
        if least is not None and share < least:
            return Drop(Reason.TEACHER_SHARE_LOW, f"teacher share {share:.4f}, below {least}")
        if most is not None and share > most:
            return Drop(Reason.TEACHER_SHARE_HIGH, f"teacher share {share:.4f}, above {most}")
        longest = bounds.max_tokens
        if longest is not None and (tokens := self._tokens(sample)) > longest:
            return Drop(Reason.TOO_LONG, f"{tokens} tokens, above {longest}")
        return None

    def by_words(self, sample: ExportSample) -> Drop | None:
        """Drop a sample for what it shares with test questions or earlier samples."""
        return next((drop for find in self._word_filters if (drop := find(sample))), None)


def token_counter(name: str) -> Callable[[ExportSample], int]:
    """Make a function that counts a sample's tokens with a tokenizer.

    It counts the text of all messages. What a chat template adds to them, a few tokens a message,
    is not counted.

    Args:
        name: A folder with `tokenizer.json`, or an id on Hugging Face.

    Raises:
        ConfigError: There is no such tokenizer.
    """
    from tokenizers import Tokenizer

    folder = Path(name)
    try:
        if folder.is_dir():
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        else:
            tokenizer = Tokenizer.from_pretrained(name)
    except Exception as error:  # the library raises nothing narrower
        raise ConfigError(
            f"{name} is no tokenizer that can be read: {error}",
            hint="a folder with tokenizer.json, or an id on Hugging Face",
        ) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(sample: ExportSample) -> int:
        texts = [message["content"] for message in sample.messages]
        return sum(len(each) for each in tokenizer.encode_batch(texts, add_special_tokens=False))

    return count


def _test_questions(sources: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Name and text of each question in files or data sets."""
    for source in sources:
        for question in read(source):
            yield f"{source} {question.id}", question.messages[-1]["content"]


def ngrams(words: list[str], size: int) -> Iterator[tuple[str, ...]]:
    """All runs of `size` words."""
    return zip(*(words[start:] for start in range(size)), strict=False)


class Contamination:
    """Drops samples that share words with test questions.

    Args:
        questions: Name and text of each test question.
        size: Number of words in a row that a sample may not share.
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

    def __call__(self, sample: ExportSample) -> Drop | None:
        """Drop a sample that shares words with a test question."""
        for message in sample.messages:
            words = plain(message["content"])
            whole = tuple(words)
            if message["role"] == "user" and words and whole in self._short:
                return self._drop(self._short[whole], whole)
            if self._runs.keys().isdisjoint(ngrams(words, self._size)):
                continue
            run = next(run for run in ngrams(words, self._size) if run in self._runs)
            return self._drop(self._runs[run], run)
        return None

    def _drop(self, name: str, run: tuple[str, ...]) -> Drop:
        return Drop(Reason.CONTAMINATED, f"shares with test question {name}: {' '.join(run)}")


class NearDuplicates:
    """Drops samples whose response is nearly that of a sample that passed.

    It keeps a sketch of each sample that passed, about 6 kB with its place in the index.

    Args:
        threshold: Similarity from which a sample is dropped, above 0 and at most 1.

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

    def __call__(self, sample: ExportSample) -> Drop | None:
        """Drop a sample that is similar to one that passed; else remember it."""
        words = plain(sample.content)
        runs = ngrams(words, min(SHINGLE, len(words)) or 1)
        sketch = self._empty.copy()
        sketch.update_batch({" ".join(run).encode() for run in runs})
        for number in sorted(self._index.query(sketch)):
            sample_id, other = self._kept[number]
            if (similarity := sketch.jaccard(other)) >= self._threshold:
                return Drop(Reason.NEAR_DUPLICATE, f"{similarity:.2f} like {sample_id}")
        self._index.insert(len(self._kept), sketch)
        self._kept.append((sample.id, sketch))
        return None
