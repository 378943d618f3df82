"""The protocol of a boundary predictor, which finds where the kind of text changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from tessy.method.judgement import Judgement, Passage


@runtime_checkable
class Predictor(Protocol):
    """Judges passages. Implementations are plain synchronous code.

    Attributes:
        name: Its name in messages and reports.
        batched: It is slow, and cheaper for many passages at once: calls are gathered and run in a
            thread, not on the event loop.

    A predictor that judges each word by the text before it, and gives `final` boundaries at
    incomplete words, may set `judges_partial_words = True`: it is then called for every piece of
    text in a stream, not only when a word is complete.
    """

    name: str
    batched: bool

    def judge(self, passages: Sequence[Passage]) -> Sequence[Judgement]:
        """Judge passages of unrelated trajectories.

        Args:
            passages: The passages, all from one role.

        Returns:
            One judgement for each passage, in order.
        """
        ...


@runtime_checkable
class Scorer(Protocol):
    """A predictor that gives probabilities; used to measure calibration, not in synthesis."""

    def style(self, passages: Sequence[Passage]) -> Sequence[Sequence[float]]:
        """P(style) of each word of each passage, by either role: one for each of `words.units`.

        It is NaN for a word without a probability.
        """
        ...
