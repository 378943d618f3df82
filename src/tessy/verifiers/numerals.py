"""Numbers in texts. Pure; no I/O; linear.

docs/verifiers.md lists the ways of writing that are understood. Values are exact fractions, so
reading loses nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

TOLERANCE = 1e-6
"""How far off a number that is not whole may be, relative to the right one."""
_MAX_EXPONENT = 400
_MAX_DIGITS = 4000
"""Python reads no longer ones."""
BESIDE = 24
"""Characters around a number that tell whether it stands alone."""

_CURRENCY = r"(?:\\?[$€£¥₹₩₽₺₫₪])"
_GAP = r"(?:,\\!|,|\{,\}|\\[,!; ]|[~'’\u00a0\u2009\u202f])"
_BLANKS = r"\d{1,3}(?:[ ]\d{3})+(?![\d/%]|-\w|[ ]*/)"
_DIGITS = (
    rf"(?:\d{{1,3}}(?:{_GAP}\d{{3}})+(?!\d)|(?<!\d[ ]){_BLANKS}"
    r"|\d{1,2}(?:,\d\d){1,9},\d{3}(?!\d)|\d+(?:_\d+)*)"
)
_COMMA = (
    r"(?:\d{1,3}(?:\.\d{3}){1,9},\d+(?!\d)|\d{1,3}(?:\.\d{3}){2,9}(?![\d.])"
    r"|(?<![\d,(\[{])(?:0,\d+|\d+,(?:\d\d?|\d{4,}))(?![\d,]|\s*[)\]}])(?!/))"
)
_DECIMAL = rf"(?:{_COMMA}|{_DIGITS}(?:\.\d+)?|\.\d+)"
_TIMES = r"(?:\\times|\\cdot|[×·*x])"
_POWER = rf"(?:\s*{_TIMES}\s*10\s*(?:\^|\*\*)\s*\{{?\s*(?P<power>[+-]?\d+)\s*\}}?)"
_FRAC = r"\\[dtc]?frac\s*"
_NUMBER = re.compile(
    rf"""
    (?:(?P<sign>[+-])\s*)?(?:{_CURRENCY}\s*)?
    (?:
        (?:(?P<units>\d+)(?:\s|~|\\[,;\ !])*)?{_FRAC}
           (?:\{{\s*(?P<num>-?{_DECIMAL})\s*\}}\s*\{{\s*(?P<den>-?{_DECIMAL})\s*\}}
            |(?P<num1>\d)\s*(?:(?P<den1>\d)|\{{(?P<den2>\d+)\}})|\{{(?P<num2>\d+)\}}(?P<den3>\d))
      | (?P<whole>{_DIGITS})\s+(?:and\s+)?(?P<over>\d+)\s*/\s*(?P<under>\d+)(?![\d./])
      | (?P<top>{_DECIMAL})\s*/\s*(?P<bottom>{_DECIMAL})(?![\d/]|\.\d)
      | 10\s*(?:\^|\*\*)\s*\{{?\s*(?P<ten>[+-]?\d+)\s*\}}?
      | (?P<decimal>{_DECIMAL})(?:[eE](?P<exp>[+-]?\d+)(?!\w)|{_POWER})?
    )
    (?:\s*(?:\\text\{{\s*)?(?P<scale>hundred|thousand|million|billion|trillion)\b)?
    (?:\s*(?:\\text\{{\s*)?(?P<percent>\\?%|(?:percent|per[ ]cent|pct)\b))?
    """,
    re.X | re.I,
)
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_SAME = {
    **{ord(dash): "-" for dash in "−–—﹣-‐‑‒"},
    **{ord(slash): "/" for slash in "\u2044∕／"},
    **{code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},  # full width
    ord("٫"): ".", ord("٬"): ",", ord("٪"): "%", ord("，"): ",",
}  # fmt: skip
_VULGAR = {
    sign: unicodedata.normalize("NFKC", sign).replace("\u2044", "/") for sign in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
}
RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻"
"""Signs of powers."""
_LOWERED = str.maketrans(f"{RAISED}ⁿ", "0123456789+-n")
_UNDER_TWENTY = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORDS = {
    **{word: value for value, word in enumerate(re.findall(r"\w+", _UNDER_TWENTY))},
    **{word: 20 + 10 * value for value, word in enumerate(re.findall(r"\w+", _TENS))},
}
_WORD_SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9}
_ONE = rf"(?:{'|'.join(sorted((*_WORDS, *_WORD_SCALES), key=len, reverse=True))})"
_SPELLED = re.compile(
    rf"(?P<sign>minus\s|negative\s)?(?P<words>{_ONE}(?:(?:[\s-]+|\s+and\s+){_ONE})*)"
    r"(?:\s+(?!of\b|or\b|and\b|to\b)[a-z]+){0,2}\s*[.!]?",
    re.I,
)


class Number(NamedTuple):
    """A number that was found in a text.

    Attributes:
        value: As it is written, the percent sign left out.
        percent: Whether a percent sign follows it.
        text: How it is written.
        start: Where it begins in the text.
        end: Where it ends.
        others: Values that the text calls about the same.
    """

    value: Fraction
    percent: bool
    text: str
    start: int = 0
    end: int = 0
    others: tuple[Fraction, ...] = ()

    @property
    def values(self) -> tuple[Fraction, ...]:
        """What it may mean: `12%` is 12 and 0.12."""
        return (self.value, *([self.value / 100] if self.percent else []), *self.others)


def whole(text: str) -> Number | None:
    """The number that a text is; None if it is none, or more than one."""
    text = plain(text).strip()
    match = _NUMBER.fullmatch(text) if len(text) <= 2 * _MAX_DIGITS else None
    return _number(text, match) if match else None


def plain(text: str) -> str:
    """A text with one kind of minus, slash and digit width, and powers as `^{2}`."""
    text = text.translate(_SAME)
    text = lowered(text)
    text = re.sub(rf"(\d\s?)?([{''.join(_VULGAR)}])", _vulgar, text)
    return re.sub(r"\b(?:negative|minus)\s(?=\s?[\d.$\\€£])", "-", text, flags=re.I)


def lowered(text: str, signs: str = RAISED) -> str:
    """A text with powers as `^{2}` where it has raised signs."""
    return re.sub(f"[{signs}]+", lambda found: f"^{{{found[0].translate(_LOWERED)}}}", text)


def same(found: Number, right: Number, tolerance: float = TOLERANCE) -> bool:
    """Whether two numbers count as the same.

    Whole numbers must be equal. Others may differ by `tolerance` times the right one. With a
    percent sign on one side only, both of its values are tried.
    """
    if found.percent and right.percent:
        return _near(found.value, right.value, tolerance)
    return any(_near(a, b, tolerance) for a in found.values for b in right.values)


def _near(found: Fraction, right: Fraction, tolerance: float) -> bool:
    if found == right:
        return True
    if found.denominator == 1 and right.denominator == 1:
        return False
    return abs(found - right) <= Fraction(str(tolerance)) * abs(right)


def _vulgar(found: re.Match[str]) -> str:
    before, fraction = found[1], _VULGAR[found[2]]
    return f"{before.rstrip()} {fraction}" if before else fraction


def in_words(text: str) -> int | None:
    """The number that a text spells, with at most two more words (its unit); None if it is none."""
    found = _SPELLED.fullmatch(text.strip()) if len(text) <= 200 else None
    if found is None:
        return None
    total = part = 0
    for word in re.findall(r"[a-z]+", found["words"].lower()):
        if word == "hundred":
            part = max(part, 1) * 100
        elif word in _WORD_SCALES:
            total, part = total + max(part, 1) * _WORD_SCALES[word], 0
        elif word != "and":
            part += _WORDS[word]
    return -(total + part) if found["sign"] else total + part


def numbers_in(text: str) -> Iterator[Number]:
    """All numbers of a text that is `plain`."""
    position = 0
    while match := _NUMBER.search(text, position):
        position = max(match.end(), match.start() + 1)
        number = _number(text, match)
        if number is not None:
            yield number


def _number(text: str, match: re.Match[str]) -> Number | None:
    """The number that was matched; None if it has no value, or is a part of a word."""
    sign, start = match["sign"], match.start()
    if len(match[0]) > _MAX_DIGITS:
        return None
    before = text[max(0, start - BESIDE) : start]
    if sign and _is_operation(before, is_apart=match[0][1:2].isspace()):
        sign = None
    elif not sign and match[0][0].isdecimal() and (before[-1:].isalnum() or before[-1:] == "_"):
        return None
    try:
        value = _value(match)
    except (ZeroDivisionError, ValueError):
        return None
    if value is None:
        return None
    if match["scale"]:
        value *= 10 ** _SCALES[match["scale"].lower()]
    written = match[0] if sign else match[0].lstrip("+- ")
    return Number(
        -value if sign == "-" else value,
        bool(match["percent"]),
        written.strip(),
        match.end() - len(written),
        match.end(),
    )


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
    top = group("num") or group("num1") or group("num2")
    if top:
        bottom = group("den") or group("den1") or group("den2") or group("den3")
        return Fraction(group("units") or 0) + _decimal(top) / _decimal(bottom)
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
    """The value of a number without sign of exponent, with points and commas as they are used."""
    text = re.sub(r"[^\d.,-]", "", text)
    comma, point = text.rfind(","), text.rfind(".")
    if comma > point >= 0 or (
        "," in text and not re.fullmatch(r"-?\d+(,\d\d\d?)*,\d{3}(\.\d+)?", text)
    ):
        text = text.replace(".", "").replace(",", ".")
    elif comma >= 0 and text.startswith("0,"):
        text = text.replace(",", ".")
    elif text.count(".") > 1:
        text = text.replace(".", "")
    return Fraction(text.replace(",", ""))
