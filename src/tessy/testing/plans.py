"""What a cooperative script is going to write: a plan that both roles share, and their words.

The *structure* (which word is style or capability, what follows each word, which variable a
formula is about) is drawn from the question's key alone, so every student and every teacher has
the same one. The *words* are drawn from key, role and seed, and show who wrote them: style words
come from lists without a common word, and the number at the end of a capability word begins with
an even digit if the student wrote it (it is wrong) and with an odd one if the teacher did. No
word of one role is the beginning of the other's at the same place, so a script never takes the
other role's whole word for a half-written one of its own.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

RoleName = Literal["student", "teacher"]

STYLE: dict[RoleName, tuple[str, ...]] = {
    "student": (
        *("okay,", "wait,", "hmm,", "actually,", "maybe", "so", "alright,", "right,", "but", "oh,"),
        *("anyway,", "um,", "perhaps", "let's", "see,"),
    ),
    "teacher": (
        *("thus", "we", "note", "indeed,", "clearly,", "hence", "therefore", "observe", "recall"),
        *("consequently,", "furthermore,", "that", "the", "following", "claim"),
    ),
}
"""Discourse words of each role; none holds a digit."""

UNICODE_STYLE: dict[RoleName, tuple[str, ...]] = {
    "student": ("嗯，让我想想", "等等…", "🤔", "👩‍👩‍👧‍👦", "cafe\u0301,", "あれっ", "ну,", "hmm…"),
    "teacher": ("因此我们", "显然，", "✅", "🏳️‍🌈", "nai\u0308f,", "つまり", "итак,", "d’où"),
}
"""More of them: scripts without blanks, joined emoji, combining marks."""

_DIGITS: dict[RoleName, str] = {"student": "2468", "teacher": "13579"}
_FORMS = ("x{0}=", "n+", "", "mod", "f({0})=")
_UNICODE_FORMS = ("∑x{0}²=", "π≈", "√", "x\u0302{0}≤", "𝔼[X{0}]=")
_CODE = "y{0}=x{1}+"
_ANSWER: dict[RoleName, tuple[str, ...]] = {
    "student": ("So", "my", "answer", "is", "just", "about", "here:"),
    "teacher": ("The", "final", "result", "follows", "directly", "from", "this:"),
}


@dataclass(frozen=True, slots=True)
class Slot:
    """One word of a plan.

    Attributes:
        style: It is a style word; else a capability word.
        form: Which kind of capability word (an index), or -1 for a piece of a code line.
        stem: Numbers that the capability word is about.
        after: What stands between this word and the next; empty behind the last.
    """

    style: bool
    form: int
    stem: tuple[int, int]
    after: str


Words = tuple[tuple[str, str], ...]
"""Words to write, each with what follows it."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the plans of a script look like.

    Attributes:
        words: Words of thinking.
        style_mean: Mean number of words of a style span (exponential, at least 1).
        capability_mean: Mean number of words of a capability span.
    """

    words: int
    style_mean: float
    capability_mean: float


@lru_cache(maxsize=4096)
def plan(key: str, shape: Shape) -> tuple[Slot, ...]:
    """The structure of the thinking for one question, the same for both roles.

    Args:
        key: What stands for the question.
        shape: What plans look like.

    Returns:
        A slot for each word: style and capability spans in turn, beginning with style.
        The first span takes at most half of the words, so two words or more are of both kinds.
    """
    draw = random.Random(f"plan\0{key}")
    slots: list[Slot] = []
    style = True
    while len(slots) < shape.words:
        mean = shape.style_mean if style else shape.capability_mean
        length = max(1, round(draw.expovariate(1 / mean)))
        if not slots:  # a short plan has both kinds as well
            length = min(length, max(1, shape.words // 2))
        slots += _style_span(draw, length) if style else _capability_span(draw, length)
        style = not style
    slots = slots[: shape.words]
    if slots:
        slots[-1] = replace(slots[-1], after="")
    return tuple(slots)


def _style_span(draw: random.Random, length: int) -> list[Slot]:
    last = draw.choices((" ", "\n", "\n\n"), (80, 14, 6))[0]
    return [Slot(True, 0, (0, 0), last if at == length - 1 else " ") for at in range(length)]


def _capability_span(draw: random.Random, length: int) -> list[Slot]:
    afters = [" "] * length
    forms = [draw.randrange(len(_FORMS)) for _ in range(length)]
    if length >= 6 and draw.random() < 0.4:  # an indented line of code
        first = draw.randrange(1, length - 3)
        last = first + draw.randrange(3)
        forms[first : last + 1] = [-1] * (last + 1 - first)
        afters[first - 1], afters[last] = "\n    ", "\n"
    return [
        Slot(False, form, (draw.randrange(1, 40), draw.randrange(1, 40)), after)
        for form, after in zip(forms, afters, strict=True)
    ]


@lru_cache(maxsize=4096)
def thinking(key: str, shape: Shape, role: RoleName, seed: int, unicode: bool) -> Words:
    """The words that one role would write at each place of a plan."""
    draw = random.Random(f"words\0{key}\0{role}\0{seed}")
    return tuple((_word(slot, draw, role, unicode), slot.after) for slot in plan(key, shape))


def _word(slot: Slot, draw: random.Random, role: RoleName, unicode: bool) -> str:
    special = unicode and draw.random() < 0.5
    if slot.style:
        return draw.choice((UNICODE_STYLE if special else STYLE)[role])
    value = draw.choice(_DIGITS[role]) + str(draw.randrange(100))[: draw.randrange(3)]
    if slot.form < 0:
        return _CODE.format(*slot.stem) + value + ";"
    forms = _UNICODE_FORMS if unicode and slot.stem[1] % 2 else _FORMS
    return forms[slot.form].format(*slot.stem) + value


@lru_cache(maxsize=4096)
def answer(key: str, words: int, role: RoleName, seed: int) -> Words:
    """The words of one role's answer: text, with a number as the last word."""
    draw = random.Random(f"answer\0{key}\0{role}\0{seed}")
    texts = [draw.choice(_ANSWER[role]) for _ in range(words)]
    if texts:
        texts[-1] = draw.choice(_DIGITS[role]) + str(draw.randrange(10))
    return tuple((text, " " if at < words - 1 else "") for at, text in enumerate(texts))
