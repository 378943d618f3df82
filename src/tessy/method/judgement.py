"""A question to a boundary predictor, and its answer.

Reasoning text is of two kinds (paper, section 2.1): *style*, which carries tone and discourse, and
*capability*, which solves the task. The student writes style and the teacher writes capability;
text of the other kind is rolled back from its first word.
"""

from __future__ import annotations

from typing import NamedTuple

from tessy.method.trajectory import Role, UndecidedSpan


class Passage(NamedTuple):
    """Text to judge.

    Attributes:
        role: Who wrote `text`. Student text is searched for capability, teacher text for style.
        context: All of the committed thinking before `text`; a predictor may use only its end.
        text: What to judge. Its last word may be incomplete, unless `final`.
        final: No text will follow, so all of it has to be decided.
        judged: Characters of `text` that were already judged to be the writer's kind. A predictor
            may start there; judging them again only costs time.
    """

    role: Role
    context: str
    text: str
    final: bool = False
    judged: int = 0


class Judgement(NamedTuple):
    """A judgement of a passage, in half-open character offsets into `Passage.text`.

    Attributes:
        boundary: The first character that is not of the writer's kind; None if there is none. It
            is moved back to the start of its word.
        settled: Without a boundary: text before this offset is certainly of the writer's kind;
            text after it is judged again when more has arrived.
        final: The boundary holds whatever text follows, so it may be at an incomplete word.
        confidence: The probability that the word at the boundary is of the other kind; None if the
            predictor gives none.
        tolerated: Spans of the other kind that stay with the writer since they are short, in order;
            like `waits`, a rule of `tessy.method.judging`: predictors leave it.
        waits: Without a boundary: what is known of such a span that is not decided yet. Nothing
            from its start on is kept.
    """

    boundary: int | None
    settled: int
    final: bool = False
    confidence: float | None = None
    tolerated: tuple[tuple[int, int], ...] = ()
    waits: UndecidedSpan | None = None
