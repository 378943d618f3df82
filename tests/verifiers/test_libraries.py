"""`math` and `reasoning-gym`: the libraries themselves, in processes of their own."""

from __future__ import annotations

import asyncio
import importlib.util
from contextlib import aclosing
from dataclasses import replace

import pytest
from forged import EVALUATED, EXPRESSIONS

from tessy.errors import DataError
from tessy.verifiers.gym_scores import refusal
from tessy.verifiers.limits import VerifierSettings
from tessy.verifiers.protocol import VerdictOutcome
from tessy.verifiers.registry import load

RIGHT, WRONG, NO_ANSWER, ERROR = VerdictOutcome
needs_gym = pytest.mark.skipif(
    importlib.util.find_spec("reasoning_gym") is None, reason="reasoning-gym needs a C compiler"
)
MATH = [
    ("1/2", "so \\boxed{\\frac{1}{2}}", RIGHT),
    ("\\frac{1}{2}", "\\boxed{0.5}", RIGHT),
    ("\\{1, 2\\}", "The solutions are $\\{2, 1\\}$.", RIGHT),
    ("x^2+2x+1", "\\boxed{(x+1)^2}", RIGHT),
    ("(1, 2)", "\\boxed{(1,2)}", RIGHT),
    ("(1, 2)", "\\boxed{(2,1)}", WRONG),
    ("12", "<answer>12</answer>, or $13$", RIGHT),
    ("5", "The answer is 6.", WRONG),
    ("7", "I have no idea", NO_ANSWER),
    ("$$", "\\boxed{1}", ERROR),
]


async def test_mathematics():
    async with aclosing(load("math", VerifierSettings(at_once=1))) as verifier:
        for gold, answer, expected in MATH:
            verdict = await verifier.verify({"answer": gold}, answer)
            assert verdict.outcome is expected, (gold, answer, verdict)


async def test_a_check_that_is_cancelled_does_no_harm():
    async with aclosing(load("math", VerifierSettings(at_once=1))) as verifier:
        task = asyncio.create_task(verifier.verify({"answer": "10"}, "$\\sqrt{81}$"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await verifier.verify({"answer": "10"}, "$10$")).passed


@pytest.fixture(scope="module")
def gym():
    return pytest.importorskip("reasoning_gym")


@needs_gym
async def test_puzzles_by_their_own_scorers(isolated, gym):
    async with aclosing(load("reasoning-gym", replace(isolated, at_once=1))) as verifier:
        for family in ("countdown", "mini_sudoku", "leg_counting", "polynomial_multiplication"):
            entry = gym.create_dataset(family, size=1, seed=3)[0]
            answer = entry["answer"]
            row = {"dataset": family, "answer": answer, "metadata": entry["metadata"]}
            verifier.check(row)
            for text in (f"<answer>{answer}</answer>", f"**Answer:**\n{answer}", answer):
                assert (await verifier.verify(row, text)).outcome is RIGHT, text
            verdict = await verifier.verify(row, "<answer>nonsense</answer>")
            assert verdict.outcome is WRONG
            assert verdict.score < 1
            assert (await verifier.verify(row, "")).outcome is NO_ANSWER


@needs_gym
async def test_an_answer_that_is_code_is_harmless(isolated, tmp_path):
    row = {"dataset": "countdown", "metadata": {"numbers": [1, 2], "target": 3}, "answer": "1+2"}
    target = tmp_path / "written"
    attack = f"<answer>__import__('pathlib').Path({str(target)!r}).touch() or 3</answer>"
    async with aclosing(load("reasoning-gym", replace(isolated, at_once=1))) as verifier:
        verdict = await verifier.verify(row, attack)
        assert verdict.outcome in (WRONG, ERROR)
        assert not target.exists()
        with pytest.raises(DataError, match="'countdwn' is no family"):
            verifier.check({**row, "dataset": "countdwn"})
        with pytest.raises(DataError, match="no column 'metadata'"):
            verifier.check({"dataset": "countdown"})
        with pytest.raises(DataError, match="must hold an object"):
            verifier.check({**row, "metadata": "[1"})


@needs_gym
async def test_no_expression_gives_itself_a_score(isolated, gym):
    """Of each family whose scorer evaluates answers: a third of the expressions, in turn."""
    settings = replace(isolated, at_once=2)
    async with aclosing(load("reasoning-gym", settings)) as verifier:
        cases = []
        for number, family in enumerate(EVALUATED):
            entry = gym.create_dataset(family, size=1, seed=4)[0]
            row = {"dataset": family, "answer": entry["answer"], "metadata": entry["metadata"]}
            assert (await verifier.verify(row, f"<answer>{entry['answer']}</answer>")).passed, (
                family
            )
            cases += [(row, f"<answer>{text}</answer>") for text in EXPRESSIONS[number % 3 :: 3]]
        puzzle = {"dataset": "puzzle24", "metadata": {"numbers": [8, 5, 1, 2]}, "answer": ""}
        assert (await verifier.verify(puzzle, "<answer>8*(5*1 - 2)</answer>")).passed
        cases.append((puzzle, "<answer>6*4*1*1</answer>"))
        verdicts = await asyncio.gather(*[verifier.verify(*case) for case in cases])
        forged = [
            (row["dataset"], text)
            for (row, text), verdict in zip(cases, verdicts, strict=True)
            if verdict.passed
        ]
        assert forged == []


HARMLESS = ["[1, 2]", "(1, 'a')", "3 * (4 - 1)", "-x**2 + C", "Integer(2) + Symbol('y')", "{1: 2}"]


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_expressions_are_evaluated(text):
    assert refusal(text, {}) is None


@pytest.mark.parametrize("text", [text for text in EXPRESSIONS if "(" in text and "**" not in text])
def test_others_are_refused_before(text):
    assert refusal(text, {}) is not None or text.startswith("Symbol('")
