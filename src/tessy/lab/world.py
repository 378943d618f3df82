"""The world's parts: families of tasks, and solutions that are written in beats.

A solution is a list of beats. Each has a *slot*, at which a voice may say something (style), and
*work*, which solves the task and is written alike in every voice (capability). So a model can go on
behind another's words, and who wrote which kind is known to the character.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Metadata = Mapping[str, Any]
"""What reasoning-gym tells of a question, by name."""


class Slot(StrEnum):
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
class Beat:
    """One step.

    Attributes:
        slot: What a voice may say before it.
        work: The step itself; words with single blanks between them.
    """

    slot: Slot
    work: str


@dataclass(frozen=True, slots=True)
class Solution:
    """A question, solved.

    Attributes:
        beats: In order; the last one concludes.
        answer: As the final answer writes it.
    """

    beats: tuple[Beat, ...]
    answer: str


Slips = Callable[[], bool]
"""Whether the solver makes its mistake, asked wherever it could make it."""


def never() -> bool:
    """A solver that makes no mistakes."""
    return False


def sometimes(share: float, draw: random.Random) -> Slips:
    """A solver that makes its mistake with this probability, wherever it could."""
    return lambda: draw.random() < share


@dataclass(frozen=True, slots=True)
class Family:
    """A family of tasks.

    Attributes:
        name: What we call it.
        dataset: What reasoning-gym calls it.
        params: Of reasoning-gym's generator: short operands, short lists.
        solve: From the metadata of a question to its solution.
        verifier: Which one its questions name. Where the answer can only be written in one way,
            a plain one says the same as reasoning-gym's scorer, a hundred times sooner.
        suits: Whether a question is taken, by its metadata.
        target: The student is weak at it, and the teacher strong.
    """

    name: str
    dataset: str
    params: Mapping[str, Any]
    solve: Callable[[Metadata, Slips], Solution]
    verifier: str = "reasoning-gym"
    suits: Callable[[Metadata], bool] = field(default=lambda _: True)
    target: bool = False


def solution(works: list[tuple[Slot, str]], answer: str, concluded: str | None = None) -> Solution:
    """Put a solution together.

    Args:
        works: Slot and work of each step before the conclusion.
        answer: The final answer.
        concluded: How the thinking writes it, if otherwise.
    """
    beats = [Beat(slot, work) for slot, work in works]
    return Solution((*beats, Beat(Slot.CONCLUDE, f"{concluded or answer}.")), answer)
