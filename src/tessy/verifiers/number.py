r"""`number`: the answer's number is the reference's.

The number of an answer is that of its `<answer>` or its box, the first one of its announcement
(see `tessy.verifiers.extract`), or, where these hold none, the last one of the last line that has
one. What is calculated (`2 + 3 = 5`) means the result. Numbers that are denied (`not 5`), labels
(`part 2`), in brackets beside another, or within an expression (`4\sqrt{2}`, `2:1`) are no
answers; where an answer may mean several numbers, or calculates without a result, it has none. The
reference is a number, a text with one number, or one after `####`, as in GSM8K.

Understood: `1,234.50`, `1 234`, `1'234`, `1,00,000`, `1.234,5`, `1,5`, `1{,}234`, `1_000`, `-5`,
`−5`, `negative 5`, `.5`, `3/4`, `\frac{3}{4}`, `\dfrac34`, `1 1/2`, `1½`, `3\frac12`, `12%`,
`12 percent`, `2 million`, `1.5e-3`, `1.5 × 10^{-3}`, `10⁶`, `\text{13}`, digits of any script,
with currency signs before and units after it; English words (`forty-two`). Values are exact
fractions, so reading loses nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from tessy.errors import DataError
from tessy.verifiers.extract import AnswerForm, boxed, final_answers, gives_up
from tessy.verifiers.limits import VerifierSettings
from tessy.verifiers.protocol import Row, Verdict, VerdictOutcome, required_text, shorten
from tessy.verifiers.reading import AnswerReader
from tessy.verifiers.spelled import spelled
from tessy.verifiers.workers import CheckFailed

TOLERANCE = 1e-6
"""How far off a number that is not whole may be, relative to the right one."""
_MAX_EXPONENT = 400
_MAX_DIGITS = 4000
"""Python reads no longer ones."""
_MAX_ANSWER = 1000
"""Characters of a final answer that are read; a number is at its beginning."""
_BESIDE = 24
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
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_UNIT_POWER = re.compile(r"(?<=[A-Za-z])(\s?\}?\s?)\^\s?\{?-?\d{1,2}\}?")
_ASIDE = re.compile(r"(?<![^\s\w%$*.}])\((?=[^()]*[A-Za-z])[^()]*\)|(?<=[\w%$*.}])\s*\([^()]*\)")
_WORK = re.compile(
    r"(?:\\[a-z]++|\\[^A-Za-z]|(?:\b|(?<=\d))[A-Za-z]\b|(?<=\d),(?=\d{3}\b)|[^A-Za-z\\,;:])*+"
)
"""Numbers, operators and variables, and no word."""
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
_LIST = re.compile(r"[\s\[({$]*-?\d[\d.]*(?:\s*[,;]\s*-?\d[\d.]*)+[\s\])}$.]*")
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
_EITHER = re.compile(r"[\s*$\\)]*(?:or|and|to|through|-|,)[\s*$\\(]*")
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


class NumberVerifier:
    """Compares numbers.

    Args:
        column: The column of the right number.
        tolerance: How far off a number that is not whole may be, relative to it.
        settings: How many long answers are read at once.
    """

    def __init__(
        self,
        column: str = "answer",
        *,
        tolerance: float = TOLERANCE,
        settings: VerifierSettings | None = None,
    ) -> None:
        self.name = "number"
        self._compare = AnswerReader(compare, settings)
        self._column = column
        self._tolerance = tolerance

    def check(self, row: Row) -> None:
        """Check that the reference is a number."""
        self._right(row)

    async def verify(self, row: Row, answer: str) -> Verdict:
        """Compare the answer's number with the reference."""
        right = self._right(row)
        try:
            said, is_right = await self._compare(answer, right=right, tolerance=self._tolerance)
        except CheckFailed as error:
            return Verdict(VerdictOutcome.ERROR, detail=str(error))
        if said is None:
            return Verdict(VerdictOutcome.NO_ANSWER, detail="no number in the answer")
        said = shorten(said)
        return Verdict.of(is_right, said if is_right else f"{said}, not {shorten(right)}")

    async def aclose(self) -> None:
        """End what reads long answers."""
        await self._compare.aclose()

    def _right(self, row: Row) -> str:
        text = required_text(row, self._column, self.name)
        if of_reference(text) is None:
            raise DataError(
                f"verifier number: column {self._column!r} is no number: {shorten(text)!r}",
                hint="`exact`, `math` or `choice` compare other answers; see docs/verifiers.md",
            )
        return text


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
    def readings(self) -> tuple[Fraction, ...]:
        """What it may mean: `12%` is 12 and 0.12."""
        return (self.value, *([self.value / 100] if self.percent else []), *self.others)


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
            if found.form is AnswerForm.LAST_LINE and spelled(text) is None:
                return _last(plain(answer))
            number = _said(text, is_alone=found.form is not AnswerForm.ANNOUNCED)
            if number is not None:
                return number
            in_words = spelled(text)
            if in_words is not None:
                return Number(Fraction(in_words), percent=False, text=text)
    except _Undecided:
        pass
    return None


def of_reference(text: str) -> Number | None:
    """The number that a reference gives; None if there is none, or more than one."""
    text = text.rpartition(_GSM8K_MARK)[2].strip()
    text = boxed(text) or text
    try:
        return whole(text) or _said(plain(text[:_MAX_ANSWER]), is_alone=True)
    except _Undecided:
        return None


def numbers(text: str) -> list[Number]:
    """All numbers of a text, in order."""
    return list(_numbers(plain(text)))


def whole(text: str) -> Number | None:
    """The number that a text is; None if it is none, or more than one."""
    text = plain(text).strip()
    match = _NUMBER.fullmatch(text) if len(text) <= 2 * _MAX_DIGITS else None
    return _number(text, match) if match else None


def plain(text: str) -> str:
    """A text with one kind of minus, slash and digit width, and powers as `^{2}`."""
    text = text.translate(_SAME)
    text = re.sub("[⁰¹²³⁴-⁹⁺⁻]+", lambda found: f"^{{{found[0].translate(_RAISED)}}}", text)
    text = re.sub(rf"(\d\s?)?([{''.join(_VULGAR)}])", _vulgar, text)
    return re.sub(r"\b(?:negative|minus)\s(?=\s?[\d.$\\€£])", "-", text, flags=re.I)


def same(found: Number, right: Number, tolerance: float = TOLERANCE) -> bool:
    """Whether two numbers count as the same.

    Whole numbers must be equal. Others may differ by `tolerance` times the right one. With a
    percent sign on one side only, both of its readings are tried.
    """
    if found.percent and right.percent:
        return _near(found.value, right.value, tolerance)
    return any(_near(a, b, tolerance) for a in found.readings for b in right.readings)


def _near(found: Fraction, right: Fraction, tolerance: float) -> bool:
    if found == right:
        return True
    if found.denominator == 1 and right.denominator == 1:
        return False
    return abs(found - right) <= Fraction(tolerance) * abs(right)


def _vulgar(found: re.Match[str]) -> str:
    before, fraction = found[1], _VULGAR[found[2]]
    return f"{before.rstrip()} {fraction}" if before else fraction


# --- Which number is meant ------------------------------------------------------------------------


def _said(text: str, *, is_alone: bool) -> Number | None:
    """The number of a final answer; None if there is no number in it.

    Args:
        text: What a tag or box holds, or what is announced.
        is_alone: It is a tag's or a box's, which should hold nothing but the number.

    Raises:
        _Undecided: There are several, or it is part of an expression, or denied.
    """
    if gives_up(text):
        raise _Undecided
    if is_alone and "\n" in text:
        text = next((line for line in reversed(text.split("\n")) if any(_numbers(line))), text)
    text = _without_asides(_UNIT_POWER.sub(r"\1", text))
    sides = _ABOUT.split(text)
    if len(sides) > 1:
        return _about(sides, is_alone=is_alone)
    every = list(_numbers(text))
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
    return len(re.findall(r"[^\W\d_]{2,}", text[: first.start])) > 4


def _about(sides: list[str], *, is_alone: bool) -> Number:
    """The number of `1/3 ≈ 0.333`: either side may be compared.

    Raises:
        _Undecided: Neither side is a number.
    """
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
    """The last number of the last line that has one; None if it denies that there is an answer.

    Raises:
        _Undecided: It is part of an expression.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and gives_up(lines[-1]):
        return None
    for line in reversed(lines):
        if not _DIGIT.search(line) or _ASIDE.fullmatch(line.strip()):
            continue
        if len(line) > _MAX_ANSWER:
            line = line[-_MAX_ANSWER:].partition(" ")[2]
        line = _without_asides(_UNIT_POWER.sub(r"\1", _MARKER.sub("", line, count=1)))
        every = [number for number in _numbers(line) if not _is_label(line, number)]
        if not every:
            continue
        bold = _BOLD.findall(line)
        if len(bold) == 1 and any(_numbers(bold[0])):
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
    return shorter if any(_numbers(shorter)) else text


def _worked_out(text: str) -> Number | None:
    """The result of a calculation such as `2 + 3 = 5 apples`; None if it is none.

    Raises:
        _Undecided: The result is an expression.
    """
    work, equals, result = text.rpartition("=")
    found = next(_numbers(result), None)
    if not equals or found is None or not _WORK.fullmatch(work):
        return None
    if _stands_alone(result, found):
        return found
    if any(_stands_alone(work, number) for number in _numbers(work)):
        return None  # 5 = 2 + 3
    raise _Undecided


def _stands_alone(text: str, number: Number) -> bool:
    """Whether a number is neither part of an expression nor denied."""
    before = text[max(0, number.start - _BESIDE) : number.start]
    if _JOINED_BEFORE.search(before) or _JOINED_AFTER.match(text, number.end):
        return False
    return not (_NOT.search(before) or _BOUND.search(before))


def _is_label(text: str, number: Number) -> bool:
    return bool(_LABEL.search(text[max(0, number.start - _BESIDE) : number.start]))


# --- Reading numbers ------------------------------------------------------------------------------


def _numbers(text: str) -> Iterator[Number]:
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
    before = text[max(0, start - _BESIDE) : start]
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
