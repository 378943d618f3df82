"""What a boundary predictor is: it finds where the kind of text changes.

Text of a reasoning model is of two kinds (METHOD, "Why"): *style*, which carries tone and
discourse, and *capability*, which solves the task. The student should write style and the
teacher capability; text of the other kind than its writer's is rolled back from its first word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

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
        sure: The boundary holds however the text goes on, so it may lie at a word that is not
            complete yet.
        confidence: The probability that the word at the boundary is of the other kind, from a
            predictor that has one.
    """

    boundary: int | None
    settled: int
    sure: bool = False
    confidence: float | None = None


@runtime_checkable
class Predictor(Protocol):
    """Judges passages. Implementations are plain synchronous code.

    Attributes:
        name: What the record says judged the text.
        batched: Judging many passages at once is cheaper than one by one, and slow enough that
            it must not happen on the event loop: calls are gathered and run in a thread.

    One that judges each word by what precedes it, and is `sure` of some before they are complete,
    may have `eager = True`: it is then asked whenever a stream brings text, and not only when a
    word is complete.
    """

    name: str
    batched: bool

    def judge(self, passages: Sequence[Passage]) -> Sequence[Judgement]:
        """Judge passages of unrelated trajectories; one judgement each, in order."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """A predictor that can say how sure it is: for figures of calibration, not for synthesis."""

    def style(self, passages: Sequence[Passage]) -> Sequence[Sequence[float]]:
        """P(style) of each word of each text, whoever wrote it: one for each of `words.units`.

        It is nan for a word of which nothing is known.
        """
        ...
