"""Reading: a span while a model is still writing it. Pure; no I/O.

A streamed span is judged as its words arrive, and the result must not depend on when they do
(*Replay*): a network may bring three words at once. So the text is shown to the predictor in
views that depend on the text alone, one for each word that has become complete, in order, each
with all of the text up to the character that completed it. A predictor that judges partial words
judges each word by what precedes it, so it is shown whatever has come.

The first view with a boundary decides, and `turns.settle` makes the turn of it, by the rules that
hold for chunks. An end marker ends the reading; no view shows one, nor what may be its beginning.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from tessy.method.judgement import Judgement, Passage
from tessy.method.trajectory import Trajectory
from tessy.method.words import complete, is_one_open_word, units


class Reading:
    """What has been read of one span, and how far it is judged.

    Args:
        trajectory: The state before the turn; it does not change while the span is read.
        ends: Markers that end the thinking.
        partial_words: Show each piece of text as it comes, whether or not its last word is
            complete.

    Attributes:
        judged: Characters, pending text included, that were found to be the writer's kind.
        boundary: The judgement that ends the span, once there is one.
        ended: The text holds an end marker.
    """

    def __init__(
        self, trajectory: Trajectory, ends: tuple[str, ...] = (), *, partial_words: bool = False
    ) -> None:
        self.judged = 0
        self.boundary: Judgement | None = None
        self.ended = False
        self._trajectory = trajectory
        self._partial_words = partial_words
        self._text = trajectory.pending  # that may be shown
        self._held = ""  # what came after it, and may be the beginning of an end marker
        self._marker = _marker(ends)
        self._firsts = frozenset(end[0] for end in ends)
        self._tail = max(map(len, ends), default=1) - 1  # a marker may begin so far before new text
        self._watches = self._may_begin(self._text)
        self._open = 0  # where the first word that is not known to be complete begins
        self._needs_word = trajectory.idle > 0 and trajectory.span_kept == 0

    def add(self, piece: str) -> Sequence[int]:
        """Add text, and get where the views end that are to be judged now, in order.

        Args:
            piece: What was written since.
        """
        if self._watches or not self._firsts.isdisjoint(piece):
            piece = self._without_marker(piece)
            if not piece:
                return ()
        self._text += piece
        if self._partial_words:
            return (len(self._text),)
        if is_one_open_word(self._text, self._open):
            return ()
        return self._complete_words()

    def view(self, end: int) -> Passage:
        """What is to be judged; hand the judgement to `take`."""
        trajectory = self._trajectory
        judged = min(self.judged, end)
        return Passage(trajectory.role, trajectory.thinking, self._text[:end], False, judged)

    def take(self, judgement: Judgement) -> bool:
        """Take in the judgement of a view; returns whether it ends the span."""
        if judgement.boundary is None:
            self.judged = max(self.judged, judgement.settled)
        elif self._is_certain(judgement.boundary, judgement.final):
            self.boundary = judgement
        else:
            self.judged = max(self.judged, judgement.boundary)
        return self.boundary is not None

    def _without_marker(self, piece: str) -> str:
        """What of the new text may be shown now: no end marker, and nothing that may begin one."""
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
        """Whether an end marker may have begun at the end of a text."""
        return bool(self._tail) and not self._firsts.isdisjoint(text[-self._tail :])

    def _complete_words(self) -> list[int]:
        """Where the view of each word ends that has become complete: one character after it."""
        start = self._open
        text = self._text[start:]
        ends = []
        for word in complete(text, units(text), final=False):
            self._open = start + word.end
            if word.word_start < word.word_end:
                ends.append(start + word.word_end + 1)
        return ends

    def _is_certain(self, boundary: int, final: bool) -> bool:
        """Whether `turns.settle` will hand over at this boundary, however the text goes on."""
        if final and not self._needs_word:
            return True
        after = self._text[boundary:]
        return _has_word(after) or (final and _has_word(self._text))


def _has_word(text: str) -> bool:
    """Whether a word of a text is complete."""
    whole = complete(text, units(text), final=False)
    return any(word.word_end > word.word_start for word in whole)


@cache
def _marker(ends: tuple[str, ...]) -> re.Pattern[str]:
    """Finds a whole end marker, or the beginning of one at the end of a text."""
    whole = "|".join(map(re.escape, ends)) or "(?!)"
    begins = [re.escape(end[:size]) for end in ends for size in range(len(end) - 1, 0, -1)]
    return re.compile(f"(?P<whole>{whole})|(?:{'|'.join(begins) or '(?!)'})\\Z")
