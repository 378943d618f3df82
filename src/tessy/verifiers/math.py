r"""`math`: the answer is mathematically equal to the reference, by math-verify.

The reference is LaTeX or plain (`\frac{1}{2}`, `1/2`, `x^2+1`, `\{1, 2\}`). `math_expressions`
finds the answer's. Two that are written alike are equal; two plain numbers are compared as
`number` does; a reference that is words (`\text{east}`, `June 20`) only has to be the same words.
All else is parsed by math-verify's grammar and compared with SymPy: numbers, terms, sets,
intervals, matrices, equations.

A comparison can take forever. Each is a process of its own, with a limit on its time and memory.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from tessy.errors import SandboxError
from tessy.verifiers import math_expressions as written
from tessy.verifiers.extract import AnswerForm, bare, boxed, gives_up
from tessy.verifiers.limits import ProgramLimits, VerifierSettings
from tessy.verifiers.numerals import same, whole
from tessy.verifiers.protocol import Row, Verdict, VerdictOutcome, required_text, shorten
from tessy.verifiers.sandbox import SandboxLibraries, probe
from tessy.verifiers.workers import AnswerReader, CheckFailed, CheckWorkers, packages_of, preload_of

_LIMITS = ProgramLimits(cpu_s=10, memory_mb=4096)
PRELOAD = preload_of("math_equality.py")
_ONE_LETTER = re.compile(r"(.*[\d}])\s+[A-Za-z]$", re.S)


class MathVerifier:
    """Compares expressions.

    Args:
        settings: Isolation, and how many checks run at once.
        column: The column of the right answer.

    Raises:
        MissingExtra: math-verify is not installed.
        SandboxError: It can't be run at all.
    """

    def __init__(self, settings: VerifierSettings, column: str = "answer") -> None:
        self.name = "math"
        self._column = column
        self._expression = AnswerReader(written.expression, settings)
        libraries = SandboxLibraries(packages_of("math_verify", "math", "verify"), PRELOAD)
        settings = replace(settings, limits=_LIMITS)
        try:
            probe(settings, libraries, "")
        except SandboxError:
            # No answer is run here, only read: without isolation a check still has its limits.
            settings = replace(settings, unsafe_no_sandbox=True)
            probe(settings, libraries, "")
        self._workers = CheckWorkers(settings, libraries, "math_equality", "check")

    def check(self, row: Row) -> None:
        """Check that there is a reference; whether it can be read shows at the first answer."""
        required_text(row, self._column, self.name)

    async def verify(self, row: Row, answer: str) -> Verdict:
        """Compare the answer's expression with the reference."""
        gold = required_text(row, self._column, self.name)
        gold = boxed(gold) or bare(gold)
        if not 0 < len(gold.strip()) <= written.MAX_LENGTH:
            return _unreadable(gold)
        try:
            said, form = await self._expression(answer) or ("", None)
            is_right = at_a_glance(gold, said)
            is_prose = form == AnswerForm.LAST_LINE and written.is_text(said)
            if not said or (not is_right and (gives_up(said) or (is_prose and is_right is None))):
                return _no_expression(said)
            if is_right is not None:
                return Verdict.compared(said, gold, is_right=is_right)
            result = await self._workers.check(**to_compare(gold, said))
        except CheckFailed as error:
            return Verdict(VerdictOutcome.ERROR, detail=shorten(f"math-verify: {error}"))
        return _of_result(result, gold, said)

    async def aclose(self) -> None:
        """End the processes that checks run in."""
        await self._expression.aclose()
        await self._workers.aclose()


def at_a_glance(gold: str, said: str) -> bool | None:
    """Whether an expression is the reference, where that takes no algebra; None where it does."""
    if written.plain_words(gold) == written.plain_words(said):
        return True
    if written.is_text(gold):
        return False
    if re.search("[,_]", gold + said):
        return None  # 1,5 is a list here, and 101_2 has a base
    one, other = whole(gold), whole(said)
    return None if one is None or other is None else same(other, one)


def to_compare(gold: str, said: str) -> dict[str, list[str]]:
    """The expressions to compare, of the reference and of an answer.

    A percent sign, a unit or the base of a number counts only if both have one.
    """
    both = [written.without_unit(written.written_alike(text)) for text in (gold, said)]
    bases = [written.without_base(text) for text in both]
    if "" in (bases[0][1], bases[1][1]) or bases[0][1] == bases[1][1]:
        both = [text for text, _ in bases]
    percents = [written.without_percent(text) for text in both]
    lists = [[written.both_signs(text)] for text, _ in percents]
    if percents[0][1] != percents[1][1]:
        lists[percents[1][1]].append(f"\\frac{{{percents[percents[1][1]][0]}}}{{100}}")
    letter = _ONE_LETTER.match(both[1])
    if letter and not re.search("[A-Za-z]", both[0]):
        lists[1].append(letter[1])
    return {"gold": lists[0], "answer": lists[1]}


def _of_result(result: dict[str, Any], gold: str, said: str) -> Verdict:
    if result.get("error"):
        return Verdict(VerdictOutcome.ERROR, detail=shorten(f"math-verify: {result['error']}"))
    if not result["gold"]:
        return _unreadable(gold)
    if not result["found"]:
        return _no_expression(said)
    return Verdict.compared(said, gold, is_right=result["right"])


def _no_expression(said: str) -> Verdict:
    detail = f"no expression in the answer: {shorten(said)}"
    return Verdict(VerdictOutcome.NO_ANSWER, detail=detail)


def _unreadable(gold: str) -> Verdict:
    return Verdict(VerdictOutcome.ERROR, detail=f"the reference can't be read: {shorten(gold)}")
