"""Answers that forge a verdict, honest ones, and answers that are hard to read."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

from tessy.verifiers.limits import ProgramLimits, VerifierSettings
from tessy.verifiers.protocol import Verdict
from tessy.verifiers.registry import load
from torture.counts import Table
from verifiers.answers import CHOICE, EXACT, FORGED, HOSTILE_MATH, MATH, NUMBER, hostile_answers
from verifiers.forged import FORGED as PROGRAMS
from verifiers.forged import HONEST, STYLES
from verifiers.programs_of_others import fenced

_SETTINGS = VerifierSettings(at_once=2, limits=ProgramLimits(cpu_s=1, wall_s=2, memory_mb=512))
_LENGTH = 20_000
_READERS = {"number": 5, "exact": "five", "math": "x + 5", "choice": "B"}


async def verdicts(table: Table, folder: Path, tokenizers: Mapping[str, Path]) -> None:
    """Forged programs and expressions, all cases of the tests, and hostile text."""
    forged = [(f"{name}, {style}", STYLES[style], fenced(text)) for name, style, text in PROGRAMS]
    with table.row("`code`", "programs that forge a verdict", "never right") as row:
        for case, verdict in zip(forged, await _all("code", forged), strict=True):
            row.count(not verdict.passed, case[0])
    honest = [(style, STYLES[style], fenced(text)) for style, text in HONEST]
    with table.row("`code`", "honest programs of the same tests", "right") as row:
        for case, verdict in zip(honest, await _all("code", honest), strict=True):
            row.count(verdict.passed, f"{case[0]}: {verdict.detail}")
    sums = [(text, {"answer": "5 + x"}, f"\\boxed{{{text}}}") for text in FORGED]
    with table.row("`math`", "expressions that are programs", "never right") as row:
        for case, verdict in zip(sums, await _all("math", sums), strict=True):
            row.count(not verdict.passed, case[0])
    endless = [(text[:40], {"answer": "x + 5"}, f"\\boxed{{{text}}}") for text in HOSTILE_MATH]
    with table.row("`math`", "expressions that never end", "never right, and it goes on") as row:
        for case, verdict in zip(endless, await _all("math", endless), strict=True):
            row.count(not verdict.passed, case[0])
    for name, cases in {"number": NUMBER, "choice": CHOICE, "exact": EXACT, "math": MATH}.items():
        asked = [(str(case), _columns(case[1]), case[2]) for case in cases]
        with table.row(f"`{name}`", "answers with known verdicts", "the right one") as row:
            for case, verdict in zip(cases, await _all(name, asked), strict=True):
                row.count(verdict.outcome == case[0], f"{case}: {verdict.outcome}")
    for name, reference in _READERS.items():
        columns = {"answer": reference, "choices": ["one", "two", "three"]}
        answers = [(text[:20], columns, text) for text in hostile_answers(_LENGTH)]
        what = f"{_LENGTH:,} characters of one fragment again and again"
        with table.row(f"`{name}`", what, "a verdict in time, or refused at once") as row:
            for case, verdict in zip(answers, await _all(name, answers), strict=True):
                held = "no result within" not in verdict.detail
                row.count(held, f"{case[0]!r}: {verdict.detail}")


async def _all(name: str, cases: list[tuple[str, Mapping[str, Any], str]]) -> list[Verdict]:
    async with aclosing(load(name, _SETTINGS) if name == "code" else load(name)) as verifier:
        return await asyncio.gather(*(verifier.verify(case[1], case[2]) for case in cases))


def _columns(reference: object) -> Mapping[str, Any]:
    return reference if isinstance(reference, dict) else {"answer": reference}
