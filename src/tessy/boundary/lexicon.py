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

from collections.abc import Sequence
from dataclasses import replace

from tessy.boundary.bookmarks import Bookmark, Memory, is_gap, shown_from
from tessy.boundary.kinds import Kind, State, kinds
from tessy.boundary.lexemes import (
    BEFORE_WORD,
    BEHIND_WORD,
    PLAIN,
    SHOWN,
    Glued,
    Lexeme,
    lexemes,
    read,
    without_shown,
)
from tessy.boundary.phrases import lexicon
from tessy.boundary.verbatim import stretches
from tessy.method.judgement import Judgement, Passage
from tessy.method.trajectory import Role
from tessy.method.words import complete, is_neutral, units

LONGEST_PHRASE = 8
"""Words of the longest phrase; at most one less is left undecided (`turns.LOOKAHEAD_WORDS`)."""

_WINDOW = 96
"""Characters of context to start from; more are taken when they do not settle the state."""


class LexiconPredictor:
    """Judges words by the phrases of `lexicon.toml`; see `tessy.boundary.protocol.Predictor`."""

    name = "lexicon"
    batched = False
    judges_partial_words = True

    def __init__(self) -> None:
        self._memory = Memory()

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
    words = without_shown(stretches(text), lexemes(text, 0, units(text)))
    found: list[tuple[int, int]] = []
    kept = False  # no capability word since the last span
    gap = False  # nor a new line
    for word, kind in zip(words, kinds(words, State(), final=True), strict=True):
        if kind is not Kind.STYLE:
            kept = False
        elif kept and (word.key or not gap):
            found[-1] = (found[-1][0], word.end)
            gap = word.new_line
        elif word.key:
            found.append((word.start, word.end))
            kept, gap = True, word.new_line
    return found


def _judge(passage: Passage, memory: Memory) -> Judgement:
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
    fresh = lexemes(new, offset + mark.end, found)
    shown = shown_from(passage.context, passage.text, mark.outside) if fresh else []
    words = known + without_shown(shown, fresh)
    boundary, settled = _first_other(passage, words, state)
    if boundary is not None:
        return Judgement(boundary, boundary, final=not passage.final)
    settled = max(settled, mark.settled)
    rest, state = words[state.at :], replace(state, at=0)
    outside = mark.outside
    if fresh and not passage.final:
        end = fresh[-1].end - offset
        outside = _move(passage, end, shown, outside)
        memory.keep(
            passage,
            Bookmark(passage.context, passage.text, end, settled, rest, replace(state), outside),
        )
    if len(found) < len(cut) and passage.role is Role.STUDENT:
        growing = _growing(passage, mark.end + cut[-1].word_start, outside)
        boundary, _ = _first_other(passage, [*rest, *growing], state)
    return Judgement(boundary, settled if boundary is None else boundary, boundary is not None)


def _first_other(passage: Passage, words: Sequence[Lexeme], state: State) -> tuple[int | None, int]:
    """The boundary among some words, of which the first may be the context's, or how far it is not.

    Both count from the start of the text. The state moves as `kinds` says.
    """
    other = Kind.CAPABILITY if passage.role is Role.STUDENT else Kind.STYLE
    offset, settled = len(passage.context), 0
    for kind, word in zip(kinds(words, state, final=passage.final), words, strict=False):
        if word.start >= offset:
            if kind is other and word.key:
                return word.start - offset, settled
            settled = word.end - offset
    return None, settled


def _growing(passage: Passage, start: int, outside: int) -> list[Lexeme]:
    """The word at the end of a text that is not complete, if it is capability whatever it becomes.

    It is if its letters begin no word of any phrase, or if it lies in code, a quote or a formula
    that began before it. A word that is only punctuation so far may stay neutral.
    """
    word, at = passage.text[start:], len(passage.context) + start
    if is_neutral(word):
        return []
    rest = word.lstrip(BEFORE_WORD)
    core = rest.rstrip(BEHIND_WORD).lower().translate(PLAIN)
    if not core or core in lexicon().beginnings:
        shown = shown_from(passage.context, passage.text, outside)
        if not any(first < at < end for first, end in shown):
            return []
    opens = read(word)[1]
    return [Lexeme(at, at + len(word), SHOWN, opens, Glued.NONE, new_line=False)]


def _begin(context: str, memory: Memory) -> Bookmark:
    """Where to start with a text of which nothing is known: within its context."""
    past, state = _past(context)
    outside = memory.outside(context, past[0].start if past else len(context))
    shown = shown_from(context, "", outside) if past else []
    return Bookmark(context, "", 0, 0, without_shown(shown, past), state, outside)


def _move(passage: Passage, end: int, shown: list[tuple[int, int]], outside: int) -> int:
    """The place to look for stretches from when what is before `end` is judged."""
    at = len(passage.context) + end
    covered = any(start < at < stop for start, stop in shown)
    return at if is_gap(passage.text[end]) and not covered else outside


def _past(context: str) -> tuple[list[Lexeme], State]:
    """The last words of a context, and the state before them.

    They start behind a word that is in no phrase: it is capability, whatever precedes it.
    """
    vocabulary = lexicon().vocabulary
    start, window = len(context), _WINDOW
    words: list[Lexeme] = []
    while start > 0:
        start = _word_gap(context, len(context) - window)
        words = lexemes(context[start:], start, units(context[start:]))
        for at in range(len(words) - 1, -1, -1):
            if words[at].key and words[at].key not in vocabulary:
                state = State()
                state.advance(words[at], Kind.CAPABILITY)
                return words[at + 1 :], replace(state, at=0)
        window *= 4
    return words, State()


def _word_gap(text: str, at: int) -> int:
    """The last offset up to `at` that certainly lies between two words; 0 if there is none."""
    while at > 0 and not is_gap(text[at]):
        at -= 1
    return max(at, 0)
