"""Reads a span while a model is still writing it. Pure; no I/O.

A streamed span is judged as its words arrive, and the result must not depend on when they arrive
(*Replay*): a network may deliver three words at once. So the predictor gets views that depend on
the text alone: one for each word, in order, which ends with the character that completed the word.
A predictor that judges partial words judges each word by the text before it, so it gets the text
as it arrives. A predictor may wait for the words after a word. So views that a request before this
one showed are not made again: what was undecided then is judged with the words that follow.

The first view with a boundary ends the reading, and `turns.settle` makes a turn of it by the same
rules as for chunks. An end marker also ends the reading; no view contains a marker, or text that
may be the beginning of one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from tessy.method.judgement import Judgement, Passage
from tessy.method.judging import NONE, Judging, ShortSpans
from tessy.method.trajectory import Trajectory
from tessy.method.turns import lengthens_word
from tessy.method.words import complete, is_one_open_word, units


class Reading:
    """The text of one span as it arrives, and how far it is judged.

    Args:
        trajectory: The state before the turn; it does not change while the span is read.
        ends: Markers that end the thinking.
        partial_words: Make a view of each piece of text, even if its last word is incomplete.
        short: Which spans of the other kind stay with the writer.

    Attributes:
        judging: What is known of the text, pending text included.
        boundary: The judgement that ends the span, once there is one.
        ended: The text contained an end marker.
        lengthens_word: The text can't follow the seam, see `turns.lengthens_word`: read no more.
    """

    def __init__(
        self,
        trajectory: Trajectory,
        ends: tuple[str, ...] = (),
        *,
        partial_words: bool = False,
        short: ShortSpans = NONE,
    ) -> None:
        self.judging = Judging(trajectory, short)
        self.boundary: Judgement | None = None
        self.ended = False
        self.lengthens_word = False
        self._trajectory = trajectory
        self._partial_words = partial_words
        self._text = trajectory.pending  # what a view may show
        self._held = ""  # text after it that may be the beginning of an end marker
        self._marker = _marker(ends)
        self._firsts = frozenset(end[0] for end in ends)
        self._tail = max(map(len, ends), default=1) - 1  # a marker may begin this far back
        self._watches = self._may_begin(self._text)
        self._open = 0  # start of the first word that may be incomplete
        # The words of pending text were judged with those after them: never again with fewer.
        for word in complete(self._text, units(self._text), final=False):
            self._open = word.end
        self._needs_word = trajectory.idle > 0 and trajectory.span_kept == 0

    @property
    def text(self) -> str:
        """Pending and new text that a view may show."""
        return self._text

    def add(self, piece: str) -> Sequence[int]:
        """Add text; returns the ends of the views to judge now, in order.

        Args:
            piece: The text that arrived.
        """
        if self._watches or not self._firsts.isdisjoint(piece):
            piece = self._without_marker(piece)
            if not piece:
                return ()
        if not self._text and lengthens_word(self._trajectory, piece):
            self.lengthens_word = True
            return ()
        self._text += piece
        if self._partial_words:
            return (len(self._text),)
        if is_one_open_word(self._text, self._open):
            return ()
        return self._complete_words()

    def view(self, end: int) -> Passage:
        """The first question about the text up to `end`; pass the answer to `take`."""
        return self.judging.ask(self._text[:end])

    def take(self, judgement: Judgement) -> Passage | None:
        """Record an answer; returns the next question about the same text, or None."""
        if (question := self.judging.take(judgement)) is not None:
            return question
        known = self.judging.judgement
        if known.boundary is not None and self._is_certain(known.boundary, known.final):
            self.boundary = known
        return None

    def _without_marker(self, piece: str) -> str:
        """The new text that a view may show: no end marker, and nothing that may begin one."""
        shown = self._text[-self._tail :] if self._tail else ""
        new = self._held + piece
        found = self._marker.search(shown + new)
        if found is not None and found["whole"]:
            self.ended = True
            return ""
        at = len(new) if found is None else max(found.start() - len(shown), 0)
        self._held = new[at:]
        self._watches = bool(self._held) or self._may_begin(shown + new)
        return new[:at]

    def _may_begin(self, text: str) -> bool:
        """Whether the end of a text may be the beginning of an end marker."""
        return bool(self._tail) and not self._firsts.isdisjoint(text[-self._tail :])

    def _complete_words(self) -> list[int]:
        """The end of the view of each newly complete word: one character after the word."""
        start = self._open
        text = self._text[start:]
        ends = []
        for word in complete(text, units(text), final=False):
            self._open = start + word.end
            if word.word_start < word.word_end:
                ends.append(start + word.word_end + 1)
        return ends

    def _is_certain(self, boundary: int, final: bool) -> bool:
        """Whether `turns.settle` will hand over at this boundary, whatever text follows."""
        if final and not self._needs_word:
            return True
        after = self._text[boundary:]
        return _has_word(after) or (final and _has_word(self._text))


def _has_word(text: str) -> bool:
    """Whether a text has a complete word."""
    whole = complete(text, units(text), final=False)
    return any(word.word_end > word.word_start for word in whole)


@cache
def _marker(ends: tuple[str, ...]) -> re.Pattern[str]:
    """Matches a whole end marker, or the beginning of one at the end of a text."""
    whole = "|".join(map(re.escape, ends)) or "(?!)"
    begins = [re.escape(end[:size]) for end in ends for size in range(len(end) - 1, 0, -1)]
    return re.compile(f"(?P<whole>{whole})|(?:{'|'.join(begins) or '(?!)'})\\Z")
