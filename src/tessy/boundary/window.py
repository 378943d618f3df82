"""The predictor that ships, and others like it: a feed-forward network over a window of words.

The P(style) of a word is computed from the `LEFT` words before it, itself, and up to `RIGHT` words
after it, as far as they are written (the window approach of Collobert et al. 2011, "Natural
Language Processing (Almost) from Scratch"). Each word is the sum of the vectors of its features
(`features`), which are hashed, so there is no vocabulary. A word costs a few small products of
matrices with vectors, whatever came before it, so it is judged at once, on the event loop.

A word is never judged in a batch: the same text always gives the same bits, however it arrived.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from tessy.boundary.decision import decide
from tessy.boundary.settings import SETTINGS_FILE, Thresholds
from tessy.errors import ConfigError
from tessy.method.judgement import Judgement, Passage
from tessy.method.words import Unit, complete, units
from tessy.settings.definitions import StrictSettings
from tessy.settings.explain import explain

Array = NDArray[np.float32]

MODEL_FILE = "window.npz"
"""The arrays of a `WindowNetwork`."""
LEFT, RIGHT = 8, 3
"""Words before and after the one that is judged."""
NOT_WRITTEN, BEFORE_TEXT = 0, 1
"""Rows of `vectors` for a place after the last word, and for one before the first; the hashed
features follow."""
FIRST_FEATURE = 2
_CACHED_WORDS = 20_000
_LEFT_CHARACTERS = 120
"""Characters before a word in which the words of its window are looked for."""
_NEW_LINE = "\n"
"""Begins a word that begins a line."""
_BREAK = re.compile(r"\s*\n\s*")
_DIGITS, _LOWER, _UPPER = re.compile(r"\d+"), re.compile(r"[a-z]+"), re.compile(r"[A-Z]+")
_MARKS = ".,;:!?()[]{}\"'*_`“”’…—-"
_HINT = "tessy predictor train makes such a folder"


class WindowSettings(StrictSettings):
    """How the scores of a `WindowNetwork` are read."""

    thresholds: Thresholds = Thresholds()
    """Probabilities from which a word counts as style."""
    unsure: tuple[float, ...] = Field(default=(0.35, 0.35, 0.35), max_length=RIGHT)
    """With no, one, two words after it, a word waits whose P(style) is this near to the
    threshold."""


def features(word: str) -> list[str]:
    r"""What the network knows of a word.

    Args:
        word: The word with its punctuation; a `\n` before it says that it begins a line.
    """
    text = word.lstrip(_NEW_LINE)
    lower = text.lower()
    core = lower.strip(_MARKS)
    found = ["w=" + text, "c=" + core]
    if core and core != text:
        found += ["t=" + text[len(text.rstrip(_MARKS)) :][:3]]
        found += ["h=" + text[: len(text) - len(text.lstrip(_MARKS))][:3]]
    shape = _DIGITS.sub("0", text[:24])
    shape = _UPPER.sub("X", _LOWER.sub("x", shape))
    found += ["s=" + shape[:10], "e=" + core[-3:], "b=" + core[:3]]
    if text != word:
        found.append("nl")
    if text[:1].isupper():
        found.append("cap")
    return found


def buckets(word: str, size: int) -> list[int]:
    """The rows of a word's features among `size` vectors."""
    return [
        FIRST_FEATURE + zlib.crc32(feature.encode()) % (size - FIRST_FEATURE)
        for feature in features(word)
    ]


def words_before(text: str) -> tuple[list[str], bool]:
    r"""The words at the end of a text, each with a `\n` before it if it begins a line.

    Args:
        text: What precedes a word that is judged; only its last characters are read.

    Returns:
        At most `LEFT` words, and whether the word that follows begins a line.
    """
    tail = text[-_LEFT_CHARACTERS:]
    if _NEW_LINE not in tail:
        found, begins = tail.split(), False
    else:
        tail = _BREAK.sub(" \0", tail)
        begins = tail.endswith("\0")
        found = [w.replace("\0", _NEW_LINE) for w in tail.removesuffix("\0").split()]
    if len(text) > _LEFT_CHARACTERS:  # the first one may be the end of a longer word
        del found[:1]
    return found[-LEFT:], begins


class _WordVectors(dict[str, Array]):
    """The vectors of words, [dimensions] each, computed when they are first asked for.

    Args:
        vectors: The vectors of features, [features, dimensions].
    """

    def __init__(self, vectors: Array) -> None:
        super().__init__()
        self._vectors = vectors

    def __missing__(self, word: str) -> Array:
        if len(self) >= _CACHED_WORDS:
            self.clear()
        found: Array = self._vectors[buckets(word, len(self._vectors))].sum(0)
        self[word] = found
        return found


class WindowNetwork:
    """Computes P(style) of a word from the words around it.

    Args:
        vectors: A vector for each feature, and two for places without a word,
            [features, dimensions].
        layers: Weights [outputs, inputs] and biases [outputs] of each layer, the first one for
            the `LEFT + 1 + RIGHT` vectors of a window, one after the other; the last has one
            output. Between them are rectifiers.

    Attributes:
        words: The vector of each word, [dimensions]; see `features`.
        not_written: The vector of a place after the last word, [dimensions].
        before_text: The vector of a place before the first word, [dimensions].

    Raises:
        ValueError: The shapes do not fit together, or a weight is not finite.
    """

    def __init__(self, vectors: Array, layers: Sequence[tuple[Array, Array]]) -> None:
        sizes = [(LEFT + 1 + RIGHT) * vectors.shape[-1], *(len(bias) for _, bias in layers)]
        shapes = [weights.shape for weights, _ in layers]
        fitting = [(after, before) for before, after in pairwise(sizes)]
        if vectors.ndim != 2 or sizes[-1] != 1 or shapes != fitting:
            raise ValueError(f"vectors of {vectors.shape} do not fit layers of {shapes}")
        if len(vectors) <= FIRST_FEATURE:
            raise ValueError(f"{len(vectors)} vectors are too few")
        if not all(np.isfinite(a).all() for a in (vectors, *(a for pair in layers for a in pair))):
            raise ValueError("a weight is no finite number")
        vectors = vectors.astype(np.float32)
        *self._layers, (last, bias) = [
            (np.ascontiguousarray(weights, np.float32), added.astype(np.float32))
            for weights, added in layers
        ]
        self._last, self._bias = last[0], float(bias[0])
        self.words = _WordVectors(vectors)
        self.not_written, self.before_text = vectors[NOT_WRITTEN], vectors[BEFORE_TEXT]

    def style(self, window: Sequence[Array]) -> float:
        """P(style) of a word.

        Args:
            window: The vectors of the words around it, [LEFT + 1 + RIGHT][dimensions].
        """
        hidden = np.concatenate(window)
        for weights, bias in self._layers:
            hidden = weights @ hidden
            hidden += bias
            np.maximum(hidden, 0, out=hidden)
        odds: float = float(self._last @ hidden) + self._bias
        return 1 / (1 + math.exp(-max(odds, -700.0)))


class WindowPredictor:
    """A predictor and scorer; see `tessy.boundary.protocol`.

    Args:
        name: The name in the records.
        network: Gives P(style) of words.
        settings: How these are read.
    """

    batched = False

    def __init__(self, name: str, network: WindowNetwork, settings: WindowSettings) -> None:
        self.name = name
        self.settings = settings
        self._network = network

    def judge(self, passages: Sequence[Passage]) -> list[Judgement]:
        """Judge passages, one after the other; see `Predictor.judge`."""
        return [self._judge(passage) for passage in passages]

    def style(self, passages: Sequence[Passage]) -> list[list[float]]:
        """P(style) of each unit of each text; see `Scorer.style`."""
        return [
            list(self._scores(passage.context, passage.text, units(passage.text)))
            for passage in passages
        ]

    def _judge(self, passage: Passage) -> Judgement:
        begin, settings = passage.judged, self.settings
        rest = passage.text[begin:]
        words = complete(rest, units(rest), final=passage.final)
        before = passage.text[:begin]
        if begin < _LEFT_CHARACTERS:
            before = passage.context[-_LEFT_CHARACTERS - 1 :] + before
        scores = self._scores(before, rest, words)
        threshold = settings.thresholds.of(passage.role)
        return decide(passage, words, scores, threshold, settings.unsure)

    def _scores(self, before: str, text: str, words: Sequence[Unit]) -> Iterator[float]:
        """P(style) of words, one after the other; NaN for one that is empty.

        Args:
            before: What precedes the text.
            text: The text.
            words: Its words; those after a word are the ones that it may look at.
        """
        network, vectors = self._network, self._network.words
        before = before[-_LEFT_CHARACTERS - 1 :]
        written = [vectors[word] for word in with_breaks(text, words)]
        written += [network.not_written] * RIGHT
        at = 0
        for word in words:
            if word.word_start == word.word_end:
                yield math.nan
                continue
            left, begins = words_before(before + text[: word.word_start])
            window = [network.before_text] * (LEFT - len(left))
            window += map(vectors.__getitem__, left)
            window += written[at : at + 1 + RIGHT]
            if begins and not at:  # it begins a line that was not in the text
                window[LEFT] = vectors[_NEW_LINE + text[word.word_start : word.word_end]]
            at += 1
            yield network.style(window)


def with_breaks(text: str, words: Sequence[Unit]) -> Iterator[str]:
    r"""The words that are not empty, each with a `\n` before it if it begins a line of the text."""
    end = 0
    for word in words:
        if word.word_start < word.word_end:
            breaks = _NEW_LINE if _NEW_LINE in text[end : word.word_start] else ""
            yield breaks + text[word.word_start : word.word_end]
            end = word.word_end


def load(folder: Path, *, name: str = "") -> WindowPredictor:
    """Load a predictor from a folder.

    Args:
        folder: The folder, with `window.npz` and `predictor.json`.
        name: The name in the records; by default `window:` and the folder.

    Raises:
        ConfigError: A file is missing or broken.
    """
    if not folder.is_dir():
        raise ConfigError(f"window:{folder}: no such folder", hint=_HINT)
    for file in (MODEL_FILE, SETTINGS_FILE):
        if not (folder / file).is_file():
            raise ConfigError(f"window:{folder}: there is no {file} in it", hint=_HINT)
    try:
        settings = WindowSettings.model_validate_json((folder / SETTINGS_FILE).read_bytes())
    except ValidationError as error:
        raise ConfigError(explain(error, folder / SETTINGS_FILE)) from None
    try:
        network = _read(folder / MODEL_FILE)
    except Exception as error:  # a broken file may raise anything
        raise ConfigError(f"{folder / MODEL_FILE}: {error}", hint=_HINT) from None
    return WindowPredictor(name or f"window:{folder}", network, settings)


def _read(path: Path) -> WindowNetwork:
    """Read the arrays `vectors`, `weights0`, `bias0`, `weights1` and so on."""
    with np.load(path, allow_pickle=False) as arrays:
        layers = (len(arrays.files) - 1) // 2
        return WindowNetwork(
            arrays["vectors"],
            [(arrays[f"weights{n}"], arrays[f"bias{n}"]) for n in range(layers)],
        )


def write(path: Path, vectors: Array, layers: Sequence[tuple[Array, Array]]) -> None:
    """Write the arrays of a network in half precision; see `WindowNetwork`."""
    named: dict[str, Any] = {"vectors": vectors}
    for number, (weights, bias) in enumerate(layers):
        named |= {f"weights{number}": weights, f"bias{number}": bias}
    np.savez_compressed(path, **{name: array.astype(np.float16) for name, array in named.items()})
