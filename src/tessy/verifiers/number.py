"""`number`: the answer's number is the reference's.

The number of an answer is the last one in its `<answer>` or its box, the first one in its
announcement (see `tessy.verifiers.extract`), or, where these hold none, the last one of the whole
answer. An announcement that works it out without a word (`the answer is 2 + 3 = 5`) is what it
comes to. The reference is a number, a text that is one, or a text with one behind `####`, as in
GSM8K.
"""

from __future__ import annotations

import re

from tessy.errors import DataError
from tessy.verifiers import columns
from tessy.verifiers.extract import Way, final_answer
from tessy.verifiers.numbers import TOLERANCE, Number, numbers, same, whole
from tessy.verifiers.protocol import Outcome, Row, Verdict

_GSM8K_MARK = "####"


class NumberVerifier:
    """Compares numbers.

    Args:
        column: Where the right number stands.
        tolerance: By how much, relative to it, a number that is not whole may be off.
    """

    def __init__(self, column: str = "answer", *, tolerance: float = TOLERANCE) -> None:
        self.name = "number"
        self._column = column
        self._tolerance = tolerance

    def check(self, row: Row) -> None:
        """See whether the reference is a number."""
        self._right(row)

    async def verify(self, row: Row, answer: str) -> Verdict:
        """Compare the answer's number with the reference."""
        right = self._right(row)
        found = of_answer(answer)
        if found is None:
            return Verdict(Outcome.NO_ANSWER, detail="no number in the answer")
        is_right = same(found, right, self._tolerance)
        return Verdict.of(is_right, found.text if is_right else f"{found.text}, not {right.text}")

    async def aclose(self) -> None:
        """Nothing was started."""

    def _right(self, row: Row) -> Number:
        text = columns.text(row, self._column, self.name)
        right = whole(text.rpartition(_GSM8K_MARK)[2])
        if right is None:
            raise DataError(
                f"verifier number: column {self._column!r} is no number: {columns.shorten(text)!r}",
                hint="`exact`, `math` or `choice` compare other answers; see docs/verifiers.md",
            )
        return right


def of_answer(answer: str) -> Number | None:
    """The number that an answer says."""
    found = final_answer(answer)
    if found is not None and found.way is not Way.LAST_LINE:
        said = numbers(found.text)
        if said and found.way is Way.ANNOUNCED:
            return _worked_out(found.text) or said[0]
        if said:
            return said[-1]
    return next(reversed(numbers(answer)), None)


_WORK = re.compile(
    r"(?:\\[a-z]+|\\[^A-Za-z]|(?:\b|(?<=\d))[A-Za-z]\b|(?<=\d),(?=\d{3}\b)|[^A-Za-z\\,;:])*"
)
"""Numbers, operators and variables, and no word."""
_OPERATION = re.compile(r"\s*(?:[-+*/^×·÷−]|\\(?:times|cdot|div))")


def _worked_out(text: str) -> Number | None:
    """What an announcement such as `2 + 3 = 5 apples` comes to; None if it is no such thing."""
    work, equals, result = text.rpartition("=")
    found = numbers(result)
    if not equals or not found or not _WORK.fullmatch(work):
        return None
    behind = result.partition(found[0].text)[2]
    return None if _OPERATION.match(behind) else found[0]
