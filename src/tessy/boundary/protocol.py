"""What a boundary predictor is: it finds where the kind of text changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from tessy.method.judgement import Judgement, Passage


@runtime_checkable
class Predictor(Protocol):
    """Judges passages. Implementations are plain synchronous code.

    Attributes:
        name: What the record says judged the text.
        batched: Judging many passages at once is cheaper than one by one, and slow enough that
            it must not happen on the event loop: calls are gathered and run in a thread.

    One that judges each word by what precedes it, and gives `final` boundaries at words that are
    not complete, may have `judges_partial_words = True`: it is then asked whenever a stream brings
    text, and not only when a word is complete.
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
        """P(style) of each word of each text, by either model: one for each of `words.units`.

        It is nan for a word of which nothing is known.
        """
        ...
