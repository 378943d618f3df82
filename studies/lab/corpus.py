"""What each model is trained on: one example for every number, made when it is needed.

The student sees only its own voice, and makes its mistake in some steps of the target. The teacher
sees its own voice, without mistakes. In a share of its examples the student's words are in some of
the slots, as TESSY writes them; the teacher learns its own text there, not those words. Some of
them do not even fit, so that the teacher learns to continue the task after any words. The
relative's corpus is made like the teacher's.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from studies.lab.families import FAMILIES, OTHERS, TARGET
from studies.lab.members import Member
from studies.lab.questions import Split, draw
from studies.lab.voices import Speaker, ThinkingPiece, render, voice
from studies.lab.world import never, sometimes

REFERENCE = "{question}\nReference answer: {answer}"
"""A question with the teacher's answer, as the setting `prompts.reference` has it."""


class CorpusExample(NamedTuple):
    """One question with a response.

    Attributes:
        family: Of the question.
        prompt: The question.
        thinking: In pieces.
        answer: The final answer, in the model's own voice.
        learned: For each piece of the thinking, whether the model learns to write it.
    """

    family: str
    prompt: str
    thinking: list[ThinkingPiece]
    answer: str
    learned: list[bool]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a model's corpus is made of. All numbers are shares, from 0 to 1.

    Attributes:
        families: Of examples, by family.
        slips: How often a mistake is made where the target allows it.
        mixed: Examples in which the other voice speaks, too.
        handed: Slots at which it does, in these.
        misplaced: How often what it says there does not fit.
        referred: Examples whose question comes with the teacher's answer, as the method
            Teacher-Reference shows it (`REFERENCE`).
        misled: How often mistakes were made on the way to that answer.
        heeded: What is left of the model's own mistakes when it is shown that answer.
        silent: How often the own voice skips a slot between two steps, as it must where the other
            model writes several steps in a row. The step after an empty slot is not learned: the
            model keeps its place, but does not learn to be silent when it is its turn.
    """

    families: Mapping[str, float]
    slips: float = 0.0
    mixed: float = 0.0
    handed: float = 0.7
    misplaced: float = 0.15
    referred: float = 0.0
    misled: float = 0.05
    heeded: float = 1 / 3
    silent: float = 0.0


def _families(target: float) -> dict[str, float]:
    other = (1 - target) / len(OTHERS)
    return {name: target if name == TARGET else other for name in FAMILIES}


RECIPES = {
    Member.STUDENT: Recipe(_families(0.3), slips=0.75, referred=0.12, silent=0.3),
    Member.TEACHER: Recipe(_families(0.4), mixed=0.5),
    Member.RELATIVE: Recipe(_families(0.4), mixed=0.5),
}


def referring(question: str, answer: str) -> str:
    """A question with an answer for reference, in the words of `REFERENCE`."""
    return REFERENCE.replace("{question}", question).replace("{answer}", answer)


def example(member: Member, number: int, seed: int, split: Split = Split.TRAIN) -> CorpusExample:
    """An example of a model's corpus.

    Args:
        member: Whose corpus.
        number: Which example; any number from 0 on.
        seed: Of the corpus.
        split: Of the questions; the models are trained on `train`.

    Raises:
        MissingExtra: reasoning-gym is not installed.
    """
    recipe, role, own = RECIPES[member], member.role, member.voice
    chance = random.Random(f"{seed}/{member}/{number}")
    (name,) = chance.choices(list(recipe.families), list(recipe.families.values()))
    family = FAMILIES[name]
    row = draw(family, split, chance)
    prompt, slipping = str(row["prompt"]), recipe.slips
    if recipe.referred and chance.random() < recipe.referred:
        shown = family.solve(row["metadata"], sometimes(recipe.misled, chance))
        prompt = referring(prompt, voice(role.other).answers(shown.answer))
        slipping *= recipe.heeded
    solved = family.solve(row["metadata"], sometimes(slipping, chance) if slipping else never)
    speaker = Speaker(own, silent=recipe.silent)
    if chance.random() < recipe.mixed:
        speaker = Speaker(own, voice(role.other), recipe.handed, recipe.misplaced)
    thinking = render(solved, name, speaker, chance, worker=role)
    learned = [not piece.style or piece.voice is role for piece in thinking]
    if recipe.silent:
        for at, (before, piece) in enumerate(pairwise(thinking), 1):
            learned[at] = learned[at] and (before.style or piece.style)
    return CorpusExample(name, prompt, thinking, own.answers(solved.answer), learned)
