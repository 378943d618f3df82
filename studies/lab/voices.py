"""Two voices for the same steps: what each says at a slot, and how often.

The student's is modelled on Qwen3's traces and the teacher's on gpt-oss's. `voices.toml` has the
phrases, and the sources of their frequencies. They share no phrase.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from studies.lab.world import Solution, StyleSlot
from tessy.method.trajectory import Role


class ThinkingPiece(NamedTuple):
    """A piece of thinking that is all style or all capability.

    Attributes:
        text: With the blank before it, unless it is the first.
        style: Whether it is style.
        voice: Whose words it is written in; for work, who writes it.
    """

    text: str
    style: bool
    voice: Role


@dataclass(frozen=True, slots=True)
class Voice:
    """One way of talking.

    Attributes:
        role: Whose it is.
        tables: Its part of `voices.toml`: habits, and phrases by slot.
    """

    role: Role
    tables: dict[str, Any]

    def in_words_of(self, other: Voice) -> Voice:
        """This voice's habits, with another's phrases and answers."""
        own = {name: self.tables[name] for name in ("habits", "speaks")}
        return Voice(self.role, {**other.tables, **own})

    def answers(self, answer: str) -> str:
        """A final answer in this voice."""
        return str(self.tables["answer"]).format(answer)

    def answered(self, text: str) -> str | None:
        """The answer in a text; None if the text is not in this voice."""
        before, after = str(self.tables["answer"]).split("{}")
        found = text.strip()
        if not found.startswith(before) or not found.endswith(after):
            return None
        return found[len(before) : len(found) - len(after)]

    def checks(self, chance: random.Random) -> bool:
        """Whether it checks the next step."""
        return chance.random() < float(self.tables["habits"]["check"])

    def speaks(self, slot: StyleSlot, chance: random.Random) -> bool:
        """Whether it says anything at the next slot of this kind."""
        return chance.random() < float(self.tables["speaks"].get(slot.value, 1.0))

    def says(self, slot: StyleSlot, family: str, chance: random.Random) -> str:
        """What it says at a slot.

        Args:
            slot: Where.
            family: Of the question, which openings and turns mention.
            chance: Decides what.
        """
        phrases = self.tables["phrases"]
        habits = self.tables["habits"]
        if slot is StyleSlot.OPEN:
            said = [_one(phrases["greet"], chance)]
            if chance.random() < habits["setup"]:
                said.append(_one(self.tables["setup"][family], chance))
            return " ".join(said)
        if slot is StyleSlot.TURN:
            return _one(self.tables["turn"][family], chance)
        said = [_one(phrases[slot.value], chance)]
        if slot is StyleSlot.NEXT and chance.random() < habits["hesitate"]:
            said.insert(0, _one(phrases["hesitate"], chance))
        text = " ".join(said)
        return text[0].upper() + text[1:]

    def phrases(self) -> Iterator[str]:
        """All its phrases, as in the file."""
        for table in (self.tables["phrases"], self.tables["setup"], self.tables["turn"]):
            for entries in table.values():
                yield from (phrase for _, phrase in entries)


def _one(entries: Sequence[tuple[float, str]], chance: random.Random) -> str:
    weights, phrases = zip(*entries, strict=True)
    return str(chance.choices(phrases, weights)[0])


@cache
def voice(role: Role) -> Voice:
    """The voice of a role."""
    text = Path(__file__).with_name("voices.toml").read_text("utf-8")
    return Voice(role, tomllib.loads(text)[role.value])


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who speaks at the slots of a solution: one voice, or two by turns.

    Attributes:
        own: The voice of the model that is trained.
        other: A voice that takes over some of its slots.
        handed: How often it does.
        misplaced: How often what the other voice then says does not fit the slot.
        silent: How often the own voice skips a slot between two steps.
    """

    own: Voice
    other: Voice | None = None
    handed: float = 0.0
    misplaced: float = 0.0
    silent: float = 0.0

    def at(self, slot: StyleSlot, family: str, chance: random.Random) -> tuple[Voice, str]:
        """Who speaks at a slot, and the words; these are empty where nothing is said."""
        text = self.own.says(slot, family, chance) if self.own.speaks(slot, chance) else ""
        if self.silent and slot in _BETWEEN_STEPS and chance.random() < self.silent:
            text = ""
        if self.other is None or not text or chance.random() >= self.handed:
            return self.own, text
        if chance.random() < self.misplaced:
            slot = _ELSEWHERE.get(slot, slot)
        return self.other, self.other.says(slot, family, chance)


_BETWEEN_STEPS = (StyleSlot.NEXT, StyleSlot.TURN)
_ELSEWHERE = {
    StyleSlot.OPEN: StyleSlot.NEXT,
    StyleSlot.NEXT: StyleSlot.CONCLUDE,
    StyleSlot.TURN: StyleSlot.NEXT,
    StyleSlot.CONCLUDE: StyleSlot.NEXT,
}
"""For each slot, one whose words do not fit it."""


def render(
    solution: Solution, family: str, speaker: Speaker, chance: random.Random, *, worker: Role
) -> list[ThinkingPiece]:
    """Write the thinking of a solution.

    Args:
        solution: What to write.
        family: Of the question.
        speaker: Says something at each slot, or nothing.
        chance: Decides what.
        worker: Who writes the work.

    Returns:
        Pieces that, joined, are the thinking.
    """
    pieces: list[ThinkingPiece] = []

    def add(text: str, style: bool, role: Role) -> None:
        if text:
            pieces.append(ThinkingPiece(f" {text}" if pieces else text, style, role))

    confirmed = False  # a confirmation is in the place of the next step's words
    for step in solution.steps:
        who, text = speaker.at(step.slot, family, chance)
        if not confirmed or step.slot is not StyleSlot.NEXT:
            add(text, True, who.role)
        add(step.work, False, worker)
        may_be_checked = step.slot in (StyleSlot.OPEN, StyleSlot.NEXT)
        confirmed = may_be_checked and who.checks(chance)
        if confirmed:
            add(who.says(StyleSlot.CHECK, family, chance), True, who.role)
            add(step.work, False, worker)
            add(who.says(StyleSlot.CONFIRM, family, chance), True, who.role)
    who, text = speaker.at(StyleSlot.CLOSE, family, chance)
    add(text, True, who.role)
    return pieces
