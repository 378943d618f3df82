"""Two voices for the same steps: what each says at a slot, and how often.

The student's is modelled on Qwen3's traces and the teacher's on gpt-oss's; `voices.toml` has the
phrases and says where their frequencies are from. No phrase belongs to both.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, NamedTuple, Protocol

from tessy.lab.world import Beat, Slot, Solution
from tessy.method.trajectory import Role


class Piece(NamedTuple):
    """A stretch of thinking of one kind.

    Attributes:
        text: With the blank before it, if it is not the first.
        style: Whether it is style, and not capability.
        voice: Whose words it is written in; work has the writer's.
    """

    text: str
    style: bool
    voice: Role


@dataclass(frozen=True, slots=True)
class Voice:
    """One way of talking.

    Attributes:
        role: Whose.
        tables: As a part of `voices.toml`: habits, and phrases by slot.
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
        """What a final answer in this voice says; None if it is not in this voice."""
        before, after = str(self.tables["answer"]).split("{}")
        found = text.strip()
        if not found.startswith(before) or not found.endswith(after):
            return None
        return found[len(before) : len(found) - len(after)]

    def checks(self, draw: random.Random) -> bool:
        """Whether it checks a step, this time."""
        return draw.random() < float(self.tables["habits"]["check"])

    def speaks(self, slot: Slot, draw: random.Random) -> bool:
        """Whether it says anything at a slot, this time."""
        return draw.random() < float(self.tables["speaks"].get(slot.value, 1.0))

    def says(self, slot: Slot, family: str, draw: random.Random) -> str:
        """What it says at a slot.

        Args:
            slot: Where.
            family: Of the question; openings and turns speak of it.
            draw: Chance.
        """
        phrases = self.tables["phrases"]
        habits = self.tables["habits"]
        if slot is Slot.OPEN:
            said = [_one(phrases["greet"], draw)]
            if draw.random() < habits["setup"]:
                said.append(_one(self.tables["setup"][family], draw))
            return " ".join(said)
        if slot is Slot.TURN:
            return _one(self.tables["turn"][family], draw)
        said = [_one(phrases[slot.value], draw)]
        if slot is Slot.NEXT and draw.random() < habits["hesitate"]:
            said.insert(0, _one(phrases["hesitate"], draw))
        text = " ".join(said)
        return text[0].upper() + text[1:]

    def phrases(self) -> Iterator[str]:
        """Every phrase that it has, as the file writes it."""
        for table in (self.tables["phrases"], self.tables["setup"], self.tables["turn"]):
            for entries in table.values():
                yield from (phrase for _, phrase in entries)


def _one(entries: Sequence[tuple[float, str]], draw: random.Random) -> str:
    weights, phrases = zip(*entries, strict=True)
    return str(draw.choices(phrases, weights)[0])


@cache
def voice(role: Role) -> Voice:
    """The voice of a role."""
    text = resources.files("tessy.lab").joinpath("voices.toml").read_text("utf-8")
    return Voice(role, tomllib.loads(text)[role.value])


class Speaker(Protocol):
    """Who speaks at the slots of a solution."""

    def at(self, slot: Slot, family: str, draw: random.Random) -> tuple[Voice, str]:
        """Who has the word at a slot, and what it says; nothing, perhaps."""
        ...


@dataclass(frozen=True, slots=True)
class Alone:
    """One voice at every slot."""

    voice: Voice

    def at(self, slot: Slot, family: str, draw: random.Random) -> tuple[Voice, str]:
        """See `Speaker.at`."""
        speaks = self.voice.speaks(slot, draw)
        return self.voice, self.voice.says(slot, family, draw) if speaks else ""


def render(
    solution: Solution, family: str, speaker: Speaker, draw: random.Random, *, worker: Role
) -> list[Piece]:
    """Write the thinking of a solution.

    Args:
        solution: What is to be said.
        family: Of the question.
        speaker: Says something at each slot, or nothing.
        draw: Chance.
        worker: Who writes the work.

    Returns:
        Pieces that, joined, are the thinking: style and capability by turns, or several of
        one kind in a row.
    """
    pieces: list[Piece] = []

    def add(text: str, style: bool, role: Role) -> None:
        if text:
            pieces.append(Piece(f" {text}" if pieces else text, style, role))

    confirmed = False  # what was said of a check stands where the next words would
    for beat in solution.beats:
        who, text = speaker.at(beat.slot, family, draw)
        if not confirmed or beat.slot is not Slot.NEXT:
            add(text, True, who.role)
        add(beat.work, False, worker)
        confirmed = _is_step(beat) and who.checks(draw)
        if confirmed:
            add(who.says(Slot.CHECK, family, draw), True, who.role)
            add(beat.work, False, worker)
            add(who.says(Slot.CONFIRM, family, draw), True, who.role)
    who, text = speaker.at(Slot.CLOSE, family, draw)
    add(text, True, who.role)
    return pieces


def _is_step(beat: Beat) -> bool:
    return beat.slot in (Slot.OPEN, Slot.NEXT)
