"""Predictors made of a token classifier: from P(style) of tokens to the judgement of a passage.

A `Network` (`onnx`, `transformers`, `served`) takes token ids and gives log-odds of style. All the
rest is here:

    window      the last tokens of context and text that the network sees
    words       a word's P(style) is the mean over its tokens; a word of punctuation has that of
                the word before it, and never makes a boundary
    thresholds  one for each writer: a word above it counts as style, any other as capability
    lookahead   a word near the threshold waits for some more words
    cache       a window that was judged before is not judged again
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from tokenizers import Tokenizer

from tessy.boundary.decision import decide
from tessy.boundary.settings import ClassifierSettings
from tessy.method.judgement import Judgement, Passage
from tessy.method.words import complete, is_neutral, units

_CACHED_WINDOWS = 16_384
_CHARACTERS_A_TOKEN = 8
"""Characters of the context that are read for each token of the window, at most."""


class Network(Protocol):
    """Runs a token classifier."""

    def __call__(self, ids: Sequence[Sequence[int]]) -> Sequence[Sequence[float]]:
        """The log-odds of style of tokens.

        Args:
            ids: Sequences of token ids, some of them empty, [sequences][tokens].

        Returns:
            A number for each token, [sequences][tokens].
        """
        ...


class ClassifierPredictor:
    """A predictor and scorer; see `tessy.boundary.protocol`.

    Args:
        name: The name in the records.
        tokenizer: The tokenizer of the network.
        network: Gives the log-odds of style.
        settings: How these are read.
    """

    batched = True

    def __init__(
        self, name: str, tokenizer: Tokenizer, network: Network, settings: ClassifierSettings
    ) -> None:
        self.name = name
        self.settings = settings
        self._tokenizer = tokenizer
        self._network = network
        self._cache: dict[tuple[int, ...], Sequence[float]] = {}
        tokenizer.no_padding()
        tokenizer.no_truncation()

    def judge(self, passages: Sequence[Passage]) -> list[Judgement]:
        """Judge passages in one batch; see `Predictor.judge`."""
        rest = [self._unjudged(passage) for passage in passages]
        return [
            self._judgement(passage, part, scores)
            for passage, part, scores in zip(passages, rest, self.style(rest), strict=True)
        ]

    def _unjudged(self, passage: Passage) -> Passage:
        """The part of a passage that is still to judge; what was judged becomes context."""
        if not (at := passage.judged):
            return passage
        context = _tail(passage.context, self._context_characters) + passage.text[:at]
        return passage._replace(context=context, text=passage.text[at:], judged=0)

    @property
    def _context_characters(self) -> int:
        """Characters of a context that may matter, from the right."""
        return _CHARACTERS_A_TOKEN * self.settings.window

    def style(self, passages: Sequence[Passage]) -> list[list[float]]:
        """P(style) of each unit of each text; see `Scorer.style`."""
        contexts = [_tail(passage.context, self._context_characters) for passage in passages]
        encodings = self._tokenizer.encode_batch(
            [
                context + _without_last_blanks(passage.text)
                for context, passage in zip(contexts, passages, strict=True)
            ],
            add_special_tokens=False,
        )
        windows: list[tuple[int, ...]] = []
        offsets: list[list[tuple[int, int]]] = []
        for encoding, context in zip(encodings, contexts, strict=True):
            begin = len(context)
            first = self._first(encoding.offsets, begin)
            windows.append(tuple(encoding.ids[first:]))
            offsets.append([(a - begin, b - begin) for a, b in encoding.offsets[first:]])
        return [
            self._words(passage.text, places, odds)
            for passage, places, odds in zip(passages, offsets, self._odds(windows), strict=True)
        ]

    def _odds(self, windows: Sequence[tuple[int, ...]]) -> list[Sequence[float]]:
        """The log-odds of windows; the network gets those that are not in the cache."""
        new = [window for window in dict.fromkeys(windows) if window not in self._cache]
        found = dict(zip(new, self._network(new), strict=True)) if new else {}
        rows = [found[w] if w in found else self._cache[w] for w in windows]
        if len(self._cache) + len(found) > _CACHED_WINDOWS:
            self._cache.clear()
        self._cache |= found
        return rows

    def _first(self, offsets: Sequence[tuple[int, int]], begin: int) -> int:
        """The first token of the window, which holds all of the text and at least a token before.

        Args:
            offsets: The tokens of context and text.
            begin: Where the text begins.
        """
        first = max(0, len(offsets) - self.settings.window)
        while first > 0 and offsets[first][0] >= begin:
            first -= 1
        return first

    def _words(
        self, text: str, offsets: Sequence[tuple[int, int]], odds: Sequence[float]
    ) -> list[float]:
        """P(style) of each word, the mean over its tokens; nan for a first word without a label.

        Args:
            text: The text of the passage.
            offsets: The tokens of the window, in offsets into `text`; negative in the context.
            odds: Log-odds of style, [tokens].
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

    def _judgement(self, passage: Passage, rest: Passage, scores: Sequence[float]) -> Judgement:
        """The first word of the other kind.

        Args:
            passage: The whole passage.
            rest: The part of it that is still to judge.
            scores: P(style) of each word of this part.
        """
        settings = self.settings
        words = complete(rest.text, units(rest.text), final=rest.final)
        unsure = (settings.unsure,) * settings.lookahead
        return decide(passage, words, scores, settings.thresholds.of(rest.role), unsure)


def _without_last_blanks(text: str) -> str:
    """The text without the blanks at its end, which belong to a word that is yet to come.

    A byte-level tokenizer would make a token of them that no network was trained on, since in
    whole texts a word follows.
    """
    return text.rstrip(" ")


def _tail(context: str, characters: int) -> str:
    """The end of a context, from the start of a word."""
    if len(context) <= characters:
        return context
    at = len(context) - characters
    while at < len(context) and not context[at].isspace():
        at += 1
    return context[at:]
