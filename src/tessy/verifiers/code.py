r"""`code`: the program in the answer passes the question's tests, in the sandbox.

All tests must pass; the score is the share that did. What a program may do is in
`tessy.verifiers.sandbox` and docs/verifiers.md. Tests have one of three shapes:

- `tests`: pairs of input and output, `[["1 2\n", "3\n"], …]`, or objects,
  `[{"input": …, "output": …}, …]`, or `{"inputs": […], "outputs": […]}`; the program runs on
  each input.
- `test` and `entry_point`, as in HumanEval: code that defines `check(candidate)`, or that asserts
  by itself if there is no `entry_point`. One test.
- `test_list`, as in MBPP: a list of statements, each a test; with `test_setup_code` (text) or
  `test_imports` (a list) before each, if there are any.

A column may also hold any of these as JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tessy.errors import DataError
from tessy.verifiers.limits import ProgramLimits, VerifierSettings
from tessy.verifiers.programs import completed, program
from tessy.verifiers.protocol import Row, Verdict, VerdictOutcome, present, required, shorten
from tessy.verifiers.sandbox import End, ProgramRun, ProgramTest, Sandbox

_COLUMNS = ("tests", "test_list", "test")


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
        suite(row, self._column)

    async def verify(self, row: Row, answer: str) -> Verdict:
        """Run the answer's program on all tests."""
        tests = suite(row, self._column)
        source = program(answer)
        prompt = str(row.get("prompt") or "")
        if tests.entry_point and prompt:
            # A body alone is no program by itself, but it may be one after its head.
            source = completed(prompt, tests.entry_point, answer if source is None else source)
        if source is None:
            return Verdict(VerdictOutcome.NO_ANSWER, detail="no Python program in the answer")
        runs = await self._sandbox.run(source, tests.tests)
        return judged(tests.tests, runs, self._limits)

    async def aclose(self) -> None:
        """Nothing stays: each program's sandbox ends with it."""


# --- The tests of a question ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Suite:
    """All tests of a question.

    Attributes:
        tests: In order; at least one.
        entry_point: The function that the question asks for, if it asks for one.
    """

    tests: tuple[ProgramTest, ...]
    entry_point: str | None = None


def suite(row: Row, column: str | None = None) -> Suite:
    r"""The tests of a question.

    Args:
        row: Its columns.
        column: The column of its tests; by default the first of `tests`, `test_list` and `test`.

    Raises:
        DataError: There are none, or they have no known shape.
    """
    name = column or next((name for name in _COLUMNS if row.get(name)), None)
    if name is None:
        raise DataError(
            f"verifier code: none of {', '.join(_COLUMNS)} is there (only {present(row)})",
            hint="code:COLUMN reads another column",
        )
    value = required(row, name, "code")
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        with suppress(ValueError):  # else it is code
            value = json.loads(value)
    entry_point = row.get("entry_point")
    tests = tuple(_tests(value, row, name))
    if not tests:
        raise DataError(f"verifier code: column {name!r} holds no test")
    return Suite(tests, str(entry_point) if entry_point else None)


def _tests(value: Any, row: Row, name: str) -> Iterator[ProgramTest]:
    if isinstance(value, str):
        call = f"\ncheck({row['entry_point']})\n" if row.get("entry_point") else ""
        yield ProgramTest(code=value + call)
        return
    if isinstance(value, dict) and isinstance(value.get("inputs"), list):
        outputs = value.get("outputs")
        if not isinstance(outputs, list) or len(outputs) != len(value["inputs"]):
            raise DataError(f"verifier code: {name}.outputs must be as many as {name}.inputs")
        value = list(zip(value["inputs"], outputs, strict=True))
    if not isinstance(value, list | tuple):
        raise DataError(
            f"verifier code: column {name!r} must hold tests, not {type(value).__name__}",
            hint='[["input", "output"], …], or a list of asserts, or code that asserts',
        )
    setup = _setup(row)
    for number, item in enumerate(value):
        match item:
            case str():
                yield ProgramTest(code=setup + item)
            case {"input": str(stdin), "output": str(expected)}:
                yield ProgramTest(stdin, expected=expected)
            case [str(stdin), str(expected)]:
                yield ProgramTest(stdin, expected=expected)
            case _:
                raise DataError(
                    f"verifier code: {name}[{number}] is no test",
                    hint='["input", "output"] or {"input": …, "output": …}, both text; or an '
                    "assert",
                )


def _setup(row: Row) -> str:
    imports = row.get("test_imports")
    lines = [str(line) for line in imports] if isinstance(imports, list) else []
    setup = row.get("test_setup_code")
    lines += [str(setup)] if setup else []
    return "".join(f"{line}\n" for line in lines)


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
    is_lost = all(run.end is End.LOST for run, text in zip(runs, complaints, strict=True) if text)
    outcome = VerdictOutcome.ERROR if is_lost else VerdictOutcome.WRONG
    return Verdict(outcome, score, detail)


def complaint(test: ProgramTest, run: ProgramRun, limits: ProgramLimits) -> str | None:
    """Why a test did not pass, in a line; None if it did."""
    match run.end:
        case End.EXIT:
            return _exit_complaint(test, run)
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
        case End.LOST:
            return f"the sandbox broke: {_last_error(run, 'it ended too soon')}"


def _exit_complaint(test: ProgramTest, run: ProgramRun) -> str | None:
    """Why a program that ended by itself did not pass."""
    if test.expected is None:
        return None if run.done else _last_error(run, "it left before the tests were through")
    if run.code:
        return _last_error(run, f"exit code {run.code}")
    if same_output(run.output, test.expected):
        return None
    return f"printed {shorten(run.output, 40)!r}, not {shorten(test.expected, 40)!r}"


def _last_error(run: ProgramRun, otherwise: str) -> str:
    """The last line that a program wrote to standard error: the exception."""
    lines = run.errors.strip().splitlines()
    return shorten(lines[-1]) if lines else otherwise


def same_output(printed: str, expected: str) -> bool:
    """Whether a program printed the expected words, with any white space between them.

    The checkers of most contests compare in this way (testlib's `wcmp`).
    """
    return printed.split() == expected.split()
