r"""The `lexicon` predictor: discourse markers, fillers and hedges are style, the rest capability.

Words are judged from left to right:

    phrases    the longest phrase of `lexicon.toml` that starts at a word makes all its words
               style; a word that starts none is capability
    verbatim   words in code, quotes and formulas are capability
    neutral    a word of punctuation or emoji takes the kind of the word before it and never makes
               a boundary

A phrase never crosses punctuation or a new line, so a comma decides at once.

*Stable judgement*, tested under that name: a word's kind depends on the text before it and on at
most `LONGEST_PHRASE - 1` complete words after it. While a phrase may still go on (a "let" that may
become "let me see") its undecided words are not judged, so a judgement holds however the text goes
on, wherever the text is split into context and passage. A student's boundary may even be at a word
that is still growing: letters that begin no word of the lexicon are capability.

*Bounded cost*: a judgement looks back to the start of the line, at most `_LINE` characters, for the
phrase that may go on; to the start of the paragraph, at most `_PARAGRAPH`, for an open quote or
formula; and `2 * LONGEST_FENCE` for open code. An opening mark that is never closed ends with its
line (quotes, `code`, $…$), with its paragraph ($$…$$, \[…\]), or at a limit.

Not covered: languages other than English (all capability), markers glued to other words by a dash
without blanks ("no—wait"), style that is not made of known phrases, code that is only indented,
and single quotation marks (they look like apostrophes).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from importlib import resources
from itertools import repeat
from typing import NamedTuple

from tessy.method.judgement import Judgement, Passage
from tessy.method.trajectory import Role
from tessy.method.words import Unit, complete, is_neutral, units

LONGEST_PHRASE = 8
"""Words of the longest phrase; at most one less stay undecided (`turns.LOOKAHEAD_WORDS`)."""
LONGEST_FENCE = 8_000
"""Characters of a code block; one that is not closed by then has ended."""
_PARAGRAPH = 2_500
_LINE = 160  # a phrase is shorter, and so are phrases that follow each other

_VERBATIM = "`"
"""The key of words in code, quotes and formulas; no phrase has it."""

# --- Words ----------------------------------------------------------------------------------------

_BEFORE_WORD = '([{"“«*…—–-'
_AFTER_WORD = '.,;:!?)]}"”»*…—–-'
_PLAIN = str.maketrans({"’": "'", "‑": "-"})
_NO_SENTENCE_END = re.compile(r"(?:e\.g|i\.e)\.|(?:.*\d|\w)!", re.IGNORECASE)  # e.g. 3! and n!


class Word(NamedTuple):
    r"""A word as the lexicon looks it up.

    Attributes:
        start: Offset of its first character.
        end: Offset after its last character.
        key: In lower case, without the punctuation around it; "" for a neutral word, `_VERBATIM`
            for one in code, a quote or a formula.
        opens: It starts with punctuation, so no phrase goes on with it.
        mark: What ends it: "?", "." for a sentence, "," for other punctuation, "\n" for a new line
            alone, or "".
    """

    start: int
    end: int
    key: str
    opens: bool
    mark: str


def _words(
    text: str, offset: int, found: Sequence[Unit], verbatim: Sequence[tuple[int, int]]
) -> list[Word]:
    """Look at the words of a text.

    Args:
        text: The text.
        offset: Where the part begins that was cut into words.
        found: The words of that part; new lines that it begins with make a neutral one.
        verbatim: Code, quotes and formulas, in offsets into `text`.
    """
    words = []
    for unit in found:
        start, end = offset + unit.word_start, offset + unit.word_end
        key, opens, mark = _look_up(text[start:end])
        if key and any(first < end and start < last for first, last in verbatim):
            key = _VERBATIM
        if unit.end > unit.word_end:
            mark = {"": "\n", ",": "."}.get(mark, mark)
        words.append(Word(start, end, key, opens, mark))
    return words


@lru_cache(maxsize=1 << 14)
def _look_up(word: str) -> tuple[str, bool, str]:
    """Key, `opens` and mark of a word."""
    rest = word.lstrip(_BEFORE_WORD)
    core = rest.rstrip(_AFTER_WORD)
    after = rest[len(core) :].replace("*", "")  # "**Wait** a moment" is one phrase
    if _NO_SENTENCE_END.fullmatch(core + after[:1]):
        after = after[1:]
    mark = "?" if "?" in after else "." if set(after) & set(".!…") else after and ","
    key = "" if is_neutral(word) else core.lower().translate(_PLAIN)
    return key, len(rest) < len(word) and word[0] != "*", mark


# --- Phrases --------------------------------------------------------------------------------------

_ELEMENT = re.compile(r"\([^)]*\)|\[[^\]]*\]|[^\s(\[]+")


class Phrase(NamedTuple):
    """A phrase of `lexicon.toml`, whose head explains the notation.

    Attributes:
        place: Where it may start: anywhere, initial or following.
        elements: Its parts in order, each the alternatives for it; an alternative is some words,
            none if the part may be left out.
        mark: The punctuation that its last word needs: "" for none, "," for any, or "?".
    """

    place: str
    elements: list[list[list[str]]]
    mark: str


def read_phrases() -> Iterator[Phrase]:
    """Read `lexicon.toml`."""
    data = tomllib.loads(resources.files(__package__).joinpath("lexicon.toml").read_text("utf-8"))
    sets: dict[str, str] = {}

    def expand(text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda found: sets[found[1]], text)

    for name, words in data["sets"].items():
        sets[name] = expand("|".join(words))
    for group in data["group"]:
        for phrase in group["phrases"]:
            bare = phrase.rstrip(",?")
            elements = [
                [part.split() for part in found[0].strip("()[]").split("|")]
                + [[]] * found[0].startswith("[")
                for found in _ELEMENT.finditer(expand(bare))
            ]
            yield Phrase(group["place"], elements, phrase[len(bare) :])


Node = dict[str, list["Node"]]
"""A state of the automaton that reads phrases: the states that each next word leads to.

A phrase that may end here has its mark for a key, too; it leads nowhere.
"""
_FITTING = {"": [""], "\n": [""], ",": ["", ","], ".": ["", ","], "?": ["", ",", "?"]}
"""By the mark of a word, the marks of the phrases that may end with it."""


@cache
def _lexicon() -> tuple[dict[str, Node], frozenset[str]]:
    """The states in which phrases start, by place; and all that their words begin with."""
    starts: dict[str, Node] = {"anywhere": {}, "initial": {}, "following": {}}
    beginnings: set[str] = set()
    for phrase in read_phrases():
        state: Node = {phrase.mark: []}
        for alternatives in reversed(phrase.elements):
            end, state = state, {}
            for words in alternatives:
                path = end
                for word in reversed(words):
                    path = {word: [path]}
                    beginnings.update(word[:size] for size in range(1, len(word) + 1))
                _include(state, path)
        _include(starts[phrase.place], state)
    return starts, frozenset(beginnings)


def _include(state: Node, other: Node) -> None:
    """Let a state lead to all that another one leads to."""
    for word, states in other.items():
        state.setdefault(word, []).extend(states)


def _longest_phrase(
    words: Sequence[Word], at: int, *, initial: bool, following: bool
) -> tuple[int, bool]:
    """How many words from `at` on are a phrase, and whether more words may make it longer.

    Args:
        words: All words.
        at: The first word of the phrase.
        initial: It is the first word of a text, line or sentence, or comes after a style word.
        following: It comes right after a style word, without punctuation in between.
    """
    starts, _ = _lexicon()
    places = {"anywhere": True, "initial": initial, "following": following}
    states = [starts[place] for place, here in places.items() if here]
    length = 0
    for number, word in enumerate(words[at:], 1):
        states = [after for state in states for after in state.get(word.key, ())]
        if not states or (word.opens and number > 1):
            return length, False
        if any(mark in state for state in states for mark in _FITTING[word.mark]):
            length = number
        if word.mark:
            return length, False
    return length, any(state.keys() - _FITTING.keys() for state in states)


def _kinds(words: Sequence[Word], *, final: bool) -> Iterator[bool | None]:
    """Whether each word is style, up to the first that more text may still change.

    Args:
        words: From the start of a text or line, or from far enough before those that matter.
        final: Nothing will follow.

    Yields:
        For each word True for style, False for capability; for a neutral one the kind of the
        word before it, None if there is none.
    """
    style: bool | None = None
    initial, following, at = True, False, 0
    while at < len(words):
        length, may_go_on, neutral = 1, False, not words[at].key
        if not neutral:
            length, may_go_on = _longest_phrase(words, at, initial=initial, following=following)
            style = length > 0
        if may_go_on and not final:
            yield from repeat(style, length)
            return
        yield from repeat(style, length or 1)
        at += length or 1
        mark = words[at - 1].mark
        initial = mark not in ("", ",") or (initial if neutral else bool(style))
        following = bool(style) and not neutral and not mark


# --- Code, quotes and formulas --------------------------------------------------------------------

# Backticks that are closed on their line are `code`: verbatim as well, up to there. Tildes are not.
_FENCE = re.compile(r"\n[^\S\n]*(?:(`{3,})(?![^\n]{0,298}\1)|~{3,})(\w?)")
# Each alternative starts with a plain character, so that `re` quickly skips text without any.
_INLINE = re.compile(
    r"""
      `(?P<more>`*) (?: (?!`(?P=more)) [^\n] ){0,298} (?:`(?P=more))?
    | "(?<![^\s(\[{<“«'‘*_~>—–\-/|]") (?=\S) [^"\n]{0,298} "?
    | “ [^”\n]{0,298} ”?
    | « [^»\n]{0,298} »?
    | \$\$ (?: (?!\$\$|\n\n) . ){0,1996} (?:\$\$)?
    | \$(?=\S) (?!\d[\d,.]*[kKmMbB%]?[.,;:!?)*"”]*(?:\s|$)) [^$\n]{0,298} \$?  # no money
    | \\\[(?<!\\\\\[) (?: (?!\\\]|\n\n) . ){0,1996} (?:\\\])?
    | \\\((?<!\\\\\() (?: (?!\\\)) [^\n] ){0,298} (?:\\\))?
    """,
    re.DOTALL | re.VERBOSE,
)


def _verbatim(text: str, at: int) -> Iterator[tuple[int, int]]:
    """Code, quotes and formulas from `at` on, and some before: offsets, marks included, in order.

    They are found from left to right, so more text never changes what is before it. One that is
    still open reaches to the end of the text.
    """
    start = max(text.rfind("\n\n", 0, at), at - _PARAGRAPH, 0)
    for first, last in [*_fences(text, at), (len(text), len(text))]:
        if last > start:
            inline = _INLINE.finditer(text, start, max(first, start))
            yield from (match.span() for match in inline)
            yield first, last
            start = last


def _fences(text: str, at: int) -> Iterator[tuple[int, int]]:
    """Code blocks from `at` on, and some before.

    A fence with a name (```python) opens a block; a bare one closes the open block, or opens one.
    So a look that begins in the middle of a block does not take the text after it for code.
    """
    opened: int | None = None
    for fence in _FENCE.finditer(text, max(at - 2 * LONGEST_FENCE, 0)):
        limit = fence.start()
        if opened is not None:
            limit = opened + LONGEST_FENCE
            yield opened, min(fence.end(), limit)
        closes = not fence[2] and fence.start() < limit
        opened = None if closes else fence.start()
    if opened is not None:
        yield opened, opened + LONGEST_FENCE


# --- Judgements -----------------------------------------------------------------------------------


class LexiconPredictor:
    """Judges words by the phrases of `lexicon.toml`; see `tessy.boundary.protocol.Predictor`."""

    name = "lexicon"
    batched = False
    judges_partial_words = True

    def judge(self, passages: Sequence[Passage]) -> Sequence[Judgement]:
        """Judge passages of unrelated trajectories; one judgement each, in order."""
        return [_judge(passage) for passage in passages]


def _judge(passage: Passage) -> Judgement:
    context = "\n" + passage.context[-2 * LONGEST_FENCE :]
    text, begin = context + passage.text, len(context)
    at = begin + passage.judged
    line = max(text.rfind("\n", 0, at) + 1, at - _LINE)
    found = units(text[at:])
    whole = complete(text[at:], found, final=passage.final)
    verbatim = [stretch for stretch in _verbatim(text, at) if stretch[1] > line]
    words = _words(text, line, units(text[line:at]), verbatim)
    words += _words(text, at, whole, verbatim)
    if len(whole) < len(found) and passage.role is Role.STUDENT:
        words += _growing(text, at + found[-1].word_start, verbatim)
    settled = passage.judged
    for word, style in zip(words, _kinds(words, final=passage.final), strict=False):
        if word.start < at:
            continue
        if word.key and style is (passage.role is Role.TEACHER):
            return Judgement(word.start - begin, word.start - begin, final=not passage.final)
        settled = word.end - begin
    return Judgement(None, settled)


def _growing(text: str, start: int, verbatim: Sequence[tuple[int, int]]) -> list[Word]:
    """The incomplete word at the end of a text, if it is capability however it goes on.

    It is if its letters begin no word of any phrase, or if it is in code, a quote or a formula
    that began before it. A word that is only punctuation so far may stay neutral.
    """
    key, opens, _ = _look_up(text[start:])
    inside = any(first < start < last for first, last in verbatim)
    if not key or (key in _lexicon()[1] and not inside):
        return []
    return [Word(start, len(text), _VERBATIM, opens, "")]
