"""Boundary predictors for tests, by name: `python:tessy.testing.predictors:digits`."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from tessy.boundary.protocol import Judgement, Passage
from tessy.trajectory import Role
from tessy.words import complete, units


@dataclass(slots=True)
class DigitPredictor:
    """Tells the words of `CooperativeScript` apart, exactly, each word by itself.

    A word with a digit or a mathematical symbol (`=`, `+`, `<`, `^`, `√`, …) is capability; one
    of punctuation only is neutral and goes with its neighbours; any other is style. `-`, `*` and
    `/` count as punctuation, for they stand in ordinary words as well.
    """

    name: str = "digits"
    batched: bool = False

    def judge(self, passages: Sequence[Passage]) -> Sequence[Judgement]:
        """See `tessy.boundary.protocol.Predictor.judge`."""
        return [self._one(passage) for passage in passages]

    def _one(self, passage: Passage) -> Judgement:
        text = passage.text
        words = complete(text, units(text), final=passage.final)
        for word in words:
            kind = writer_of(text[word.word_start : word.word_end])
            if kind is not None and kind is not passage.role:
                return Judgement(boundary=word.start, settled=word.start)
        return Judgement(boundary=None, settled=words[-1].end if words else 0)


@dataclass(slots=True)
class ContraryPredictor:
    """Says that the very first character is of the other kind, always: the test of Progress."""

    name: str = "contrary"
    batched: bool = False

    def judge(self, passages: Sequence[Passage]) -> Sequence[Judgement]:
        """See `tessy.boundary.protocol.Predictor.judge`."""
        return [Judgement(boundary=0, settled=0) for _ in passages]


@dataclass(slots=True)
class AgreeablePredictor:
    """Never sees a boundary: whoever begins goes on to the end."""

    name: str = "agreeable"
    batched: bool = False

    def judge(self, passages: Sequence[Passage]) -> Sequence[Judgement]:
        """See `tessy.boundary.protocol.Predictor.judge`."""
        return [Judgement(boundary=None, settled=len(passage.text)) for passage in passages]


def writer_of(word: str) -> Role | None:
    """Who should write `word`, by the rule of `DigitPredictor`; None if either may."""
    categories = [unicodedata.category(character) for character in word]
    if "^" in word or any(category in ("Nd", "No", "Nl", "Sm") for category in categories):
        return Role.TEACHER
    if all(category[0] in "PZC" for category in categories):
        return None
    return Role.STUDENT


def digits() -> DigitPredictor:
    """Make a `DigitPredictor`."""
    return DigitPredictor()


def contrary() -> ContraryPredictor:
    """Make a `ContraryPredictor`."""
    return ContraryPredictor()


def agreeable() -> AgreeablePredictor:
    """Make an `AgreeablePredictor`."""
    return AgreeablePredictor()
