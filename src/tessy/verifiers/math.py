r"""`math`: the answer is mathematically equal to the reference, by math-verify.

The reference is LaTeX or plain (`\frac{1}{2}`, `1/2`, `x^2+1`, `\{1, 2\}`). math-verify finds the
answer's expression (a box first, then LaTeX, then plain ones; the last counts) and compares the
two with SymPy: numbers, sets, intervals, matrices, equations. If there is an
`<answer>…</answer>`, only that is read.

math-verify has signal alarms against expressions that never end, which work only in a main thread
and not within SymPy's C code; here each check is a process of its own with a limit on its time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tessy.errors import SandboxError
from tessy.verifiers.extract import AnswerForm, final_answer, tagged
from tessy.verifiers.limits import ProgramLimits, VerifierSettings
from tessy.verifiers.protocol import Row, Verdict, VerdictOutcome, required_text, shorten
from tessy.verifiers.sandbox import SandboxLibraries, probe
from tessy.verifiers.workers import CheckFailed, CheckWorkers, packages_of

_LIMITS = ProgramLimits(cpu_s=10, memory_mb=4096)
_PRELOAD = """\
import json
from math_verify import parse, verify
assert verify(parse("$\\\\frac{1}{2}$"), parse("0.5"))  # its grammar takes long to be ready
"""
_PROGRAM = """\
import json, logging, os, sys
from math_verify import parse, verify
logging.disable(logging.CRITICAL)
ask = json.load(sys.stdin)
def read(texts):
    return next((found for found in map(parse, texts) if found), [])
gold, found = read(ask["gold"]), read(ask["answer"])
right = bool(gold and found and verify(gold, found))
said = str(found[-1]) if found else None
print(json.dumps({"gold": bool(gold), "right": right, "found": said}), flush=True)
os._exit(0)  # taking a library apart takes longer than a check
"""


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
        libraries = SandboxLibraries(packages_of("math_verify", "math", "math-verify"), _PRELOAD)
        settings = replace(settings, limits=_LIMITS)
        try:
            probe(settings, libraries, "")
        except SandboxError:
            # No answer is run here, only read: without isolation a check still has its limits.
            settings = replace(settings, unsafe_no_sandbox=True)
            probe(settings, libraries, "")
        self._workers = CheckWorkers(settings, libraries, _PROGRAM)

    def check(self, row: Row) -> None:
        """Check that there is a reference; whether it can be read shows at the first answer."""
        required_text(row, self._column, self.name)

    async def verify(self, row: Row, answer: str) -> Verdict:
        """Compare the answer's expression with the reference."""
        gold = required_text(row, self._column, self.name)
        try:
            result = await self._workers.check({"gold": _readings(gold), "answer": _texts(answer)})
        except CheckFailed as error:
            return Verdict(VerdictOutcome.ERROR, detail=shorten(f"math-verify: {error}"))
        return _verdict(result, gold)

    async def aclose(self) -> None:
        """End the processes that checks run in."""
        await self._workers.aclose()


def _verdict(result: dict[str, Any], gold: str) -> Verdict:
    if not result["gold"]:
        return Verdict(VerdictOutcome.ERROR, detail=f"the reference can't be read: {shorten(gold)}")
    if result["found"] is None:
        return Verdict(VerdictOutcome.NO_ANSWER, detail="no expression in the answer")
    found = shorten(result["found"])
    is_right = result["right"]
    return Verdict.of(is_right, found if is_right else f"{found}, not {shorten(gold)}")


def _readings(gold: str) -> list[str]:
    """The texts to read a reference from: as mathematics, whether it is marked as such or not."""
    return [gold] if "$" in gold or "\\boxed" in gold else [f"${gold}$", gold]


def _texts(answer: str) -> list[str]:
    """The texts to look for the answer's expression in, in order."""
    inside = tagged(answer)
    if inside is not None:
        return [f"${inside}$", inside]
    found = final_answer(answer)
    is_marked = found is not None and found.form is not AnswerForm.LAST_LINE
    return [answer, *([f"${found.text}$"] if found and is_marked else [])]
