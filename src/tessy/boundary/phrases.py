"""The phrases of `lexicon.toml`, compiled into automata that read words."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib import resources

from tessy.boundary.lexemes import Glued


class Place(StrEnum):
    """Where a phrase may start."""

    ANYWHERE = "anywhere"
    INITIAL = "initial"
    """At the start of a text, line or sentence, or after a style word."""
    FOLLOWING = "following"
    """Right after a style word, with no punctuation in between."""


@dataclass(eq=False, slots=True)
class _Node:
    """A state of the automaton of phrases.

    Attributes:
        edges: Where a word leads to.
        ends: The punctuation behind the word that led here with which a phrase is complete.
    """

    edges: dict[str, list[_Node]] = field(default_factory=dict)
    ends: frozenset[Glued] = frozenset()

    def absorb(self, other: _Node) -> None:
        """Do also what another node does."""
        for word, targets in other.edges.items():
            self.edges.setdefault(word, []).extend(targets)
        self.ends |= other.ends


@dataclass(frozen=True, slots=True)
class Phrases:
    """The phrases of the data file, compiled."""

    roots: dict[Place, _Node]
    vocabulary: frozenset[str]
    beginnings: frozenset[str]
    """What a word of the vocabulary may begin with, all of it included."""

    def starts(self, *, initial: bool, following: bool) -> list[_Node]:
        """Where phrases begin at a word.

        Args:
            initial: It is the first of a text, line or sentence, or behind a style word.
            following: It is right behind a style word, without punctuation in between.
        """
        nodes = [self.roots[Place.ANYWHERE]]
        if initial:
            nodes.append(self.roots[Place.INITIAL])
        if following:
            nodes.append(self.roots[Place.FOLLOWING])
        return nodes


Element = tuple[list[list[str]], bool]
"""Alternatives, each some words, and whether there may be none of them."""

_ELEMENT = re.compile(r"\([^)]*\)|\[[^\]]*\]|[^\s([]+")
_SET = re.compile(r"\{(.+?)\}")
_ENDS = {
    "": frozenset(Glued),
    ",": frozenset(Glued) - {Glued.NONE},
    "?": frozenset({Glued.QUESTION}),
}


def read_phrases() -> Iterator[tuple[Place, list[Element], str]]:
    """Read `lexicon.toml`, whose head explains its notation.

    Yields:
        For each phrase its place, its elements, and the punctuation that it needs ("" if none).
    """
    data = tomllib.loads(resources.files(__package__).joinpath("lexicon.toml").read_text("utf-8"))
    sets: dict[str, str] = {}
    for name, words in data["sets"].items():
        sets[name] = "|".join(_SET.sub(lambda found: sets[found[1]], word) for word in words)
    for group in data["group"]:
        for phrase in group["phrases"]:
            mark = phrase[-1] if phrase[-1] in ",?" else ""
            pattern = _SET.sub(lambda found: sets[found[1]], phrase.removesuffix(mark))
            yield Place(group["place"]), list(_elements(pattern)), mark


def _elements(pattern: str) -> Iterator[Element]:
    for found in _ELEMENT.finditer(pattern):
        alternatives = found[0].strip("()[]").split("|")
        yield [alternative.split() for alternative in alternatives], found[0].startswith("[")


@cache
def lexicon() -> Phrases:
    """The phrases of the data file."""
    roots = {place: _Node() for place in Place}
    vocabulary: set[str] = set()
    for place, elements, mark in read_phrases():
        roots[place].absorb(_automaton(elements, _Node(ends=_ENDS[mark])))
        vocabulary.update(word for choices, _ in elements for words in choices for word in words)
    beginnings = (word[:size] for word in vocabulary for size in range(1, len(word) + 1))
    return Phrases(roots, frozenset(vocabulary), frozenset(beginnings))


def _automaton(elements: Sequence[Element], end: _Node) -> _Node:
    """The node from which the words of the elements lead to `end`."""
    target = end
    for alternatives, optional in reversed(elements):
        entry = _Node()
        for words in alternatives:
            node = target
            for word in reversed(words):
                node = _Node(edges={word: [node]})
            entry.absorb(node)
        if optional:
            entry.absorb(target)
        target = entry
    return target
