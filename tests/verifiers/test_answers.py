"""How answers are marked: tables of them, what never changes a verdict, and hostile ones."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path

import pytest
from answers import CHOICE, EXACT, FORGED, HOSTILE_MATH, MATH, NUMBER, hostile_answers
from hypothesis import example, given
from hypothesis import strategies as st

from tessy.verifiers import math, workers
from tessy.verifiers.choice import Choices, choice_of
from tessy.verifiers.exact import compare
from tessy.verifiers.extract import candidates, final_answers
from tessy.verifiers.limits import ProgramLimits, VerifierSettings
from tessy.verifiers.math_expressions import expression
from tessy.verifiers.number import of_answer, of_reference
from tessy.verifiers.protocol import VerdictOutcome
from tessy.verifiers.registry import load

SHARED = Path(__file__).parents[3] / "shared" / "cases"
DISPUTED = {
    # It makes no choice at all: nothing in it could be an answer.
    ("choice", "A good answer can't be given here."): "no_answer",
}
RIGHT, WRONG = VerdictOutcome.RIGHT, VerdictOutcome.WRONG


def shared(kind):
    """The cases of others, if they lie beside the repository."""
    file = SHARED / f"{kind}.jsonl"
    lines = file.read_text("utf-8").splitlines() if file.is_file() else []
    cases = [tuple(json.loads(line)) for line in lines if line.startswith("[")]
    return [(DISPUTED.get((kind, said), want), gold, said) for want, gold, said in cases]


async def wrongly_marked(verifier, cases):
    """The cases whose verdict is another one."""
    found = []
    for want, gold, said in cases:
        row = gold if isinstance(gold, dict) else {"answer": gold}
        verifier.check(row)
        verdict = await verifier.verify(row, said)
        if verdict.outcome != want:
            found.append((want, gold, said, verdict))
    return found


@pytest.mark.parametrize(
    ("kind", "cases"), [("number", NUMBER), ("choice", CHOICE), ("exact", EXACT)]
)
async def test_answers_are_marked_as_a_careful_teacher_marks_them(kind, cases):
    async with aclosing(load(kind)) as verifier:
        assert await wrongly_marked(verifier, [*cases, *shared(kind)]) == []


class OneProcess:
    """Judges all expressions in one process, for speed; the program is that of `math`."""

    def __init__(self, settings, libraries, module, name):
        assert (module, name) == ("math_equality", "check")
        loop = (
            "import json, sys\n"
            "sys.addaudithook(math_equality.refuse_to_compile)\n"
            "for line in sys.stdin:\n"
            "    print(json.dumps(math_equality.judge(**json.loads(line))), flush=True)\n"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", libraries.preload + loop],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    async def check(self, **request):
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    async def aclose(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


async def test_mathematics_is_marked_as_a_careful_teacher_marks_it(monkeypatch):
    monkeypatch.setattr(math, "CheckWorkers", OneProcess)
    forged = [("5 + x", f"\\boxed{{{said}}}") for said in FORGED]
    async with aclosing(load("math")) as verifier:
        assert await wrongly_marked(verifier, [*MATH, *shared("math")]) == []
        for gold, said in forged:
            verdict = await verifier.verify({"answer": gold}, said)
            assert not verdict.passed, said


def test_no_text_is_evaluated_where_expressions_are_compared():
    program = """
import sympy
sys.addaudithook(math_equality.refuse_to_compile)
tries = [
    lambda: sympy.sympify("__import__('os').getpid()"),
    lambda: sympy.Number("len('12345')"),
    lambda: sympy.lambdify([], sympy.Symbol("print(5)"))(),
    lambda: eval("5"),
    lambda: exec("x = 5"),
]
for number, attempt in enumerate(tries):
    try:
        print(number, attempt())
    except (RuntimeError, sympy.SympifyError) as error:
        print(type(error).__name__)
"""
    done = subprocess.run(
        [sys.executable, "-c", math.PRELOAD + program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["SympifyError"] * 2 + ["RuntimeError"] * 3


async def test_expressions_that_never_end_are_errors_of_one_answer(monkeypatch):
    monkeypatch.setattr(math, "_LIMITS", ProgramLimits(cpu_s=1, wall_s=60, memory_mb=2048))
    async with aclosing(load("math", VerifierSettings(at_once=2))) as verifier:
        row = {"answer": "\\sqrt{5} + x"}
        tasks = [verifier.verify(row, f"\\boxed{{{said}}}") for said in HOSTILE_MATH[::3]]
        verdicts = await asyncio.gather(*tasks)
        assert not any(verdict.passed for verdict in verdicts)
        assert any(verdict.outcome is VerdictOutcome.ERROR for verdict in verdicts)
        assert (await verifier.verify(row, "\\boxed{x + \\sqrt{5}}")).passed


# --- What does not change a verdict ---------------------------------------------------------------

numbers = st.one_of(
    st.integers(-(10**12), 10**12),
    st.decimals(-(10**6), 10**6, places=3, allow_nan=False, allow_infinity=False),
)
BEFORE = [
    "",
    "Let me see. First I add 2 and 3.\n\n",
    "1. Read it.\n2. Add.\n\n",
    "> 17 of 20\n\n",
    "```\nx = 3\n```\n",
    "## Step 1\n\n",
    "   \n\t",
]
SAID = [
    "The answer is {}.",
    "**Answer:** {}",
    "\\boxed{{{}}}",
    "$\\boxed{{{}}}$.",
    "<answer>{}</answer>",
    "So the answer is **{}**!",
    "## Answer\n\n{}",
    "#### {}",
    "答案：{}",
    "Final answer: ${}$",
]
AFTER = ["", "\n", "\n\n", "  \n", "\n\nI hope this helps!", "\n\n(Checked twice.)", "\n---\n"]


@given(numbers, st.sampled_from(BEFORE), st.sampled_from(SAID), st.sampled_from(AFTER))
def test_what_is_around_a_number_does_not_change_it(value, before, said, after):
    found = of_answer(before + said.format(value) + after)
    assert found is not None
    assert found.value == of_reference(str(value)).value


@pytest.mark.parametrize("text", ["fifty-nine", "two hundred and one", "seven apples"])
def test_a_reference_may_be_in_words_as_an_answer_may(text):
    assert of_reference(text) is not None
    assert of_reference(text).value == of_answer(f"<answer>{text}</answer>").value
    assert of_reference(f"not {text}") is None


@given(numbers, numbers, st.sampled_from(BEFORE), st.sampled_from(SAID), st.sampled_from(AFTER))
async def test_another_number_is_never_right(value, other, before, said, after):
    verdict = await load("number").verify(
        {"answer": str(value)}, before + said.format(other) + after
    )
    is_near = abs(value - other) * 10**5 <= abs(value)
    assert verdict.outcome is (RIGHT if value == other else WRONG) or is_near


@given(
    st.sampled_from("ABCD"), st.sampled_from(BEFORE), st.sampled_from(SAID), st.sampled_from(AFTER)
)
def test_what_is_around_a_letter_does_not_change_it(letter, before, said, after):
    assert choice_of(before + said.format(letter) + after, Choices(tuple("ABCD"))) == letter


@given(
    st.sampled_from(["Paris", "New York", "café", "x = 3"]),
    st.sampled_from(BEFORE),
    st.sampled_from([said for said in SAID if not said.startswith("####")]),
    st.sampled_from(AFTER),
)
def test_what_is_around_a_text_does_not_change_it(text, before, said, after):
    assert compare(before + said.format(text) + after, text, False)[1]


# --- Hostile answers ------------------------------------------------------------------------------

PIECES = [*SAID, *BEFORE, *AFTER, *(piece[:60] for piece in hostile_answers(60))]


@example("\\boxed{" * 8 + "wait, \\frac12" * 4 + "}" + "####\n5" * 10 + "Let me see. \n\nwait, 5")
@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=5)), max_size=12).map("".join))
def test_any_text_has_an_outcome(text):
    for found in final_answers(text):
        assert found.text
    candidates(text)
    of_answer(text)
    of_reference(text)
    choice_of(text, Choices())
    choice_of(text, Choices(("1", "2", "ii", "(", "\\"), ("a", "the b", "", "2", "{")))
    compare(text, text, True)
    found = expression(text)
    if found is not None:
        math.at_a_glance("x + 1", found[0])
        math.to_compare("x + 1", found[0])
        math.to_compare(found[0], "x + 1")


@pytest.mark.parametrize("kind", ["number", "choice", "exact"])
async def test_long_answers_are_read_in_time(kind):
    """At 100 KB, what grew with the square of the length took longer than its limit."""
    async with aclosing(load(kind, VerifierSettings(at_once=2))) as verifier:
        row = {"answer": "A" if kind == "choice" else "5"}
        answers = hostile_answers(100_000)
        some = answers[sum(map(ord, kind)) % 29 :: 29]
        for verdict in await asyncio.gather(*(verifier.verify(row, said) for said in some)):
            assert verdict.outcome is not VerdictOutcome.ERROR, verdict
        right = "word " * 10_000 + "The answer is " + row["answer"]
        assert (await verifier.verify(row, right)).passed


async def test_a_final_answer_of_megabytes_is_as_any_other():
    async with aclosing(load("exact", VerifierSettings(at_once=1))) as verifier:
        verdict = await verifier.verify({"answer": "5"}, "The answer is " + "x" * 2_000_000)
        assert verdict.outcome is WRONG
        assert len(verdict.detail) < 100


async def test_a_reader_that_takes_too_long_is_an_error_and_holds_nothing_up(monkeypatch):
    monkeypatch.setattr(workers, "READING_LIMITS", ProgramLimits(cpu_s=1, memory_mb=512))
    slow = "a" + "\u20d0\u20d2" * 200_000  # to normalise it takes minutes
    turns = 0

    async def others():
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    async with aclosing(load("exact", VerifierSettings(at_once=1))) as verifier:
        task = asyncio.create_task(others())
        verdict = await verifier.verify({"answer": "5"}, slow)
        assert verdict.outcome is VerdictOutcome.ERROR
        assert verdict.detail == "no result within 1 s"
        assert turns > 10
        task.cancel()
        assert (await verifier.verify({"answer": "5"}, "The answer is 5.")).passed
        long = "word " * 1000 + "The answer is 5."
        assert (await verifier.verify({"answer": "5"}, long)).passed
