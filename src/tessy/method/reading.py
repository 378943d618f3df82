"""Reading: a span while a model is still writing it. Pure; no I/O.

A streamed span is judged as its words arrive, and what comes out must not depend on when they do
(*Replay*): a network may bring three words at once. So the text is shown to the predictor in
views that depend on the text alone, one for each word that has become complete, in order, each
with all of the text up to the character that completed it. An `eager` predictor judges each word
by what precedes it, so it may be shown whatever has come.

The first view with a boundary decides, and `turns.settle` makes the turn of it, by the rules that
hold for chunks.
"""

from __future__ import annotations

from collections.abc import Sequence

from tessy.boundary.protocol import Judgement, Passage
from tessy.method.trajectory import Trajectory
from tessy.method.words import complete, units


class Reading:
    """What has been read of one span, and how far it is judged.

    Args:
        trajectory: The state before the turn; it does not change while the span is read.
        eager: Show each piece of text as it comes, whether or not its last word is complete.
    """

    def __init__(self, trajectory: Trajectory, *, eager: bool = False) -> None:
        self._trajectory = trajectory
        self._eager = eager
        self._text = trajectory.pending
        self._open = 0  # where the first word that is not known to be complete begins
        self._needs_word = trajectory.idle > 0 and trajectory.span_kept == 0
        self.judged = 0
        self.boundary: Judgement | None = None

    def grow(self, piece: str) -> Sequence[int]:
        """Add text, and get where the views end that are to be judged now, in order.

        Args:
            piece: What was written since.
        """
        self._text += piece
        return (len(self._text),) if self._eager else self._ends()

    def view(self, end: int) -> Passage:
        """What is to be judged; hand the judgement to `take`."""
        trajectory = self._trajectory
        judged = self.judged if self.judged < end else end
        return Passage(trajectory.role, trajectory.thinking, self._text[:end], False, judged)

    def take(self, judgement: Judgement) -> None:
        """Take in the judgement of the passage that `grow` yielded last."""
        if judgement.boundary is None:
            self.judged = max(self.judged, judgement.settled)
        elif self._is_certain(judgement.boundary, judgement.sure):
            self.boundary = judgement
        else:
            self.judged = max(self.judged, judgement.boundary)

    def _ends(self) -> list[int]:
        """Where the view of each word ends that has become complete: one character behind it."""
        start = self._open
        text = self._text[start:]
        ends = []
        for word in complete(text, units(text), final=False):
            self._open = start + word.end
            if word.word_start < word.word_end:
                ends.append(start + word.word_end + 1)
        return ends

    def _is_certain(self, boundary: int, sure: bool) -> bool:
        """Whether `turns.settle` will hand over at this boundary, whatever the text goes on to."""
        if sure and not self._needs_word:
            return True
        behind = self._text[boundary:]
        return _has_word(behind) or (sure and _has_word(self._text))


def _has_word(text: str) -> bool:
    """Whether a word of a text is complete."""
    whole = complete(text, units(text), final=False)
    return any(word.word_end > word.word_start for word in whole)
