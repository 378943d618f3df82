"""Words: the units that a seam between two authors never splits.

Seams are at word boundaries: a cut keeps whole words, spaces go with the word after them, and
newlines stay with the text before them. A *unit* is one word with the spaces before it and the
newlines after it; joined units are the text. Scripts written without spaces (Chinese, Japanese,
Thai, …) would make one endless word, so in them each character, with its combining marks, is a
word. A run of `LONGEST_WORD` characters without a space is split, so that every word ends; a split
is never before a combining mark, a joiner or a variation selector.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

LONGEST_WORD = 200
"""Characters after which a run without spaces is split."""

# Scripts without spaces between words: Thai to Myanmar, Khmer, kana, CJK ideographs, and the
# full-width punctuation used with them. Hangul is written with spaces and is not here.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uff65\U00020000-\U0003ffff"
)
# Characters that stay with the one before them: combining marks, joiners, variation selectors,
# skin tones, tag characters, vowel signs of the unspaced scripts.
_EXTEND = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0e31\u0e34-\u0e3a"
    "\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ecd\u102b-\u103e\u17b4-\u17d3\u1ab0-\u1aff"
    "\u1dc0-\u1dff\u200c\u200d\u20d0-\u20ff\u302a-\u302f\u3099\u309a\ufe00-\ufe0f\ufe20-\ufe2f"
    "\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f\U000e0100-\U000e01ef"
)
# `_UNSPACED` without `_EXTEND`, spelt out: this matches several times faster than a look-ahead
# before each character (test_words.py compares the two).
_ALONE = (
    "\u0e00-\u0e30\u0e32\u0e33\u0e3b-\u0e46\u0e4f-\u0eb0\u0eb2\u0eb3\u0ebd-\u0ec7\u0ece-\u0eff"
    "\u1000-\u102a\u103f-\u109f\u1780-\u17b3\u17d4-\u17ff\u3000-\u3029\u3030-\u3098\u309b-\u30ff"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uff65\U00020000-\U0003ffff"
)
_WORD = rf"(?:[{_ALONE}]|[^\s{_ALONE}]{{1,{LONGEST_WORD}}})[{_EXTEND}]*"
_UNIT = re.compile(rf"(?P<blanks>\s*?)(?P<word>{_WORD})(?P<after>(?:\s*\n)?)")
_OPEN_WORD = re.compile(rf"\s*[^\s{_UNSPACED}{_EXTEND}]{{1,{LONGEST_WORD}}}")
_LEADING = re.compile(r"\s*\n")
_JOINED = re.compile(rf"\S[{_EXTEND}]|(?:[^\W{_UNSPACED}]|[{_EXTEND}])[^\W{_UNSPACED}]")
_PLAIN = re.compile(rf"[^\W{_UNSPACED}]+|\w")
_PROSE = re.compile(r"[\"'“‘(*]*(?:[aAI]|[^\W\d_]{2,}(?:['’-][^\W\d_]+)*)[.,;:!?…\"'”’)*]*")


class Unit(NamedTuple):
    """One word of a text, by half-open character offsets into it.

    `start <= word_start <= word_end <= end`: spaces, the word, and the newlines after it.
    If a text begins with newlines, they are a first unit whose word is empty.
    """

    start: int
    word_start: int
    word_end: int
    end: int


def units(text: str) -> list[Unit]:
    """Cut `text` into units; they are adjacent and cover all of it except spaces at its end.

    Args:
        text: Any text that starts right after a word or at the very beginning.

    Returns:
        Units in order. White space after the last word without a newline belongs to the next word
        and is not covered.
    """
    found: list[Unit] = []
    position = 0
    if leading := _LEADING.match(text):
        position = leading.end()
        found.append(Unit(0, 0, 0, position))
    while match := _UNIT.match(text, position):
        start, position = match.span()
        found.append(Unit(start, *match.span("word"), position))
    return found


def complete(text: str, found: list[Unit], *, final: bool) -> list[Unit]:
    """The units of `text` whose word is complete: no text that follows can lengthen it.

    Args:
        text: The text.
        found: `units(text)`.
        final: No text will follow.

    Returns:
        All units if `final` or if white space follows the last word; otherwise all but the last.
    """
    if final or not found or found[-1].word_end < len(text):
        return found
    return found[:-1]


def start_of_word(words: Sequence[Unit], at: int | None) -> int | None:
    """The start of the unit whose word an offset is in, or before; None if there is none."""
    if at is None:
        return None
    for word in words:
        if at < word.end and word.word_end > word.word_start:
            return word.start
    return None


def joins_words(before: str, after: str) -> bool:
    """Whether two texts, side by side, would make one word out of two.

    In scripts with spaces they do if a letter, digit or underscore meets another one; in all
    scripts if the second text begins with a mark that belongs to the character before it.
    """
    return _JOINED.match(before[-1:] + after[:1]) is not None


def is_one_open_word(text: str, start: int) -> bool:
    """Whether `text[start:]` is a single word that may still grow; faster than `units`.

    Args:
        text: Any text.
        start: An offset right after a unit.
    """
    return _OPEN_WORD.fullmatch(text, start) is not None


def plain(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation, for comparing texts."""
    return _PLAIN.findall(text.lower())


def is_neutral(word: str) -> bool:
    """Whether a word is only punctuation or emoji: no letters, digits, code or formula."""
    return not any(
        char.isalnum() or char in "`$\\" or unicodedata.category(char) in ("Sm", "Sc")
        for char in word
    )


def is_prose(word: str) -> bool:
    """Whether a word is of letters: no digits, formula, code or name of a variable."""
    return _PROSE.fullmatch(word) is not None
