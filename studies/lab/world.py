"""The parts of the world: families of tasks, and solutions that are written step by step.

Before each step is a *slot*, where a voice may say something (style). The step's *work* solves the
task and reads the same in every voice (capability). So a model can continue after another's words,
and which characters are style is known exactly.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Metadata = Mapping[str, Any]
"""What reasoning-gym records about a question, by name."""


class StyleSlot(StrEnum):
    """Where in a solution a voice may speak."""

    OPEN = "open"
    """Before the first work."""
    NEXT = "next"
    """Before another step of the same kind."""
    TURN = "turn"
    """Before a step of another kind, such as adding up what was counted."""
    CHECK = "check"
    """Before a step that is repeated to check it."""
    CONFIRM = "confirm"
    """After such a step."""
    CONCLUDE = "conclude"
    """Before the result."""
    CLOSE = "close"
    """After the result."""


@dataclass(frozen=True, slots=True)
class SolutionStep:
    """One step.

    Attributes:
        slot: What a voice may say before it.
        work: The step itself: words with single blanks between them.
    """

    slot: StyleSlot
    work: str


@dataclass(frozen=True, slots=True)
class Solution:
    """A solved question.

    Attributes:
        steps: In order; the last one concludes.
        answer: The final answer.
    """

    steps: tuple[SolutionStep, ...]
    answer: str


Slips = Callable[[], bool]
"""Called wherever the solver could make its mistake: whether it makes it."""


def never() -> bool:
    """A solver that makes no mistakes."""
    return False


def sometimes(share: float, chance: random.Random) -> Slips:
    """A solver that makes its mistake with this probability wherever it could."""
    return lambda: chance.random() < share


@dataclass(frozen=True, slots=True)
class TaskFamily:
    """A family of tasks.

    Attributes:
        name: Our name for it, which is reasoning-gym's as well.
        params: Arguments of reasoning-gym's generator: short operands, short lists.
        suits: Whether to use a question, given its metadata.
        solve: Solves a question, given its metadata.
        verifier: The verifier that its questions name. Where an answer can be written in only one
            way, a plain verifier gives the same verdict as reasoning-gym's scorer, a hundred times
            faster.
        target: Whether the student is weak at it and the teacher strong.
    """

    name: str
    params: Mapping[str, Any]
    suits: Callable[[Metadata], bool]
    solve: Callable[[Metadata, Slips], Solution]
    verifier: str = "reasoning-gym"
    target: bool = False


def solution(
    works: list[tuple[StyleSlot, str]], answer: str, concluded: str | None = None
) -> Solution:
    """Put a solution together.

    Args:
        works: Slot and work of each step before the conclusion.
        answer: The final answer.
        concluded: The answer as the thinking writes it, if that differs.
    """
    conclusion = (StyleSlot.CONCLUDE, f"{concluded or answer}.")
    return Solution(tuple(SolutionStep(*work) for work in [*works, conclusion]), answer)
