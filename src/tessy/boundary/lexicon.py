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
So every boundary is `sure` while text may follow, and a student's may lie at a word that is still
growing: letters that begin no word of the vocabulary are capability whatever they become.

Not covered: languages other than English (all capability), markers glued to other words by a
dash without blanks ("no—wait"), and style that is not made of known phrases.
"""

from __future__ import annotations

import itertools
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache, lru_cache
from importlib import resources
from typing import NamedTuple, TypeVar

from tessy.boundary.protocol import Judgement, Passage
from tessy.boundary.verbatim import stretches, stretches_from
from tessy.trajectory import Role
from tessy.words import Unit, complete, is_neutral, units

LONGEST_PHRASE = 8
"""Words of the longest phrase; at most one less is left undecided (`turns.LOOKAHEAD_WORDS`)."""

_WINDOW = 96
"""Characters of context to start from; more are taken when they do not settle the state."""


_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class LexiconPredictor:
    """Judges words by the phrases of `lexicon.toml`; see `tessy.boundary.protocol.Predictor`."""

    name = "lexicon"
    batched = False
    eager = True

    def __init__(self) -> None:
        self._memory = _Memory()

    def judge(self, passages: Sequence[Passage]) -> Sequence[Judgement]:
        """Judge passages of unrelated trajectories; one judgement each, in order."""
        return [_judge(passage, self._memory) for passage in passages]


def spans(text: str) -> list[tuple[int, int]]:
    """The style of a whole text.

    Args:
        text: Thinking from its first character.

    Returns:
        Half-open character offsets of the longest runs of style words, in order. Blanks and
        neutral words between two style words are inside; a run does not start with a neutral
        word nor end with one on a line of its own, such as the mark of a list.
    """
    words = _without_shown(stretches(text), _words(text, 0, units(text)))
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
    """What the words before a word mean for it, and how many of those given they are."""

    kind: Kind | None = None
    initial: bool = True
    following: bool = False
    at: int = 0

    def advance(self, word: _Word, kind: Kind) -> None:
        """Move behind a word."""
        self.kind = kind
        self.initial = kind is Kind.STYLE or word.ends_sentence
        self.following = kind is Kind.STYLE and not word.ends_phrase
        self.at += 1

    def skip(self, word: _Word) -> None:
        """Move behind a neutral word."""
        self.initial = self.initial or word.ends_sentence
        self.following = False
        self.at += 1

    def break_line(self) -> None:
        """Learn that the word before is followed by a new line."""
        self.initial, self.following = True, False


class _Bookmark(NamedTuple):
    """How far a text is judged, and all that is needed to go on from there.

    Attributes:
        text: What was there, of which everything else here holds.
        end: Behind the last complete word of the text.
        settled: As in `Judgement`.
        words: The last words up to `end`, from the first whose kind more text may change; offsets
            count from the start of the context, in which they may lie.
        state: The state before them.
        outside: Where to look for code, quotes and formulas from; see `verbatim.stretches_from`.
    """

    context: str
    text: str
    end: int
    settled: int
    words: Sequence[_Word]
    state: _State
    outside: int


# --- Judging ------------------------------------------------------------------------------------


def _judge(passage: Passage, memory: _Memory) -> Judgement:
    """Judge a passage, from where the last look at the same text has ended if that is known."""
    mark = memory.recall(passage) or _begin(passage.context, memory)
    new, offset = passage.text[mark.end :], len(passage.context)
    cut = units(new)
    found = complete(new, cut, final=passage.final)
    known, state = list(mark.words), replace(mark.state)
    if found and found[0].word_start == found[0].word_end:  # it goes on with a new line
        if known:
            known[-1] = known[-1]._replace(new_line=True)
        else:
            state.break_line()
    fresh = _words(new, offset + mark.end, found)
    shown = _shown_from(passage.context, passage.text, mark.outside) if fresh else []
    words = known + _without_shown(shown, fresh)
    boundary, settled = _first_other(passage, words, state)
    if boundary is not None:
        return Judgement(boundary, boundary, sure=not passage.final)
    settled = max(settled, mark.settled)
    rest, state = words[state.at :], replace(state, at=0)
    outside = mark.outside
    if fresh and not passage.final:
        end = fresh[-1].end - offset
        outside = _move(passage, end, shown, outside)
        memory.keep(
            passage,
            _Bookmark(passage.context, passage.text, end, settled, rest, replace(state), outside),
        )
    if len(found) < len(cut) and passage.role is Role.STUDENT:
        growing = _growing(passage, mark.end + cut[-1].word_start, outside)
        boundary, _ = _first_other(passage, [*rest, *growing], state)
    return Judgement(boundary, settled if boundary is None else boundary, boundary is not None)


def _first_other(passage: Passage, words: Sequence[_Word], state: _State) -> tuple[int | None, int]:
    """The boundary among some words, of which the first may be the context's, or how far it is not.

    Both count from the start of the text. The state moves as `_kinds` says.
    """
    other = Kind.CAPABILITY if passage.role is Role.STUDENT else Kind.STYLE
    offset, settled = len(passage.context), 0
    for kind, word in zip(_kinds(words, state, final=passage.final), words, strict=False):
        if word.start >= offset:
            if kind is other and word.key:
                return word.start - offset, settled
            settled = word.end - offset
    return None, settled


def _growing(passage: Passage, start: int, outside: int) -> list[_Word]:
    """The word at the end of a text that is not complete, if it is capability whatever it becomes.

    It is if its letters begin no word of any phrase, or if it lies in code, a quote or a formula
    that began before it. A word that is only punctuation so far may stay neutral.
    """
    word, at = passage.text[start:], len(passage.context) + start
    if is_neutral(word):
        return []
    rest = word.lstrip(_BEFORE_WORD)
    core = rest.rstrip(_BEHIND_WORD).lower().translate(_PLAIN)
    if not core or core in _lexicon().beginnings:
        shown = _shown_from(passage.context, passage.text, outside)
        if not any(first < at < end for first, end in shown):
            return []
    opens = _read(word)[1]
    return [_Word(at, at + len(word), _SHOWN, opens, _Glued.NONE, new_line=False)]


def _begin(context: str, memory: _Memory) -> _Bookmark:
    """Where to start with a text of which nothing is known: within its context."""
    past, state = _past(context)
    outside = memory.outside(context, past[0].start if past else len(context))
    shown = _shown_from(context, "", outside) if past else []
    return _Bookmark(context, "", 0, 0, _without_shown(shown, past), state, outside)


def _shown_from(context: str, text: str, outside: int) -> list[tuple[int, int]]:
    """Code, quotes and formulas behind a place that is in none, counted from the context."""
    start = max(outside - 1, 0)
    part = text[start - len(context) :] if start >= len(context) else context[start:] + text
    return [(a + start, b + start) for a, b in stretches_from(part, outside - start)]


def _move(passage: Passage, end: int, shown: list[tuple[int, int]], outside: int) -> int:
    """The place to look for stretches from when what is before `end` is judged."""
    at = len(passage.context) + end
    covered = any(start < at < stop for start, stop in shown)
    return at if _is_gap(passage.text[end]) and not covered else outside


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
                return words[at + 1 :], replace(state, at=0)
        window *= 4
    return words, _State()


def _word_gap(text: str, at: int) -> int:
    """The last offset up to `at` that certainly lies between two words; 0 if there is none."""
    while at > 0 and not _is_gap(text[at]):
        at -= 1
    return max(at, 0)


def _is_gap(char: str) -> bool:
    """Whether a word certainly ends before this character, or has ended before."""
    return char.isspace() or "\u4e00" <= char <= "\u9fff"


def _kinds(words: Sequence[_Word], state: _State, *, final: bool) -> Iterator[Kind | None]:
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


def _without_shown(stretches: Iterable[tuple[int, int]], words: list[_Word]) -> list[_Word]:
    """Give the words in code, quotes and formulas a key that is in no phrase."""
    shown = iter(stretches)
    nothing = (sys.maxsize, sys.maxsize)
    start, end = next(shown, nothing)
    result = []
    for word in words:
        while end <= word.start:
            start, end = next(shown, nothing)
        result.append(word._replace(key=_SHOWN) if start < word.end and word.key else word)
    return result


# --- What is remembered -------------------------------------------------------------------------

_REMEMBERED = 4096
"""Texts, and contexts, that are remembered at most; the one that was left longest is forgotten."""

_BLOCK = 4096
"""Characters of a context between two places by which it is found again; a shorter one is not."""

_TAIL = 48
"""Characters by which a text or context is found; whether it is the same is then compared."""


class _Memory:
    """Where the last looks at texts and contexts have ended, so that none is looked at again.

    It only saves time: what is remembered is used where all of the text before is the same, so no
    judgement depends on it. A trajectory has one entry of each sort, which moves on with it.
    """

    def __init__(self) -> None:
        self._texts: dict[tuple[object, ...], _Bookmark] = {}
        self._contexts: dict[tuple[int, str], tuple[str, int]] = {}

    def recall(self, passage: Passage) -> _Bookmark | None:
        """The bookmark of the last look at a text of which this one is the same, or more."""
        if not passage.judged:
            return None
        key = _key(passage, passage.judged)
        mark = self._texts.get(key)
        if mark is None or mark.context != passage.context:
            return None
        if not passage.text.startswith(mark.text):
            return None
        del self._texts[key]  # it comes back under the key of the next look
        self._keep(self._texts, key, mark)
        return mark

    def keep(self, passage: Passage, mark: _Bookmark) -> None:
        """Remember how far a text is judged, for a look that is told as much by `judged`."""
        settled = max(mark.settled, passage.judged)
        if passage.judged and settled != passage.judged:
            self._texts.pop(_key(passage, passage.judged), None)
        if settled:
            self._keep(self._texts, _key(passage, settled), mark)

    def outside(self, context: str, limit: int) -> int:
        """A place up to `limit`, mostly near it, to look for code, quotes and formulas from."""
        blocks = len(context) // _BLOCK
        known = 0
        for block in range(blocks, max(blocks - 3, 0), -1):
            before, outside = self._contexts.get(_block_key(context, block), ("", 0))
            if before and context.startswith(before):
                del self._contexts[_block_key(context, block)]
                known = outside if outside <= limit else 0
                break
        at = _outside(context, limit, known)
        if blocks:
            self._keep(self._contexts, _block_key(context, blocks), (context, at))
        return at

    @staticmethod
    def _keep(memory: dict[_Key, _Value], key: _Key, value: _Value) -> None:
        memory.pop(key, None)
        memory[key] = value
        if len(memory) > _REMEMBERED:
            del memory[next(iter(memory))]


def _key(passage: Passage, judged: int) -> tuple[object, ...]:
    tail = passage.text[max(judged - _TAIL, 0) : judged]
    return passage.role, len(passage.context), judged, tail


def _block_key(context: str, block: int) -> tuple[int, str]:
    return block, context[block * _BLOCK - _TAIL : block * _BLOCK]


def _outside(context: str, limit: int, known: int) -> int:
    """The last place up to `limit` that is fit for `verbatim.stretches_from`; `known` is one."""
    while True:
        at = min(limit, len(context) - 1)
        while at > known and not (_is_gap(context[at]) and not context[at - 1].isspace()):
            at -= 1
        if at <= known:
            return known
        shown = _shown_from(context, "", known) if known else stretches(context, at)
        covering = [start for start, end in shown if start < at < end]
        if not covering:
            return at
        limit = covering[0]


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
    beginnings: frozenset[str]
    """What a word of the vocabulary may begin with, all of it included."""

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
    beginnings = (word[:size] for word in vocabulary for size in range(1, len(word) + 1))
    return _Lexicon(roots, frozenset(vocabulary), frozenset(beginnings))


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
