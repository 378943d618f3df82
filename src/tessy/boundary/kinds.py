"""Kinds of words, from left to right: a phrase of the lexicon is style, all else capability."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tessy.boundary.lexemes import Lexeme
from tessy.boundary.phrases import lexicon


class Kind(StrEnum):
    """What a word is."""

    STYLE = "style"
    CAPABILITY = "capability"


@dataclass(slots=True)
class State:
    """What the words before a word mean for it, and how many of those given they are."""

    kind: Kind | None = None
    initial: bool = True
    following: bool = False
    at: int = 0

    def advance(self, word: Lexeme, kind: Kind) -> None:
        """Move behind a word."""
        self.kind = kind
        self.initial = kind is Kind.STYLE or word.ends_sentence
        self.following = kind is Kind.STYLE and not word.ends_phrase
        self.at += 1

    def skip(self, word: Lexeme) -> None:
        """Move behind a neutral word."""
        self.initial = self.initial or word.ends_sentence
        self.following = False
        self.at += 1

    def break_line(self) -> None:
        """Learn that the word before is followed by a new line."""
        self.initial, self.following = True, False


def kinds(words: Sequence[Lexeme], state: State, *, final: bool) -> Iterator[Kind | None]:
    """The kinds of words, up to the first that more text may still change.

    Args:
        words: Words, of which those that are shown have a key that is in no phrase.
        state: The state before them; it is moved on, but not into a phrase that may go on.
        final: Nothing will follow.

    Yields:
        A kind for each word; None for a neutral one with no word before it.
    """
    while state.at < len(words):
        at = state.at
        if not words[at].key:
            yield state.kind
            state.skip(words[at])
            continue
        length, still_open = _longest_phrase(words, at, state, final=final)
        kind = Kind.STYLE if length else Kind.CAPABILITY
        if still_open:
            yield from itertools.repeat(kind, length)
            return
        for word in words[at : at + max(length, 1)]:
            yield kind
            state.advance(word, kind)


def _longest_phrase(
    words: Sequence[Lexeme], at: int, state: State, *, final: bool
) -> tuple[int, bool]:
    """How many words from `at` on are a phrase, and whether a longer one may still come."""
    if words[at].key not in lexicon().vocabulary:
        return 0, False
    length = 0
    nodes = lexicon().starts(initial=state.initial, following=state.following)
    for index in range(at, len(words)):
        word = words[index]
        if word.opens and index > at:
            return length, False
        nodes = [target for node in nodes for target in node.edges.get(word.key, ())]
        if any(word.glued in node.ends for node in nodes):
            length = index - at + 1
        if not nodes or word.ends_phrase:
            return length, False
    return length, not final and any(node.edges for node in nodes)
