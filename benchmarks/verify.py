"""The figures of docs/verifiers.md: `python benchmarks/verify.py`, some minutes on two cores.

Runs the bundled solutions of 189 contest problems and the 164 of HumanEval on all of their tests,
then a mutant of each, and prints the verdicts, the times, and the cost of a start.
"""

from __future__ import annotations

import asyncio
import os
import platform
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "verifiers"))

from programs_of_others import contest, fenced, humaneval, mutant

from tessy.event_loop import run_loop
from tessy.verifiers.code import CodeVerifier
from tessy.verifiers.limits import ProgramLimits, VerifierSettings
from tessy.verifiers.protocol import Row, Verdict
from tessy.verifiers.sandbox import ProgramTest, Sandbox

MUTANTS = ProgramLimits(cpu_s=2, total_s=20)


async def main() -> None:
    """Print all figures."""
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    usual = CodeVerifier(VerifierSettings())
    strict = CodeVerifier(VerifierSettings(limits=MUTANTS))
    problems, functions = contest(), humaneval()
    solutions = [problem["python_solution"] for problem in problems]
    whole = [row["prompt"] + row["canonical_solution"] for row in functions]
    await report("contest solutions", usual, problems, solutions)
    await report("HumanEval solutions", usual, functions, whole)
    mutants = [mutant(source, seed) for seed, source in enumerate(solutions)]
    verdicts = await report("contest mutants", strict, problems, mutants)
    survivors(problems, verdicts)
    bodies = [fenced_body(row) for row in functions]
    await report("HumanEval, `return None`", usual, functions, bodies)
    await costs()


def fenced_body(row: Row) -> str:
    """A body that is wrong."""
    return f"{row['prompt']}    return None\n"


async def report(
    name: str, verifier: CodeVerifier, rows: list[dict], sources: list[str]
) -> list[Verdict]:
    """Verify, and print a line."""
    started = time.monotonic()
    verdicts = await asyncio.gather(*map(verifier.verify, rows, map(fenced, sources)))
    seconds = time.monotonic() - started
    outcomes = Counter(verdict.outcome.value for verdict in verdicts)
    tests = sum(len(row.get("tests", [1])) for row in rows)
    said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    print(f"{name}: {said}; {tests} tests; {seconds:.0f} s", flush=True)
    return verdicts


def survivors(problems: list[dict], verdicts: list[Verdict]) -> None:
    """Name the mutants that pass all tests: they print the same on each."""
    alive = [p["id"] for p, v in zip(problems, verdicts, strict=True) if v.passed]
    print(f"  mutants that pass all their tests: {', '.join(alive) or 'none'}")


async def costs() -> None:
    """What a sandbox costs, and a further test in it."""
    sandbox = Sandbox(VerifierSettings(at_once=1))
    for tests, times in ((1, 50), (200, 2)):
        started = time.monotonic()
        for _ in range(times):
            await sandbox.run("print(input())", [ProgramTest("x\n")] * tests)
        milliseconds = 1000 * (time.monotonic() - started) / times
        print(f"a program with {tests} tests: {milliseconds:.0f} ms")


if __name__ == "__main__":
    run_loop(main())
