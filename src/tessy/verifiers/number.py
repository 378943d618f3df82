r"""`number`: the answer's number is the reference's.

The number of an answer is that of its `<answer>` or its box, the first one of its announcement
(see `tessy.verifiers.extract`), or, where these hold none, the last one of the last line that has
one. What is calculated (`2 + 3 = 5`) means the result. Numbers that are denied (`not 5`), labels
(`part 2`), in brackets beside another, or within an expression (`4\sqrt{2}`, `2:1`) are no
answers; where an answer may mean several numbers, or calculates without a result, it has none. The
reference is a number, a text with one number, or one after `####`, as in GSM8K.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from tessy.errors import DataError
from tessy.verifiers.extract import AnswerForm, boxed, final_answers, gives_up
from tessy.verifiers.limits import VerifierSettings
from tessy.verifiers.numerals import (
    BESIDE,
    TOLERANCE,
    Number,
    in_words,
    numbers_in,
    plain,
    same,
    whole,
)
from tessy.verifiers.protocol import Row, required_text, shorten
from tessy.verifiers.reference import ReferenceVerifier

_MAX_ANSWER = 1000
"""Characters of a final answer that are read; a number is at its beginning."""
_UNIT_POWER = re.compile(r"(?<=[A-Za-z])(\s?\}?\s?)\^\s?\{?-?\d{1,2}\}?")
_ASIDE = re.compile(r"(?<![^\s\w%$*.}])\((?=[^()]*[A-Za-z])[^()]*\)|(?<=[\w%$*.}])\s*\([^()]*\)")
_WORK = re.compile(
    r"(?:\\[a-z]+(?![a-z])|\\[^A-Za-z]|(?:\b|(?<=\d))[A-Za-z]\b|(?<=\d),(?=\d{3}\b)|[^A-Za-z\\,;:])*"
)
"""Numbers, operators and variables, and no word. Not possessive: Python 3.11.0 to 3.11.4 match
possessive groups wrongly (CPython issue 106052)."""
_ABOUT = re.compile(r"≈|\\approx|~=|≃|≅")
_NOT = re.compile(
    r"(?:\bnot|\bcannot|n['’]t|\bnever|\brather\s+than|\binstead\s+of|≠|\\neq?|!=)"
    r"(?:\s+(?:be|equal|to|the|a|just|simply|exactly|is))*\s*[*$(]*\Z",
    re.I,
)
_BOUND = re.compile(
    r"(?:(?<![=-])[<>≤≥±]|\\(?:leq?|geq?|pm)|\bat\s+(?:least|most)|\b(?:less|more|fewer|greater)\s+than)[\s$]*\Z",
    re.I,
)
_LIST = re.compile(r"""[\s\[({$'"]*-?\d[\d.]*(?:['"\s]*[,;&]['"\s]*-?\d[\d.]*)+[\s\])}$.'"]*""")
_LABEL = re.compile(
    r"(?:\b(?:step|part|case|figure|fig\.|eq\.|equation|question|problem|example|exercise|section"
    r"|chapter|table|method|option|note|line|out\s+of)\s*[#(]?|(?<!\#)\#)\s*\Z",
    re.I,
)
_JOINED_BEFORE = re.compile(
    r"(?:\\sqrt(?:\[\d+\])?\s*\{?|√\s*|[\^_]\s*\{?|\\log\s*|\blog\s+|\}\s*\{|frac\s*\{|\d:"
    r"|(?:[\d)}]|(?<![A-Za-z])[a-z])\s*(?:[-+*/^·×÷]|\\(?:times|cdot|div)|(?<=\d)\s*x)\s*|\d[.,/]"
    r"|\\pi\s*|π)\Z"
)
_JOINED_AFTER = re.compile(
    r"\s*(?:\\sqrt|√|\\p[im]\b|π|±|\^(?!\s*\{?\s*\\circ)|\\(?:times|cdot|div)\b|\*\*\s*[\d({]|:\d|\.\d"
    r"|[+/×·÷*x-]\s*(?:[\d(]|\\(?:sqrt|frac|dfrac|pi)|(?<![x-])[b-z](?![A-Za-z])))|[abnxyzπ](?![A-Za-z])"
    r"|!\s*(?:[=/*+]|\Z(?<!!\Z))|[/-]\d"
)
_EITHER = re.compile(
    r"""[\s*$\\)\]}'"]*(?:or|and|und|oder|et|ou|to|through|[-,;&|])[\s*$\\(\[{'"]*""", re.I
)
_BESIDE_AT_END = re.compile(r"""[^\S\n]+\S+?[\s.!*$)\]}'"]*\Z""")
"""A second number right after the first, and nothing else: a list."""
_OR = re.compile(r"[\s*$\\)]*or[\s*$\\(]*")
_UNIT = (
    r"(?:h|hours?|hrs?|days?|weeks?|months?|years?|ft|feet|foot|yards?|miles?|lbs?|pounds?|kg|km|m"
    r"|meters?|metres?|minutes?|mins?|dollars?|euros?|dozens?|degrees?)"
)
_COMPOUND = re.compile(rf"[\s\\]*(?:text\{{\s*)?{_UNIT}\}}?[,\s]+(?:and\s+)?", re.I)
_MARKER = re.compile(r"[ \t]*(?:[-*+•>]\s+)?(?:\**\d{1,3}[.)]\s+(?=\S))?")
_DIGIT = re.compile(r"\d")
_BOLD = re.compile(r"\*\*([^*\n]+)\*\*")
_GSM8K_MARK = "####"


def number_verifier(
    settings: VerifierSettings, column: str = "answer", tolerance: float = TOLERANCE
) -> ReferenceVerifier:
    """A verifier that compares numbers.

    Args:
        settings: How many long answers are read at once.
        column: The column of the right number.
        tolerance: How far off a number that is not whole may be, relative to it.
    """

    def given(row: Row) -> dict[str, Any]:
        right = required_text(row, column, "number")
        if of_reference(right) is None:
            raise DataError(
                f"verifier number: column {column!r} is no number: {shorten(right)!r}",
                hint="`exact`, `math` or `choice` compare other answers",
            )
        return {"right": right, "tolerance": tolerance}

    nothing = "no number is said to be the answer: there is none, or several, or a time or the like"
    return ReferenceVerifier("number", given, compare, nothing, settings)


class _Undecided(Exception):
    """There are numbers, but which one is meant is not clear."""


def compare(answer: str, right: str, tolerance: float) -> tuple[str | None, bool]:
    """The number of an answer as it is written, None if it has none; and whether it is right."""
    found, reference = of_answer(answer), of_reference(right)
    if found is None or reference is None:
        return None, False
    return found.text, same(found, reference, tolerance)


def of_answer(answer: str) -> Number | None:
    """The number that an answer gives; None if it gives none, or it isn't clear which."""
    try:
        for found in final_answers(answer):
            text = plain(found.text[:_MAX_ANSWER])
            if found.form is AnswerForm.LAST_LINE and in_words(text) is None:
                return _last(plain(answer))
            number = _said(text, is_alone=found.form is not AnswerForm.ANNOUNCED)
            if number is not None:
                return number
            value = in_words(text)
            if value is not None:
                return Number(Fraction(value), percent=False, text=text)
    except _Undecided:
        pass
    return None


def of_reference(text: str) -> Number | None:
    """The number that a reference gives; None if there is none, or more than one."""
    text = text.rpartition(_GSM8K_MARK)[2].strip()
    text = boxed(text) or text
    try:
        found = whole(text) or _said(plain(text[:_MAX_ANSWER]), is_alone=True)
    except _Undecided:
        return None
    if found is None and (value := in_words(text)) is not None:
        return Number(Fraction(value), percent=False, text=text)
    return found


def _said(text: str, *, is_alone: bool) -> Number | None:
    """The number of a final answer; None if there is no number in it.

    Args:
        text: What a tag or box holds, or what is announced.
        is_alone: It is a tag's or a box's, which should hold nothing but the number.
    """
    if gives_up(text):
        raise _Undecided
    if is_alone and "\n" in text:
        text = next((line for line in reversed(text.split("\n")) if any(numbers_in(line))), text)
    text = _without_asides(_UNIT_POWER.sub(r"\1", text))
    sides = _ABOUT.split(text)
    if len(sides) > 1:
        return _about(sides, is_alone=is_alone)
    every = list(numbers_in(text))
    if not every:
        return None
    worked = _worked_out(text)
    if worked is not None:
        return worked
    alone = [number for number in every if _stands_alone(text, number)]
    if not alone or _is_one_of_several(text, alone, every, is_alone=is_alone):
        raise _Undecided
    return alone[0]


def _is_one_of_several(
    text: str, alone: list[Number], every: list[Number], *, is_alone: bool
) -> bool:
    """Whether the first number is an alternative, a bound, a part, or one word of a sentence."""
    first, values = alone[0], {number.value for number in alone}
    if len(values) == 1:
        return False
    if is_alone:
        return True
    rest = [number for number in every if number.start >= first.end]
    if rest and rest[0].value != first.value:
        between = text[first.end : rest[0].start]
        if _EITHER.fullmatch(between) or _COMPOUND.fullmatch(between):
            return True
        is_last = len(rest) == 1 and _BESIDE_AT_END.match(text, first.end)
        if is_last and not between.strip():
            return True
    return len(re.findall(r"[^\W\d_]{2,}", text[: first.start])) > 4


def _about(sides: list[str], *, is_alone: bool) -> Number:
    """The number of `1/3 ≈ 0.333`: either side may be compared."""
    found: list[Number] = []
    for side in sides:
        try:
            number = _said(side, is_alone=is_alone)
        except _Undecided:
            continue
        if number is not None:
            found.append(number)
    if not found:
        raise _Undecided
    return found[-1]._replace(others=tuple(number.value for number in found[:-1]))


def _last(text: str) -> Number | None:
    """The last number of the last line that has one; None if it denies that there is an answer."""
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and gives_up(lines[-1]):
        return None
    for line in reversed(lines):
        if not _DIGIT.search(line) or _ASIDE.fullmatch(line.strip()):
            continue
        if len(line) > _MAX_ANSWER:
            line = line[-_MAX_ANSWER:].partition(" ")[2]
        line = _without_asides(_UNIT_POWER.sub(r"\1", _MARKER.sub("", line, count=1)))
        every = [number for number in numbers_in(line) if not _is_label(line, number)]
        if not every:
            continue
        bold = _BOLD.findall(line)
        if len(bold) == 1 and any(numbers_in(bold[0])):
            return _said(bold[0], is_alone=False)
        alone = [number for number in every if _stands_alone(line, number)]
        is_list = len({number.value for number in alone}) > 1 and _LIST.fullmatch(line)
        if (
            not alone
            or is_list
            or (len(alone) > 1 and _OR.fullmatch(line, alone[-2].end, alone[-1].start))
        ):
            raise _Undecided
        return alone[-1]
    return None


def _without_asides(text: str) -> str:
    """A text without what is in brackets, if numbers are left."""
    shorter = _ASIDE.sub(" ", text)
    return shorter if any(numbers_in(shorter)) else text


def _worked_out(text: str) -> Number | None:
    """The result of a calculation such as `2 + 3 = 5 apples`; None if it is none."""
    work, equals, result = text.rpartition("=")
    found = next(numbers_in(result), None)
    if not equals or found is None or not _WORK.fullmatch(work):
        return None
    if _stands_alone(result, found):
        return found
    if any(_stands_alone(work, number) for number in numbers_in(work)):
        return None  # 5 = 2 + 3
    raise _Undecided


def _stands_alone(text: str, number: Number) -> bool:
    """Whether a number is neither part of an expression nor denied."""
    before = text[max(0, number.start - BESIDE) : number.start]
    if _JOINED_BEFORE.search(before) or _JOINED_AFTER.match(text, number.end):
        return False
    return not (_NOT.search(before) or _BOUND.search(before))


def _is_label(text: str, number: Number) -> bool:
    return bool(_LABEL.search(text[max(0, number.start - BESIDE) : number.start]))
