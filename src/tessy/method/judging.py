"""Judges one span, question by question, and leaves short spans with their writer. Pure; no I/O.

A hand-over costs a request, and half of the style spans of real reasoning are a single word. So
the settings may leave a span of the other kind with its writer if it has fewer than `minimum` words
(`handover.min_style_words`; docs/handover.md). Where a predictor finds a boundary, the other role's
predictor judges the text from there on. Either that kind goes on for `minimum` words, and the
boundary stands; or it ends before, and its words are *tolerated*.

The two may disagree about a word. So a word that both call foreign is tolerated, and tolerated
words that touch are one span, which has to be short as a whole: words are tolerated only when the
word after them is known to be the writer's.
"""

from __future__ import annotations

from tessy.method.judgement import Judgement, Passage
from tessy.method.trajectory import Role, Trajectory, UndecidedSpan
from tessy.method.turns import LOOKAHEAD_WORDS
from tessy.method.words import Unit, complete, is_prose, start_of_word, units


class Judging:
    """What is known of a span while it is written: `ask` about its text, `take` the answers.

    Args:
        trajectory: The state before the turn; it does not change while the span is written.
        minimum: Words of the other kind with which the other model takes over.

    Attributes:
        judgement: What is known of the text, once `take` returned None.
    """

    def __init__(self, trajectory: Trajectory, minimum: int = 1) -> None:
        self.judgement = Judgement(None, 0)
        self._role = trajectory.role
        self._thinking = trajectory.thinking
        self._minimum = minimum
        self._tolerated: tuple[tuple[int, int], ...] = ()
        self._short: int | None = None  # start of a foreign span that may turn out to be short
        self._confidence: float | None = None
        self._context: str | None = None
        self._search(self._role, 0)
        if (waits := trajectory.waits) is not None:
            self._short, self._confidence = waits.start, waits.confidence
            self._search(self._role.other if waits.foreign else self._role, waits.begin)
            self._judged = waits.judged

    def ask(self, text: str, *, final: bool = False) -> Passage:
        """The question to put to the predictor of its role.

        Args:
            text: All that was written so far: pending and new text.
            final: No text will follow.
        """
        if self._from + self._judged > len(text):  # some of the pending text became a marker
            self._restart()
        self._text, self._final = text, final
        return self._question()

    def take(self, judgement: Judgement) -> Passage | None:
        """Record the answer to the question; returns the next question, or None.

        Args:
            judgement: In offsets into the text of the question.
        """
        if self._minimum == 1:
            self._judged = max(self._judged, judgement.settled, judgement.boundary or 0)
            self.judgement = judgement
            return None
        text = self._text[self._from :]
        words = complete(text, units(text), final=self._final)
        boundary = start_of_word(words, judgement.boundary)
        settled = max(self._judged, judgement.settled, judgement.boundary or 0)
        if self._short is not None and len(words) > LOOKAHEAD_WORDS:
            settled = max(settled, words[-LOOKAHEAD_WORDS - 1].word_end)
        if self._searching is self._role:
            return self._take_own(words, boundary, settled, judgement.confidence)
        return self._take_foreign(words, boundary, settled)

    def _restart(self) -> None:
        self._tolerated, self._short, self._confidence = (), None, None
        self._search(self._role, 0)

    def _search(self, role: Role, start: int) -> None:
        """From `start` on, read the text as the role's, and search it for the other kind."""
        self._searching, self._from, self._judged = role, start, 0
        self._context = None if start else self._thinking

    def _question(self) -> Passage:
        if self._context is None:
            self._context = self._thinking + self._text[: self._from]
        text = self._text[self._from :] if self._from else self._text
        return Passage(self._searching, self._context, text, self._final, self._judged)

    def _take_own(
        self, words: list[Unit], boundary: int | None, settled: int, confidence: float | None
    ) -> Passage | None:
        """Of text read as the writer's: more of it, or a foreign span begins."""
        own = settled if boundary is None else boundary
        if _has_word(words, own) or (self._final and boundary is None):
            self._tolerate()
        if boundary is None:
            self._judged = settled
            self._wait(self._from + settled)
            return None
        if self._short is None:  # else it touches a short one
            self._short, self._confidence = self._from + boundary, confidence
        self._search(self._role.other, self._from + boundary)
        return self._question()

    def _take_foreign(
        self, words: list[Unit], boundary: int | None, settled: int
    ) -> Passage | None:
        """Of text read as the other model's: more of it, or the writer's begins again."""
        assert self._short is not None
        if boundary is not None:
            end = boundary if _has_word(words, boundary) else _end_of_first(words)
        elif self._final:
            end = len(self._text) - self._from
        else:
            end = self._judged = min(settled, words[-1].end if words else 0)
        if not self._may_stay(self._text[self._short : self._from + end]):
            self.judgement = Judgement(
                self._short, self._short, confidence=self._confidence, tolerated=self._tolerated
            )
            return None
        if boundary is None and not self._final:
            self._wait(self._short)
            return None
        self._search(self._role, self._from + end)
        if boundary is not None:
            return self._question()
        self._tolerate()
        self._wait(self._from)
        return None

    def _may_stay(self, text: str) -> bool:
        """Whether a foreign span may stay with its writer, as far as it is known."""
        words = [text[word.word_start : word.word_end] for word in units(text)]
        words = [word for word in words if word]
        if len(words) >= self._minimum:
            return False
        return self._role is Role.TEACHER or all(map(is_prose, words))

    def _tolerate(self) -> None:
        """A foreign span ended before `_from`, if one is open: it was short."""
        if self._short is not None:
            self._tolerated += ((self._short, self._from),)
            self._short = None

    def _wait(self, settled: int) -> None:
        """Nothing more is known of the text so far."""
        waits = None
        if self._short is not None:
            foreign = self._searching is not self._role
            waits = UndecidedSpan(self._short, self._from, self._judged, foreign, self._confidence)
        self.judgement = Judgement(None, settled, tolerated=self._tolerated, waits=waits)


def _has_word(words: list[Unit], until: int) -> bool:
    return any(word.word_start < word.word_end <= until for word in words)


def _end_of_first(words: list[Unit]) -> int:
    return next(word.end for word in words if word.word_start < word.word_end)
