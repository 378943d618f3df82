"""What a boundary predictor is asked, and what it answers.

Text of a reasoning model is of two kinds (paper, section 2.1): *style*, which carries tone and
discourse, and *capability*, which solves the task. The student writes style and the teacher
capability; text of the other kind is rolled back from its first word.
"""

from __future__ import annotations

from typing import NamedTuple

from tessy.method.trajectory import Role


class Passage(NamedTuple):
    """Text to be judged.

    Attributes:
        role: Who wrote `text`: a student's is judged for capability, a teacher's for style.
        context: The committed thinking before it, from its first character (a predictor takes
            as much of its end as it needs).
        text: What to judge. Its last word may be incomplete, unless `final`.
        final: Nothing will follow: everything has to be decided.
        judged: Characters of `text` that an earlier look at the same text found to be the writer's
            kind; a predictor may begin there. One that looks at all of it again is only slower.
    """

    role: Role
    context: str
    text: str
    final: bool = False
    judged: int = 0


class Judgement(NamedTuple):
    """A judgement of a passage, in half-open character offsets into `Passage.text`.

    Attributes:
        boundary: The first character of the other kind than the writer's; None if there is none.
            It is moved back to the start of its word.
        settled: Without a boundary: text before it is the writer's kind for certain; later text
            is judged again when more of it is there.
        final: The boundary holds however the text goes on, so it may be at a word that is not
            complete yet.
        confidence: The probability that the word at the boundary is of the other kind, from a
            predictor that has one.
    """

    boundary: int | None
    settled: int
    final: bool = False
    confidence: float | None = None
