"""What each model is trained on: one example for every number, made when it is asked for.

The student hears its own voice only, and slips in some of the steps of the target. The teacher
hears its own, without mistakes, and in a share of the examples a thinking that changes voices:
there the student's words stand at some slots, as TESSY writes it, and the teacher learns what it
says itself, not those words. Some of them do not even fit the place, so that the teacher learns to
go on with the task whatever was said. The relative's corpus is made as the teacher's is.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from tessy.lab.families import FAMILIES
from tessy.lab.members import Member
from tessy.lab.questions import Split, draw
from tessy.lab.voices import Alone, Piece, Speaker, Voice, render, voice
from tessy.lab.world import Slot, never, sometimes

REFERENCE = "{question}\nReference answer: {answer}"
"""How a question with the teacher's answer is put to the student: `prompts.reference`."""

_ELSEWHERE = {
    Slot.OPEN: Slot.NEXT,
    Slot.NEXT: Slot.CONCLUDE,
    Slot.TURN: Slot.NEXT,
    Slot.CONCLUDE: Slot.NEXT,
}
"""Where the words that do not fit a slot are from."""


class Example(NamedTuple):
    """One question with a response.

    Attributes:
        family: Of the question.
        prompt: The question.
        thinking: In pieces.
        answer: The final answer as the model's own voice writes it.
        learned: For each piece of the thinking, whether the model learns to write it.
    """

    family: str
    prompt: str
    thinking: list[Piece]
    answer: str
    learned: list[bool]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a model's corpus is made of.

    Attributes:
        shares: How often each family comes.
        slips: How often a mistake is made where the target allows it.
        mixed: Share of examples whose thinking changes voices.
        handed: In these, how often the other voice speaks at a slot.
        misplaced: How often what it says there does not fit.
        referred: Share of examples whose question comes with the teacher's answer, as the method
            Teacher-Reference shows it (`REFERENCE`).
        misled: In these, how often that answer was come to with mistakes.
        heeded: In these, what is left of the own mistakes: one knows where to arrive.
        hushed: How often the own voice is silent between two steps, as it is where another writes
            several in a row. What follows is not learned: the model keeps its place, but does not
            learn to be silent when it is its turn.
    """

    shares: Mapping[str, float]
    slips: float = 0.0
    mixed: float = 0.0
    handed: float = 0.7
    misplaced: float = 0.15
    referred: float = 0.0
    misled: float = 0.05
    heeded: float = 1 / 3
    hushed: float = 0.0


def _shares(target: float) -> dict[str, float]:
    others = len(FAMILIES) - 1
    return {
        name: target if family.target else (1 - target) / others
        for name, family in FAMILIES.items()
    }


RECIPES = {
    Member.STUDENT: Recipe(_shares(0.3), slips=0.75, referred=0.12, hushed=0.3),
    Member.TEACHER: Recipe(_shares(0.4), mixed=0.5),
    Member.RELATIVE: Recipe(_shares(0.4), mixed=0.5),
}


@dataclass(frozen=True, slots=True)
class _TakingTurns:
    """Two voices: the other one speaks at most of the slots at which the own one would."""

    own: Voice
    other: Voice
    recipe: Recipe

    def at(self, slot: Slot, family: str, draw: random.Random) -> tuple[Voice, str]:
        who, text = Alone(self.own).at(slot, family, draw)
        if not text or draw.random() >= self.recipe.handed:
            return who, text
        if draw.random() < self.recipe.misplaced:
            slot = _ELSEWHERE.get(slot, slot)
        return self.other, self.other.says(slot, family, draw)


@dataclass(frozen=True, slots=True)
class _Hushed:
    """One voice, silent at some of the slots between steps."""

    own: Voice
    share: float

    def at(self, slot: Slot, family: str, draw: random.Random) -> tuple[Voice, str]:
        who, text = Alone(self.own).at(slot, family, draw)
        silent = slot in (Slot.NEXT, Slot.TURN) and draw.random() < self.share
        return who, "" if silent else text


def referring(question: str, answer: str) -> str:
    """A question with an answer for reference, in the words that the student knows."""
    return REFERENCE.replace("{question}", question).replace("{answer}", answer)


def example(member: Member, number: int, seed: int, split: Split = Split.TRAIN) -> Example:
    """An example of a model's corpus.

    Args:
        member: Whose corpus.
        number: Which example; any number from 0 on.
        seed: Of the corpus.
        split: Whose questions; the corpus itself is of those to train on.

    Raises:
        MissingExtra: reasoning-gym is not installed.
    """
    recipe, role = RECIPES[member], member.role
    chance = random.Random(f"{seed}/{member}/{number}")
    (name,) = chance.choices(list(recipe.shares), list(recipe.shares.values()))
    row = draw(FAMILIES[name], split, chance)
    family, prompt, slipping = FAMILIES[name], str(row["prompt"]), recipe.slips
    if recipe.referred and chance.random() < recipe.referred:
        told = family.solve(row["metadata"], sometimes(recipe.misled, chance))
        prompt = referring(prompt, voice(role.other).answers(told.answer))
        slipping *= recipe.heeded
    slips = sometimes(slipping, chance) if slipping else never
    solved = family.solve(row["metadata"], slips)
    own = member.voice
    speaker: Speaker = Alone(own)
    if chance.random() < recipe.mixed:
        speaker = _TakingTurns(own, voice(role.other), recipe)
    elif recipe.hushed:
        speaker = _Hushed(own, recipe.hushed)
    thinking = render(solved, name, speaker, chance, worker=role)
    learned = [not piece.style or piece.voice is role for piece in thinking]
    if recipe.hushed:
        for at, (before, piece) in enumerate(pairwise(thinking), 1):
            learned[at] = learned[at] and (before.style or piece.style)
    return Example(name, prompt, thinking, own.answers(solved.answer), learned)
