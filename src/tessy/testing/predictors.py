"""Boundary predictors for tests, by name: `python:tessy.testing.predictors:digits`."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from tessy.method.judgement import Judgement, Passage
from tessy.method.trajectory import Role
from tessy.method.words import complete, units


class ScriptPredictor:
    """A predictor that judges passages one by one."""

    name: str
    batched = False
    judges_partial_words = False

    def judge(self, passages: Sequence[Passage]) -> Sequence[Judgement]:
        """See `tessy.boundary.protocol.Predictor.judge`."""
        return [self.judge_one(passage) for passage in passages]

    def judge_one(self, passage: Passage) -> Judgement:
        """Judge one passage."""
        raise NotImplementedError


class DigitPredictor(ScriptPredictor):
    """Tells the words of `CooperativeScript` apart, exactly, each word by itself.

    A word with a digit or a mathematical symbol (`=`, `+`, `<`, `^`, `√`, …) is capability. A word
    of punctuation only is neutral and belongs to its neighbours. Any other word is style. `-`, `*`
    and `/` count as punctuation, for they occur in ordinary words as well.
    """

    name = "digits"

    def judge_one(self, passage: Passage) -> Judgement:
        """See `ScriptPredictor.judge_one`."""
        begin, text = passage.judged, passage.text[passage.judged :]
        words = complete(text, units(text), final=passage.final)
        for word in words:
            role = writer_of(text[word.word_start : word.word_end])
            if role is not None and role is not passage.role:
                start = begin + word.start
                return Judgement(boundary=start, settled=start)
        return Judgement(boundary=None, settled=begin + (words[-1].end if words else 0))


class InitialPredictor(ScriptPredictor):
    """Tells words apart by their first character: a digit is capability, anything else style.

    So its judgement of a word is final as soon as the word begins, unlike most predictors'.
    """

    name = "initials"
    judges_partial_words = True

    def judge_one(self, passage: Passage) -> Judgement:
        """See `ScriptPredictor.judge_one`."""
        begin, text = passage.judged, passage.text[passage.judged :]
        words = units(text)
        for word in words:
            if word.word_start == word.word_end:
                continue
            if text[word.word_start].isdigit() is (passage.role is Role.STUDENT):
                start = begin + word.start
                return Judgement(boundary=start, settled=start, final=True)
        whole = complete(text, words, final=passage.final)
        return Judgement(boundary=None, settled=begin + (whole[-1].end if whole else 0))


class ContraryPredictor(ScriptPredictor):
    """Always takes the first character for the other kind: a test of Progress."""

    name = "contrary"

    def judge_one(self, passage: Passage) -> Judgement:
        """See `ScriptPredictor.judge_one`."""
        return Judgement(boundary=0, settled=0)


class AgreeablePredictor(ScriptPredictor):
    """Never finds a boundary: the model that begins writes to the end."""

    name = "agreeable"

    def judge_one(self, passage: Passage) -> Judgement:
        """See `ScriptPredictor.judge_one`."""
        return Judgement(boundary=None, settled=len(passage.text))


def writer_of(word: str) -> Role | None:
    """The role that should write `word`, by the rule of `DigitPredictor`; None if either may."""
    categories = [unicodedata.category(character) for character in word]
    if "^" in word or any(category in ("Nd", "No", "Nl", "Sm") for category in categories):
        return Role.TEACHER
    if all(category[0] in "PZC" for category in categories):
        return None
    return Role.STUDENT


digits = DigitPredictor
initials = InitialPredictor
contrary = ContraryPredictor
agreeable = AgreeablePredictor
