r"""`code`: the program in the answer passes the question's tests, in the sandbox.

All tests must pass; the score is the share that did. What a program may do is in
docs/verifiers.md; the shapes of tests are in `tessy.verifiers.code_tests`. The program runs apart
from its tests: what it prints is compared outside, and what it returns goes to the test in another
sandbox, so it never sees an expected value.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Sequence
from math import isfinite

from tessy.verifiers.code_cpp import CompilerError, compiled
from tessy.verifiers.code_programs import completed, languages, program
from tessy.verifiers.code_tests import Suite, suite
from tessy.verifiers.limits import ProgramLimits, VerifierSettings
from tessy.verifiers.protocol import Row, Verdict, VerdictOutcome, shorten
from tessy.verifiers.sandbox import End, ProgramRun, ProgramTest, Sandbox

_TOLERANCE = 1e-6
"""How far a printed number with a fraction may be off: absolute, or as a share of the expected."""
_COMPLAINTS = {
    End.CPU: "more than {limits.cpu_s} s of processor time",
    End.WALL: "more than {limits.wall_s} s",
    End.MEMORY: "more than {limits.memory_mb} MiB of memory",
    End.OUTPUT: "more than {limits.output_kb} KiB of output",
    End.FILES: "too many files",
    End.NOT_RUN: "not run: all tests together took more than {limits.total_s} s",
    End.SIGNAL: "ended by signal {run.code}",
}
_PARSING = threading.Lock()
"""Python's parser is not safe for threads before 3.12 (cpython#106905)."""
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


class CodeVerifier:
    """Runs programs on tests.

    Args:
        settings: Isolation, limits, and how many run at once.
        column: The column of the tests; by default the first known column that is there.

    Raises:
        SandboxError: Programs can't be isolated here, and the settings ask for isolation.
    """

    def __init__(self, settings: VerifierSettings, column: str | None = None) -> None:
        self.name = "code"
        self._column = column
        self._limits = settings.limits
        self._sandbox = Sandbox(settings)

    def check(self, row: Row) -> None:
        """Check that there are tests."""
        with _PARSING:
            suite(row, self._column)

    async def verify(self, row: Row, answer: str) -> Verdict:
        """Run the answer's program on all tests."""
        tests, source = await asyncio.to_thread(_read, row, self._column, answer)
        if source is None and all(test.code is None for test in tests.tests):
            try:
                source = await compiled(answer, self._sandbox)
            except CompilerError as error:
                return error.verdict
        if source is None:
            said = ", ".join(languages(answer))
            detail = f"no Python program in the answer{said and f' (only {said})'}"
            return Verdict(VerdictOutcome.NO_ANSWER, detail=detail)
        runs = await self._sandbox.run(source, tests.tests)
        return judged(tests.tests, runs, self._limits)

    async def aclose(self) -> None:
        """Nothing stays: each program's sandbox ends with it."""


def _read(row: Row, column: str | None, answer: str) -> tuple[Suite, str | None]:
    """The tests, and the answer's program, completed by the question's text if that is code."""
    with _PARSING:
        tests = suite(row, column)
        source = program(answer, tests.names, reads=tests.reads)
        prompt = str(row.get("prompt") or "")
        if tests.entry_point and prompt:
            # A body alone is no program by itself, but it may be one after its head.
            source = completed(prompt, tests.entry_point, answer if source is None else source)
    return tests, source


# --- The verdict ----------------------------------------------------------------------------------


def judged(
    tests: Sequence[ProgramTest], runs: Sequence[ProgramRun], limits: ProgramLimits
) -> Verdict:
    """The verdict on a program's runs.

    Args:
        tests: The tests.
        runs: The run of each, in the same order.
        limits: Under which they ran.
    """
    complaints = [complaint(test, run, limits) for test, run in zip(tests, runs, strict=True)]
    passed = complaints.count(None)
    score = passed / len(tests)
    if passed == len(tests):
        return Verdict(VerdictOutcome.RIGHT, 1.0, f"{passed} of {len(tests)} tests passed")
    number, said = next((n, text) for n, text in enumerate(complaints, 1) if text is not None)
    detail = f"{passed} of {len(tests)} tests passed; test {number}: {said}"
    ends = {run.end for run, text in zip(runs, complaints, strict=True) if text}
    is_unknown = ends <= {End.LOST, End.BROKEN}
    outcome = VerdictOutcome.ERROR if is_unknown else VerdictOutcome.WRONG
    return Verdict(outcome, score, detail)


def complaint(test: ProgramTest, run: ProgramRun, limits: ProgramLimits) -> str | None:
    """Why a test did not pass, in a line; None if it did."""
    if run.end is End.BROKEN:
        return f"unsupported: {_last_error(run, 'the test says nothing about the answer')}"
    if run.end is End.LOST:
        return f"the sandbox broke: {_last_error(run, 'it ended too soon')}"
    if run.end is not End.EXIT:
        return _COMPLAINTS[run.end].format(limits=limits, run=run)
    if test.code is not None:
        return None if run.done else _last_error(run, "it left before the tests were through")
    if run.code:
        return _last_error(run, f"exit code {run.code}")
    if not test.expected or any(same_output(run.output, one) for one in test.expected):
        return None
    return f"printed {shorten(run.output, 40)!r}, not {shorten(test.expected[0], 40)!r}"


def _last_error(run: ProgramRun, otherwise: str) -> str:
    """The last line that a program wrote to standard error: the exception."""
    lines = run.errors.strip().splitlines()
    return shorten(lines[-1]) if lines else otherwise


def same_output(printed: str, expected: str) -> bool:
    """Whether a program printed the expected words, with any white space between them.

    Words are equal as texts; numbers with a fraction may be off by 1e-6, absolute or relative;
    `yes` and `no` may be in any case. The checkers of most contests compare in this way (testlib's
    `wcmp`, `rcmp6`, `nyesno`).
    """
    found, wanted = printed.split(), expected.split()
    return len(found) == len(wanted) and all(map(_same_word, found, wanted))


def _same_word(found: str, wanted: str) -> bool:
    if found == wanted:
        return True
    if wanted.casefold() in ("yes", "no"):
        return found.casefold() == wanted.casefold()
    if not (_NUMBER.fullmatch(found) and _NUMBER.fullmatch(wanted)):
        return False
    if wanted.lstrip("+-").isdigit():  # a whole number: exactly, but 5.0 is 5
        whole, _, zeros = found.partition(".")
        return bool(zeros) and not zeros.strip("0") and whole == wanted
    one, other = float(found), float(wanted)
    return isfinite(one) and abs(one - other) <= _TOLERANCE * max(1.0, abs(other))
