"""`reasoning-gym`: the answer is right by the scorer of the puzzle's own family.

Columns: `dataset`, the family's name (or `metadata.source_dataset`); `answer`; `metadata`, as
reasoning-gym makes them, an object or JSON text. Scorers give from 0 to 1; an answer is right from
1, or from the score that `?pass=0.9` sets.

Some scorers evaluate the answer as a Python expression, in the process that gives the score. So
in that process `eval` takes only literals, arithmetic and elementary functions
(`tessy.verifiers.gym_scores`): an answer can't call, look up or define anything else. And all of
it runs in the sandbox.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from tessy.errors import DataError
from tessy.verifiers.extract import candidates
from tessy.verifiers.limits import ProgramLimits, VerifierSettings
from tessy.verifiers.protocol import Row, Verdict, VerdictOutcome, from_json, required, shorten
from tessy.verifiers.sandbox import SandboxLibraries, probe
from tessy.verifiers.workers import CheckFailed, CheckWorkers, packages_of, preload_of

_LIMITS = ProgramLimits(cpu_s=20, wall_s=60, memory_mb=4096)
_PRELOAD = preload_of("gym_scores.py")
_NAMES = "from reasoning_gym.factory import DATASETS\nprint(*DATASETS)"
_PLAIN = re.compile(r"[\d\s()+*/-]+")
_ARITHMETIC = {"countdown", "puzzle24"}
"""Families whose answers are made of given numbers. Their scorers look for `\\d+` in the answer, so
see no number in `0x18`, `1e3` or `E`; that of `puzzle24` takes any four numbers."""


class GymVerifier:
    """Runs the scorer of a puzzle's family.

    Args:
        settings: Isolation, and how many scorers run at once.
        column: The column of the family's name.
        threshold: From which score an answer is right.

    Raises:
        MissingExtra: reasoning-gym is not installed.
        SandboxError: Programs can't be isolated here, and the settings ask for isolation.
    """

    def __init__(
        self, settings: VerifierSettings, column: str = "dataset", *, threshold: float = 1.0
    ) -> None:
        self.name = "reasoning-gym"
        self._column = column
        self._threshold = threshold
        packages = packages_of("reasoning_gym", self.name, "gym")
        libraries = SandboxLibraries(packages, _PRELOAD)
        settings = replace(settings, limits=_LIMITS)
        self._families = frozenset(probe(settings, libraries, _NAMES).split())
        self._workers = CheckWorkers(settings, libraries, "gym_scores", "scores")

    def check(self, row: Row) -> None:
        """Check that the family is known, and that the entry is there."""
        self._entry(row)

    async def verify(self, row: Row, answer: str) -> Verdict:
        """Score all that the answer may be; the best counts."""
        family, entry = self._entry(row)
        answers = candidates(answer)
        if not answers:
            return Verdict(VerdictOutcome.NO_ANSWER, detail="the answer is empty")
        if family in _ARITHMETIC:
            answers = [text for text in answers if _is_of(text, entry["metadata"].get("numbers"))]
            if not answers:
                said = f"{family}: no plain arithmetic with the numbers given"
                return Verdict(VerdictOutcome.WRONG, detail=said)
        try:
            scores = await self._workers.check(dataset=family, entry=entry, answers=answers)
        except CheckFailed as error:
            return Verdict(VerdictOutcome.ERROR, detail=shorten(f"{family}: {error}"))
        numbers = [score for score in scores if isinstance(score, float)]
        if not numbers:  # the scorer can make no sense of any
            return Verdict(VerdictOutcome.WRONG, detail=shorten(f"{family}: {scores[0]}"))
        best = max(numbers)
        is_right = best >= self._threshold
        outcome = VerdictOutcome.RIGHT if is_right else VerdictOutcome.WRONG
        return Verdict(outcome, min(max(best, 0.0), 1.0), f"{family}: {best:g}")

    async def aclose(self) -> None:
        """End the processes that scorers run in."""
        await self._workers.aclose()

    def _entry(self, row: Row) -> tuple[str, dict[str, Any]]:
        """The family, and the entry in the form that its scorer takes."""
        metadata = from_json(required(row, "metadata", self.name))
        if not isinstance(metadata, dict):
            raise DataError("verifier reasoning-gym: column 'metadata' must hold an object")
        family = row.get(self._column) or metadata.get("source_dataset")
        if not isinstance(family, str) or family not in self._families:
            raise DataError(
                f"verifier reasoning-gym: {family!r} is no family of puzzles",
                hint="the column `dataset`, or metadata.source_dataset, must name one",
            )
        question = row.get("prompt") or row.get("question") or ""
        return family, {"question": question, "answer": row.get("answer"), "metadata": metadata}


def _is_of(text: str, numbers: object) -> bool:
    """Whether a text is an expression of given whole numbers, each used once."""
    given = sorted(map(str, numbers)) if isinstance(numbers, list) else []
    return _PLAIN.fullmatch(text) is not None and sorted(re.findall(r"\d+", text)) == given
