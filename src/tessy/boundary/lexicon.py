"""The `lexicon` predictor: discourse markers, fillers and hedges are style, the rest capability.

How a word is judged, from left to right:

    words.units   cut the text into words
    verbatim      words in code, quotes and formulas are capability, whatever they are
    lexicon.toml  the longest phrase of the data file that starts at a word makes all its words
                  style; a word that starts none is capability
    neutral       a word of punctuation or emoji only takes the kind of the word before and
                  never makes a boundary

The data file says what counts as a phrase, where one may start, and where each group is from.
A phrase never crosses punctuation or a new line, so a comma decides at once.

*Stable judgement*, tested under that name: a word's kind depends on the text before it and on at
most `LONGEST_PHRASE - 1` complete words after it. While a phrase may still go on (a "let" that
may become "let me see") its undecided words are not judged, so what was judged once never
changes when more text comes, nor with the place where text is split into context and passage.

Not covered: languages other than English (all capability), markers glued to other words by a
dash without blanks ("no—wait"), and style that is not made of known phrases.
"""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, lru_cache
from importlib import resources
from typing import NamedTuple

from tessy.boundary.protocol import Judgement, Passage
from tessy.boundary.verbatim import stretches
from tessy.trajectory import Role
from tessy.words import Unit, complete, is_neutral, units

LONGEST_PHRASE = 8
"""Words of the longest phrase; at most one less is left undecided (`turns.LOOKAHEAD_WORDS`)."""

_WINDOW = 96
"""Characters of context to start from; more are taken when they do not settle the state."""


class LexiconPredictor:
    """Judges words by the phrases of `lexicon.toml`; see `tessy.boundary.protocol.Predictor`."""

    name = "lexicon"
    batched = False

    def judge(self, passages: Sequence[Passage]) -> Sequence[Judgement]:
        """Judge passages of unrelated trajectories; one judgement each, in order."""
        return [_judge(passage) for passage in passages]


def spans(text: str) -> list[tuple[int, int]]:
    """The style of a whole text.

    Args:
        text: Thinking from its first character.

    Returns:
        Half-open character offsets of the longest runs of style words, in order. Blanks and
        neutral words between two style words are inside; a run does not start with a neutral
        word nor end with one on a line of its own, such as the mark of a list.
    """
    words = _without_shown(text, _words(text, 0, units(text)))
    found: list[tuple[int, int]] = []
    kept = False  # no capability word since the last span
    gap = False  # nor a new line
    for word, kind in zip(words, _kinds(words, _State(), final=True), strict=True):
        if kind is not Kind.STYLE:
            kept = False
        elif kept and (word.key or not gap):
            found[-1] = (found[-1][0], word.end)
            gap = word.new_line
        elif word.key:
            found.append((word.start, word.end))
            kept, gap = True, word.new_line
    return found


class Kind(StrEnum):
    """What a word is."""

    STYLE = "style"
    CAPABILITY = "capability"


class Place(StrEnum):
    """Where a phrase may start."""

    ANYWHERE = "anywhere"
    INITIAL = "initial"
    """At the start of a text, line or sentence, or after a style word."""
    FOLLOWING = "following"
    """Right after a style word, with no punctuation in between."""


class _Glued(StrEnum):
    """The punctuation that ends a word, as far as it matters."""

    NONE = "none"
    CLAUSE = "clause"
    SENTENCE = "sentence"
    QUESTION = "question"


class _Word(NamedTuple):
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
    glued: _Glued
    new_line: bool

    @property
    def ends_sentence(self) -> bool:
        return self.new_line or self.glued in (_Glued.SENTENCE, _Glued.QUESTION)

    @property
    def ends_phrase(self) -> bool:
        return self.new_line or self.glued is not _Glued.NONE


@dataclass(slots=True)
class _State:
    """What the words before a word mean for it."""

    kind: Kind | None = None
    initial: bool = True
    following: bool = False

    def advance(self, word: _Word, kind: Kind) -> None:
        """Move behind a word."""
        self.kind = kind
        self.initial = kind is Kind.STYLE or word.ends_sentence
        self.following = kind is Kind.STYLE and not word.ends_phrase

    def skip(self, word: _Word) -> None:
        """Move behind a neutral word."""
        self.initial = self.initial or word.ends_sentence
        self.following = False


# --- Judging ------------------------------------------------------------------------------------


def _judge(passage: Passage) -> Judgement:
    found = complete(passage.text, units(passage.text), final=passage.final)
    if not found:
        return Judgement(None, 0)
    offset = len(passage.context)
    past, state = _past(passage.context)
    if found[0].word_start == found[0].word_end:  # the text starts with a new line
        if past:
            past[-1] = past[-1]._replace(new_line=True)
        else:
            state.initial, state.following = True, False
    words = past + _words(passage.text, offset, found)
    words = _without_shown(passage.context + passage.text, words)
    kinds = _kinds(words, state, final=passage.final)
    other = Kind.CAPABILITY if passage.role is Role.STUDENT else Kind.STYLE
    settled = 0
    for word, kind in itertools.islice(zip(words, kinds, strict=False), len(past), None):
        if kind is other and word.key:
            return Judgement(word.start - offset, word.start - offset)
        settled = word.end - offset
    return Judgement(None, settled)


def _past(context: str) -> tuple[list[_Word], _State]:
    """The last words of a context, and the state before them.

    They start behind a word that is in no phrase: it is capability, whatever precedes it.
    """
    vocabulary = _lexicon().vocabulary
    start, window = len(context), _WINDOW
    words: list[_Word] = []
    while start > 0:
        start = _word_gap(context, len(context) - window)
        words = _words(context[start:], start, units(context[start:]))
        for at in range(len(words) - 1, -1, -1):
            if words[at].key and words[at].key not in vocabulary:
                state = _State()
                state.advance(words[at], Kind.CAPABILITY)
                return words[at + 1 :], state
        window *= 4
    return words, _State()


def _word_gap(text: str, at: int) -> int:
    """The last offset up to `at` that certainly lies between two words; 0 if there is none."""
    while at > 0 and not (text[at].isspace() or "\u4e00" <= text[at] <= "\u9fff"):
        at -= 1
    return max(at, 0)


def _kinds(words: Sequence[_Word], state: _State, *, final: bool) -> Iterator[Kind | None]:
    """The kinds of words, up to the first that more text may still change.

    Args:
        words: Words, of which those that are shown have a key that is in no phrase.
        state: The state before them; it is moved on.
        final: Nothing will follow.

    Yields:
        A kind for each word; None for a neutral one with no word before it.
    """
    at = 0
    while at < len(words):
        if not words[at].key:
            yield state.kind
            state.skip(words[at])
            at += 1
            continue
        length, still_open = _longest_phrase(words, at, state, final=final)
        if length == 0 and still_open:
            return
        kind = Kind.STYLE if length else Kind.CAPABILITY
        for word in words[at : at + max(length, 1)]:
            state.advance(word, kind)
            yield kind
        if still_open:
            return
        at += max(length, 1)


def _longest_phrase(
    words: Sequence[_Word], at: int, state: _State, *, final: bool
) -> tuple[int, bool]:
    """How many words from `at` on are a phrase, and whether a longer one may still come."""
    if words[at].key not in _lexicon().vocabulary:
        return 0, False
    length = 0
    nodes = _lexicon().starts(state)
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


# --- Words --------------------------------------------------------------------------------------

_BEFORE_WORD = '([{"“«*…—–-'
_BEHIND_WORD = '.,;:!?)]}"”»*…—–-'
_PLAIN = str.maketrans({"’": "'", "‑": "-"})
_ABBREVIATIONS = ("e.g", "i.e")  # without the last point, which ends no sentence
_FACTORIAL = re.compile(r"\d$|^\w$")  # "3!" and "n!" end no sentence either
_SHOWN = "`"
"""The key of a word in code, a quote or a formula."""


def _words(text: str, offset: int, found: Iterable[Unit]) -> list[_Word]:
    """Look at the words of `text`, which starts at `offset`."""
    words = []
    for unit in found:
        if unit.word_start < unit.word_end:
            read = _read(text[unit.word_start : unit.word_end])
            start, end = offset + unit.word_start, offset + unit.word_end
            words.append(_Word(start, end, *read, unit.end > unit.word_end))
    return words


@lru_cache(maxsize=1 << 14)
def _read(word: str) -> tuple[str, bool, _Glued]:
    """The key of a word, whether it opens with punctuation, and what it ends with."""
    rest = word.lstrip(_BEFORE_WORD)
    core = rest.rstrip(_BEHIND_WORD)
    key = "" if is_neutral(word) else core.lower().translate(_PLAIN) or _SHOWN
    opens = len(rest) < len(word) and not word.startswith("*")
    behind = rest[len(core) :]
    if key in _ABBREVIATIONS or (_FACTORIAL.search(core) and behind.startswith("!")):
        behind = behind[1:]
    return key, opens, _glued(behind)


def _glued(punctuation: str) -> _Glued:
    if not punctuation.strip("*"):  # "**Wait** a moment"
        return _Glued.NONE
    if "?" in punctuation:
        return _Glued.QUESTION
    return _Glued.SENTENCE if set(punctuation) & set(".!…") else _Glued.CLAUSE


def _without_shown(text: str, words: list[_Word]) -> list[_Word]:
    """Give the words in code, quotes and formulas a key that is in no phrase."""
    if not words:
        return words
    shown = iter(stretches(text, words[0].start))
    start, end = next(shown, (len(text), len(text)))
    result = []
    for word in words:
        while end <= word.start:
            start, end = next(shown, (len(text), len(text) + 1))
        result.append(word._replace(key=_SHOWN) if start < word.end and word.key else word)
    return result


# --- The data file ------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class _Node:
    """A state of the automaton of phrases.

    Attributes:
        edges: Where a word leads to.
        ends: The punctuation behind the word that led here with which a phrase is complete.
    """

    edges: dict[str, list[_Node]] = field(default_factory=dict)
    ends: frozenset[_Glued] = frozenset()

    def absorb(self, other: _Node) -> None:
        """Do also what another node does."""
        for word, targets in other.edges.items():
            self.edges.setdefault(word, []).extend(targets)
        self.ends |= other.ends


@dataclass(frozen=True, slots=True)
class _Lexicon:
    """The phrases of the data file, compiled."""

    roots: dict[Place, _Node]
    vocabulary: frozenset[str]

    def starts(self, state: _State) -> list[_Node]:
        nodes = [self.roots[Place.ANYWHERE]]
        if state.initial:
            nodes.append(self.roots[Place.INITIAL])
        if state.following:
            nodes.append(self.roots[Place.FOLLOWING])
        return nodes


Element = tuple[list[list[str]], bool]
"""Alternatives, each some words, and whether there may be none of them."""

_ELEMENT = re.compile(r"\([^)]*\)|\[[^\]]*\]|[^\s([]+")
_SET = re.compile(r"\{(.+?)\}")
_ENDS = {
    "": frozenset(_Glued),
    ",": frozenset(_Glued) - {_Glued.NONE},
    "?": frozenset({_Glued.QUESTION}),
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
def _lexicon() -> _Lexicon:
    roots = {place: _Node() for place in Place}
    vocabulary: set[str] = set()
    for place, elements, mark in read_phrases():
        roots[place].absorb(_automaton(elements, _Node(ends=_ENDS[mark])))
        vocabulary.update(word for choices, _ in elements for words in choices for word in words)
    return _Lexicon(roots, frozenset(vocabulary))


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
