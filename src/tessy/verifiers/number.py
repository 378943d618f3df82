r"""`number`: the answer's number is the reference's.

The number of an answer is the last one in its `<answer>` or its box, the first one in its
announcement (see `tessy.verifiers.extract`), or, where these hold none, the last one of the whole
answer. An announcement that calculates it without a word (`the answer is 2 + 3 = 5`) means the
result. The reference is a number, a text that is one, or a text with one after `####`, as in
GSM8K.

Understood: `1,234.50`, `1 234` (thin or fixed blanks), `1{,}234`, `1_000`, `-5`, `−5`, `+5`, `.5`,
`3/4`, `\frac{3}{4}`, `\dfrac34`, `1 1/2`, `12%`, `1.5e-3`, `1.5 × 10^{-3}`, `10^6`, with `$`, `€`
or `£` before it. Values are exact fractions, so reading loses nothing.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from tessy.errors import DataError
from tessy.verifiers.extract import AnswerForm, final_answer
from tessy.verifiers.protocol import Row, Verdict, VerdictOutcome, required_text, shorten

TOLERANCE = 1e-6
"""How far off a number that is not whole may be, relative to the right one."""
_MAX_EXPONENT = 400
_MAX_DIGITS = 4000

_DIGITS = r"(?:\d{1,3}(?:(?:,|\{,\}|\\,|[\u00a0\u2009\u202f])\d{3})+(?!\d)|\d+(?:_\d+)*)"
_DECIMAL = rf"(?:{_DIGITS}(?:\.\d+)?|\.\d+)"
_POWER = r"(?:\s*(?:\\times|\\cdot|×|·|\*)\s*10\s*(?:\^|\*\*)\s*\{?\s*(?P<power>[+-]?\d+)\s*\}?)"
_NUMBER = re.compile(
    rf"""
    (?:(?P<sign>[+-])\s*)?(?:\\?[$€£]\s*)?
    (?:
        \\[dt]?frac\s*(?:\{{\s*(?P<num>-?{_DECIMAL})\s*\}}\s*\{{\s*(?P<den>-?{_DECIMAL})\s*\}}
                        |(?P<num1>\d)\s*(?P<den1>\d))
      | (?P<whole>{_DIGITS})\s+(?P<over>\d+)\s*/\s*(?P<under>\d+)(?![\d./])
      | (?P<top>{_DECIMAL})\s*/\s*(?P<bottom>{_DECIMAL})(?![\d/]|\.\d)
      | 10\s*(?:\^|\*\*)\s*\{{?\s*(?P<ten>[+-]?\d+)\s*\}}?
      | (?P<decimal>{_DECIMAL})(?:[eE](?P<exp>[+-]?\d+)|{_POWER})?
    )
    \s*(?P<percent>\\?%)?
    """,
    re.X,
)
_STUCK = re.compile(r"[\w.]$")
"""What can't be right before a number: it would be part of a word or of another number."""
_SAME = str.maketrans({"−": "-", "–": "-", "﹣": "-", "-": "-", "\u2044": "/", "∕": "/"})
_WORK = re.compile(
    r"(?:\\[a-z]+|\\[^A-Za-z]|(?:\b|(?<=\d))[A-Za-z]\b|(?<=\d),(?=\d{3}\b)|[^A-Za-z\\,;:])*"
)
"""Numbers, operators and variables, and no word."""
_OPERATION = re.compile(r"\s*(?:[-+*/^×·÷−]|\\(?:times|cdot|div))")
_GSM8K_MARK = "####"


class NumberVerifier:
    """Compares numbers.

    Args:
        column: The column of the right number.
        tolerance: How far off a number that is not whole may be, relative to it.
    """

    def __init__(self, column: str = "answer", *, tolerance: float = TOLERANCE) -> None:
        self.name = "number"
        self._column = column
        self._tolerance = tolerance

    def check(self, row: Row) -> None:
        """Check that the reference is a number."""
        self._right(row)

    async def verify(self, row: Row, answer: str) -> Verdict:
        """Compare the answer's number with the reference."""
        right = self._right(row)
        found = of_answer(answer)
        if found is None:
            return Verdict(VerdictOutcome.NO_ANSWER, detail="no number in the answer")
        is_right = same(found, right, self._tolerance)
        return Verdict.of(is_right, found.text if is_right else f"{found.text}, not {right.text}")

    async def aclose(self) -> None:
        """Nothing was started."""

    def _right(self, row: Row) -> Number:
        text = required_text(row, self._column, self.name)
        right = whole(text.rpartition(_GSM8K_MARK)[2])
        if right is None:
            raise DataError(
                f"verifier number: column {self._column!r} is no number: {shorten(text)!r}",
                hint="`exact`, `math` or `choice` compare other answers; see docs/verifiers.md",
            )
        return right


def of_answer(answer: str) -> Number | None:
    """The number that an answer gives."""
    found = final_answer(answer)
    if found is not None and found.form is not AnswerForm.LAST_LINE:
        said = numbers(found.text)
        if said and found.form is AnswerForm.ANNOUNCED:
            return _worked_out(found.text) or said[0]
        if said:
            return said[-1]
    return next(reversed(numbers(answer)), None)


def _worked_out(text: str) -> Number | None:
    """The result of an announcement such as `2 + 3 = 5 apples`; None if it is none."""
    work, equals, result = text.rpartition("=")
    found = numbers(result)
    if not equals or not found or not _WORK.fullmatch(work):
        return None
    after = result.partition(found[0].text)[2]
    return None if _OPERATION.match(after) else found[0]


class Number(NamedTuple):
    """A number that was found in a text.

    Attributes:
        value: As it is written, the percent sign left out.
        percent: Whether a percent sign follows it.
        text: How it is written.
    """

    value: Fraction
    percent: bool
    text: str

    @property
    def readings(self) -> tuple[Fraction, ...]:
        """What it may mean: `12%` is 12 and 0.12."""
        return (self.value, self.value / 100) if self.percent else (self.value,)


def numbers(text: str) -> list[Number]:
    """All numbers of a text, in order."""
    text = text.translate(_SAME)
    found, position = [], 0
    while match := _NUMBER.search(text, position):
        position = max(match.end(), match.start() + 1)
        number = _number(text, match)
        if number is not None:
            found.append(number)
    return found


def whole(text: str) -> Number | None:
    """The number that a text is; None if it is none, or more than one."""
    text = text.translate(_SAME).strip()
    match = _NUMBER.fullmatch(text)
    return _number(text, match) if match else None


def same(found: Number, right: Number, tolerance: float = TOLERANCE) -> bool:
    """Whether two numbers count as the same.

    Whole numbers must be equal. Others may differ by `tolerance` times the right one. With a
    percent sign on either side, both of its readings are tried.
    """
    return any(_near(a, b, tolerance) for a in found.readings for b in right.readings)


def _near(found: Fraction, right: Fraction, tolerance: float) -> bool:
    if found == right:
        return True
    if found.denominator == 1 and right.denominator == 1:
        return False
    return abs(found - right) <= Fraction(tolerance) * abs(right)


def _number(text: str, match: re.Match[str]) -> Number | None:
    """The number that was matched; None if it has no value, or is a part of something else."""
    sign = match["sign"]
    before = text[: match.start()]
    if len(match[0]) > _MAX_DIGITS:
        return None
    if sign and _is_operation(before, is_apart=match[0][1:2].isspace()):
        sign = None
    elif not sign and _STUCK.search(before) and not before.endswith("."):
        return None
    try:
        value = _value(match)
    except (ZeroDivisionError, ValueError):
        return None
    if value is None:
        return None
    percent = bool(match["percent"])
    written = match[0] if sign else match[0].lstrip("+- ")
    return Number(-value if sign == "-" else value, percent, written.strip())


def _is_operation(before: str, *, is_apart: bool) -> bool:
    """Whether a plus or minus joins two terms, by what is before it.

    `5-3`, `x - 3` and `5 -3` are operations; `is -3` and `= - 3` are signs.
    """
    last = before.rstrip()[-1:]
    if last in ")]}%" or last.isdecimal():
        return bool(last)
    return last.isalnum() and (is_apart or not before[-1:].isspace())


def _value(match: re.Match[str]) -> Fraction | None:
    group = match.group
    if group("num") or group("num1"):
        return _decimal(group("num") or group("num1")) / _decimal(group("den") or group("den1"))
    if group("whole"):
        return _decimal(group("whole")) + Fraction(int(group("over")), int(group("under")))
    if group("top"):
        return _decimal(group("top")) / _decimal(group("bottom"))
    exponent = int(group("ten") or group("exp") or group("power") or 0)
    if abs(exponent) > _MAX_EXPONENT:
        return None
    factor = Fraction(10) ** exponent
    return factor if group("ten") else _decimal(group("decimal")) * factor


def _decimal(text: str) -> Fraction:
    return Fraction(re.sub(r"[^\d.-]", "", text))
