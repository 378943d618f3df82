"""Boundary predictors for tests, by name: `python:tessy.testing.predictors:digits`."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from tessy.method.judgement import Judgement, Passage
from tessy.method.trajectory import Role
from tessy.method.words import complete, units


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
        begin, text = passage.judged, passage.text[passage.judged :]
        words = complete(text, units(text), final=passage.final)
        for word in words:
            kind = writer_of(text[word.word_start : word.word_end])
            if kind is not None and kind is not passage.role:
                start = begin + word.start
                return Judgement(boundary=start, settled=start)
        return Judgement(boundary=None, settled=begin + (words[-1].end if words else 0))


@dataclass(slots=True)
class InitialPredictor:
    """Tells words apart by their first character: a digit is capability, anything else style.

    So it is sure of a word as soon as that begins, as hardly any real predictor is.
    """

    name: str = "initials"
    batched: bool = False
    judges_partial_words: bool = True

    def judge(self, passages: Sequence[Passage]) -> Sequence[Judgement]:
        """See `tessy.boundary.protocol.Predictor.judge`."""
        return [self._one(passage) for passage in passages]

    @staticmethod
    def _one(passage: Passage) -> Judgement:
        text, wants_digits = passage.text, passage.role is Role.TEACHER
        words = units(text[passage.judged :])
        for word in words:
            if word.word_start == word.word_end:
                continue
            if text[passage.judged + word.word_start].isdigit() != wants_digits:
                start = passage.judged + word.start
                return Judgement(boundary=start, settled=start, final=True)
        whole = complete(text[passage.judged :], words, final=passage.final)
        settled = whole[-1].end if whole else 0
        return Judgement(boundary=None, settled=passage.judged + settled)


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


def initials() -> InitialPredictor:
    """Make an `InitialPredictor`."""
    return InitialPredictor()


def contrary() -> ContraryPredictor:
    """Make a `ContraryPredictor`."""
    return ContraryPredictor()


def agreeable() -> AgreeablePredictor:
    """Make an `AgreeablePredictor`."""
    return AgreeablePredictor()
