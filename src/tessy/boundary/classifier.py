"""Predictors made of a token classifier: from P(style) of tokens to the judgement of a passage.

Whatever runs the network (`onnx`, `transformers`, `served`) is a `Network`: token ids in, log-odds
of style out. All the rest is here, once:

    window      the last tokens of context and text that the network sees; of the context, only
                what its judgement can depend on
    words       a word's P(style) is the mean over its tokens; a word of punctuation only has that
                of the word before it, and never makes a boundary
    thresholds  one for each writer: above it a teacher's word counts as style; below it a
                student's counts as capability
    lookahead   a word near its threshold waits for some words behind it, which tell it better
    memory      a window that was judged before is not judged again
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Protocol

from tokenizers import Tokenizer

from tessy.boundary.settings import ClassifierSettings
from tessy.method.judgement import Judgement, Passage
from tessy.method.trajectory import Role
from tessy.method.words import Unit, complete, is_neutral, units

_REMEMBERED = 16_384
_CHARACTERS_A_TOKEN = 8
"""Of the context, more than this for each token of the window is never looked at."""


class Network(Protocol):
    """Runs a token classifier."""

    def __call__(self, ids: Sequence[Sequence[int]]) -> Sequence[Sequence[float]]:
        """The log-odds of style for each token of each sequence; sequences may be empty."""
        ...


class ClassifierPredictor:
    """A predictor and scorer; see `tessy.boundary.protocol`.

    Args:
        name: What the record says judged the text.
        tokenizer: That of the network.
        network: Runs it.
        settings: How to read it.
    """

    batched = True

    def __init__(
        self, name: str, tokenizer: Tokenizer, network: Network, settings: ClassifierSettings
    ) -> None:
        self.name = name
        self.settings = settings
        self._tokenizer = tokenizer
        self._network = network
        self._known: dict[tuple[int, ...], Sequence[float]] = {}
        tokenizer.no_padding()
        tokenizer.no_truncation()

    def judge(self, passages: Sequence[Passage]) -> list[Judgement]:
        """Judge passages in one batch; see `Predictor.judge`."""
        open_ = [self._unjudged(passage) for passage in passages]
        judgements = [self._judgement(*pair) for pair in zip(open_, self.style(open_), strict=True)]
        return [
            judgement if not passage.judged else _moved(judgement, passage.judged)
            for passage, judgement in zip(passages, judgements, strict=True)
        ]

    def _unjudged(self, passage: Passage) -> Passage:
        """What of a passage is still to be judged; the rest becomes context."""
        if not (at := passage.judged):
            return passage
        context = _tail(passage.context, self._seen) + passage.text[:at]
        return passage._replace(context=context, text=passage.text[at:], judged=0)

    @property
    def _seen(self) -> int:
        """Characters of a context beyond which it is never looked at."""
        return _CHARACTERS_A_TOKEN * min(self.settings.window, self.settings.reach or sys.maxsize)

    def style(self, passages: Sequence[Passage]) -> list[list[float]]:
        """P(style) of each unit of each text; see `Scorer.style`."""
        seen = self._seen
        contexts = [_tail(passage.context, seen) for passage in passages]
        encodings = self._tokenizer.encode_batch(
            [
                context + _shown(passage)
                for context, passage in zip(contexts, passages, strict=True)
            ],
            add_special_tokens=False,
        )
        firsts = [
            self._first(encoding.offsets, len(context))
            for encoding, context in zip(encodings, contexts, strict=True)
        ]
        rows = self._odds(
            [tuple(made.ids[first:]) for made, first in zip(encodings, firsts, strict=True)]
        )
        scores = []
        for number, passage in enumerate(passages):
            begin = len(contexts[number])
            offsets = [
                (start - begin, end - begin)
                for start, end in encodings[number].offsets[firsts[number] :]
            ]
            scores.append(self._words(passage.text, offsets, rows[number]))
        return scores

    def _odds(self, windows: Sequence[tuple[int, ...]]) -> list[Sequence[float]]:
        """The log-odds of windows; only those that are not known are shown to the network."""
        new = [window for window in dict.fromkeys(windows) if window not in self._known]
        found = dict(zip(new, self._network(new), strict=True)) if new else {}
        rows = [found[w] if w in found else self._known[w] for w in windows]
        if len(self._known) + len(found) > _REMEMBERED:
            self._known.clear()  # only now: this batch may have asked for what is forgotten
        self._known |= found
        return rows

    def _first(self, offsets: Sequence[tuple[int, int]], begin: int) -> int:
        """The first token that is seen: the window's, but all of the text and a token before."""
        first = max(0, len(offsets) - self.settings.window)
        while first > 0 and offsets[first][0] >= begin:
            first -= 1
        if self.settings.reach is None:
            return first
        own = next((at for at in range(first, len(offsets)) if offsets[at][1] > begin), first)
        return max(first, own - self.settings.reach - self.settings.shift)

    def _words(
        self, text: str, offsets: Sequence[tuple[int, int]], odds: Sequence[float]
    ) -> list[float]:
        """The mean over the tokens of each word; nan for a first word that no label speaks of.

        Args:
            text: The passage's.
            offsets: Of the window's tokens into `text`; negative in the context.
            odds: One for each token.
        """
        shift, scores = self.settings.shift, []
        token, score = 0, math.nan
        for word in units(text):
            while token < len(offsets) and offsets[token][1] <= word.word_start:
                token += 1
            found, inside = [], token
            while inside < len(offsets) and offsets[inside][0] < word.word_end:
                if inside >= shift and offsets[inside][1] > offsets[inside][0]:
                    found.append(self._probability(odds[inside - shift]))
                inside += 1
            if found and not is_neutral(text[word.word_start : word.word_end]):
                score = sum(found) / len(found)
            scores.append(score)
        return scores

    def _probability(self, odds: float) -> float:
        scaled = odds / self.settings.temperature + self.settings.bias
        return 1 / (1 + math.exp(-max(scaled, -700.0)))

    def _judgement(self, passage: Passage, scores: Sequence[float]) -> Judgement:
        """The first word of the other kind."""
        settings = self.settings
        words = complete(passage.text, units(passage.text), final=passage.final)
        early = len(words) if passage.final else len(words) - settings.lookahead
        threshold = settings.thresholds.of(passage.role)
        wants_style = passage.role is Role.STUDENT
        settled = 0
        for number, (word, score) in enumerate(zip(words, scores, strict=False)):
            if not math.isnan(score) and _counts(passage.text, word):
                if number >= early and abs(score - threshold) < settings.unsure:
                    return Judgement(None, settled)
                if (score > threshold) != wants_style:
                    confidence = 1 - score if wants_style else score
                    return Judgement(word.word_start, word.word_start, confidence=confidence)
            settled = word.word_end
        return Judgement(None, settled)


def _moved(judgement: Judgement, by: int) -> Judgement:
    boundary = None if judgement.boundary is None else judgement.boundary + by
    return judgement._replace(boundary=boundary, settled=judgement.settled + by)


def _counts(text: str, word: Unit) -> bool:
    return not is_neutral(text[word.word_start : word.word_end])


def _shown(passage: Passage) -> str:
    """The text without the blanks that it ends in while it is written.

    They belong to a word that is yet to come. A byte-level tokenizer makes a token of its own of
    them there, which no network was ever taught, since in whole texts a word follows.
    """
    return passage.text.rstrip(" ")


def _tail(context: str, characters: int) -> str:
    """The end of a context, from the start of a word."""
    if len(context) <= characters:
        return context
    at = len(context) - characters
    while at < len(context) and not context[at].isspace():
        at += 1
    return context[at:]
