"""Words as the lexicon looks them up: in small letters, their punctuation apart."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from tessy.method.words import Unit, is_neutral

BEFORE_WORD = '([{"“«*…—–-'
BEHIND_WORD = '.,;:!?)]}"”»*…—–-'
PLAIN = str.maketrans({"’": "'", "‑": "-"})
_ABBREVIATIONS = ("e.g", "i.e")  # without the last point, which ends no sentence
_FACTORIAL = re.compile(r"\d$|^\w$")  # "3!" and "n!" end no sentence either
SHOWN = "`"
"""The key of a word in code, a quote or a formula."""


class Glued(StrEnum):
    """The punctuation that ends a word, as far as it matters."""

    NONE = "none"
    CLAUSE = "clause"
    SENTENCE = "sentence"
    QUESTION = "question"


class Lexeme(NamedTuple):
    """A word to be judged.

    Attributes:
        start: Offset of its first character.
        end: Offset behind its last character.
        key: What to look it up by: lower-case, without punctuation. "" if it is neutral.
        opens: It starts with punctuation, so that no phrase goes on with it.
        glued: The punctuation that ends it.
        new_line: A new line follows.
    """

    start: int
    end: int
    key: str
    opens: bool
    glued: Glued
    new_line: bool

    @property
    def ends_sentence(self) -> bool:
        """Whether a sentence or line ends with it."""
        return self.new_line or self.glued in (Glued.SENTENCE, Glued.QUESTION)

    @property
    def ends_phrase(self) -> bool:
        """Whether no phrase goes on behind it."""
        return self.new_line or self.glued is not Glued.NONE


def lexemes(text: str, offset: int, found: Iterable[Unit]) -> list[Lexeme]:
    """Look at the words of `text`, which starts at `offset`."""
    words = []
    for unit in found:
        if unit.word_start < unit.word_end:
            key, opens, glued = read(text[unit.word_start : unit.word_end])
            start, end = offset + unit.word_start, offset + unit.word_end
            words.append(Lexeme(start, end, key, opens, glued, unit.end > unit.word_end))
    return words


@lru_cache(maxsize=1 << 14)
def read(word: str) -> tuple[str, bool, Glued]:
    """The key of a word, whether it opens with punctuation, and what it ends with."""
    rest = word.lstrip(BEFORE_WORD)
    core = rest.rstrip(BEHIND_WORD)
    key = "" if is_neutral(word) else core.lower().translate(PLAIN) or SHOWN
    opens = len(rest) < len(word) and not word.startswith("*")
    behind = rest[len(core) :]
    if key in _ABBREVIATIONS or (_FACTORIAL.search(core) and behind.startswith("!")):
        behind = behind[1:]
    return key, opens, _glued(behind)


def _glued(punctuation: str) -> Glued:
    if not punctuation.strip("*"):  # "**Wait** a moment"
        return Glued.NONE
    if "?" in punctuation:
        return Glued.QUESTION
    return Glued.SENTENCE if set(punctuation) & set(".!…") else Glued.CLAUSE


def without_shown(stretches: Iterable[tuple[int, int]], words: list[Lexeme]) -> list[Lexeme]:
    """Give the words in code, quotes and formulas a key that is in no phrase."""
    shown = iter(stretches)
    nothing = (sys.maxsize, sys.maxsize)
    start, end = next(shown, nothing)
    result = []
    for word in words:
        while end <= word.start:
            start, end = next(shown, nothing)
        result.append(word._replace(key=SHOWN) if start < word.end and word.key else word)
    return result
