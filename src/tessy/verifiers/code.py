"""`code`: the program in the answer passes the question's tests, in the sandbox.

All tests must pass; the score is the share that did. What tests look like is told in
`tessy.verifiers.suites`, what a program may do in `tessy.verifiers.sandbox` and docs/verifiers.md.
"""

from __future__ import annotations

from tessy.verifiers import columns
from tessy.verifiers.cases import End, Run
from tessy.verifiers.limits import Limits, Settings
from tessy.verifiers.programs import completed, program
from tessy.verifiers.protocol import Outcome, Row, Verdict
from tessy.verifiers.sandbox import Sandbox
from tessy.verifiers.suites import Case, same_output, suite


class CodeVerifier:
    """Runs programs on tests.

    Args:
        settings: Isolation, limits, and how many run at once.
        column: Where the tests stand; by default the first known column that is there.

    Raises:
        SandboxError: Programs can't be isolated here, and nobody asked to run them without.
    """

    def __init__(self, settings: Settings, column: str | None = None) -> None:
        self.name = "code"
        self._column = column
        self._limits = settings.limits
        self._sandbox = Sandbox(settings)

    def check(self, row: Row) -> None:
        """See whether there are tests."""
        suite(row, self._column)

    async def verify(self, row: Row, answer: str) -> Verdict:
        """Run the answer's program on all tests."""
        tests = suite(row, self._column)
        source = program(answer)
        prompt = str(row.get("prompt") or "")
        if tests.entry_point and prompt:
            # A body alone is no program by itself, so it may be one only behind its head.
            source = completed(prompt, tests.entry_point, answer if source is None else source)
        if source is None:
            return Verdict(Outcome.NO_ANSWER, detail="no Python program in the answer")
        runs = await self._sandbox.run(source, [case.test for case in tests.cases])
        return judged(tests.cases, runs, self._limits)

    async def aclose(self) -> None:
        """Nothing stays: each program's sandbox ends with it."""


def judged(cases: tuple[Case, ...], runs: list[Run], limits: Limits) -> Verdict:
    """The verdict on a program's runs.

    Args:
        cases: The tests.
        runs: What came of each, in the same order.
        limits: Under which they ran.
    """
    wrong = [complaint(case, run, limits) for case, run in zip(cases, runs, strict=True)]
    passed = wrong.count(None)
    score = passed / len(cases)
    if passed == len(cases):
        return Verdict(Outcome.RIGHT, 1.0, f"{passed} of {len(cases)} tests passed")
    number, said = next((n, text) for n, text in enumerate(wrong, 1) if text is not None)
    detail = f"{passed} of {len(cases)} tests passed; test {number}: {said}"
    is_lost = all(run.end is End.LOST for run, text in zip(runs, wrong, strict=True) if text)
    return Verdict(Outcome.ERROR if is_lost else Outcome.WRONG, score, detail)


def complaint(case: Case, run: Run, limits: Limits) -> str | None:
    """Why a test did not pass, in a line; None if it did."""
    if run.end is not End.EXIT:
        return _ended(run, limits)
    if case.expected is None:
        return None if run.done else _said(run, "it left before the tests were through")
    if run.code:
        return _said(run, f"exit code {run.code}")
    if same_output(run.output, case.expected):
        return None
    printed, wanted = (columns.shorten(text, 40) for text in (run.output, case.expected))
    return f"printed {printed!r}, not {wanted!r}"


def _said(run: Run, otherwise: str) -> str:
    """The last line of a program's complaint: the exception."""
    lines = run.errors.strip().splitlines()
    return columns.shorten(lines[-1]) if lines else otherwise


def _ended(run: Run, limits: Limits) -> str:
    match run.end:
        case End.CPU:
            return f"more than {limits.cpu_s} s of processor time"
        case End.WALL:
            return f"more than {limits.wall_s} s"
        case End.MEMORY:
            return f"more than {limits.memory_mb} MiB of memory"
        case End.OUTPUT:
            return f"more than {limits.output_kb} KiB of output"
        case End.FILES:
            return "too many files"
        case End.NOT_RUN:
            return f"not run: all tests together took more than {limits.total_s} s"
        case End.SIGNAL:
            return f"ended by signal {run.code}"
        case _:
            return f"the sandbox broke: {_said(run, 'it ended too soon')}"
