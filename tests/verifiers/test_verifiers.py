"""Verifiers that compare texts, and how verifiers are named."""

from __future__ import annotations

import importlib.util

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.errors import ConfigError, DataError, MissingExtra, TessyError, install_hint
from tessy.verifiers import workers
from tessy.verifiers.protocol import MissingReference, Verdict, VerdictOutcome, Verifier, required
from tessy.verifiers.registry import fitting, load, names

RIGHT, WRONG, NO_ANSWER, ERROR = VerdictOutcome


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"answer": 3}, ["number", "exact", "math"]),
        ({"answer": "Paris"}, ["exact", "math"]),
        ({"answer": "(B)"}, ["choice", "exact", "math"]),
        ({"answer": 1, "choices": ["a", "b"]}, ["choice", "number", "exact", "math"]),
        ({"test_list": ["assert f(1) == 2"]}, ["code"]),
        ({"solution": "3", "answer": None}, []),
    ],
)
def test_the_verifiers_for_a_question_s_columns(row, expected):
    assert fitting({"prompt": "?", **row}) == expected
    for name in {*expected} - {"math", "code"}:
        load(name).check(row)
    with pytest.raises(DataError, match="no column 'verifier'") as refused:
        load("auto").check(row)
    assert refused.value.hint.startswith(expected[0] if expected else "NAME:COLUMN")


async def outcome(spec, row, answer):
    verifier = load(spec)
    verifier.check(row)
    verdict = await verifier.verify(row, answer)
    assert verdict.passed == (verdict.outcome is RIGHT)
    assert 0 <= verdict.score <= 1
    assert "\n" not in verdict.detail
    return verdict.outcome


@pytest.mark.parametrize(
    ("spec", "gold", "answer", "expected"),
    [
        ("exact", "Paris", "The result is Paris.", RIGHT),
        ("exact", "Paris", "Paris", RIGHT),
        ("exact", "the  whole\nanswer", "the whole answer", RIGHT),
        ("exact", "é", "e\u0301", RIGHT),
        ("exact", "Paris", "paris", WRONG),
        ("exact?case=ignore", "Paris", "paris", RIGHT),
        ("exact", 12, "12", RIGHT),
        ("exact", "Paris", " \n", NO_ANSWER),
        ("number", 72, "36 + 36 = **72**", RIGHT),
        ("number", "She sold 72.\n#### 72", "The answer is 72 clips, of 100.", RIGHT),
        ("number", "1,200", "\\boxed{1200}", RIGHT),
        ("number", 72, "\\boxed{x = 72}", RIGHT),
        ("number", 72, "\\boxed{nothing}, that is 72", RIGHT),
        ("number", 72, "72, not 73", RIGHT),
        ("number", 72, "I do not know", NO_ANSWER),
        ("number", 5, "The answer is 2 + 3 = 5.", RIGHT),
        ("number", 12, "Answer: 3 × 4 = 12 apples", RIGHT),
        ("number", 8, "Answer: 2^3 = 8", RIGHT),
        ("number", 5, "The result is 5 = 2 + 3", RIGHT),
        ("number", 5, "The answer is x = 5", RIGHT),
        ("number", 5, "The answer is 5 (since x = 3).", RIGHT),
        ("number", 36, "Answer: 36 (half of it = 18 per hour)", RIGHT),
        ("number", 7, "The answer is 7, where n = 2.", RIGHT),
        ("number", 1234, "The answer is 1,000 + 234 = 1,234", RIGHT),
        ("number", 1500, "Answer: \\$1,000 + \\$500 = \\$1,500", RIGHT),
        ("number", 10, "The result is 2x = 10", RIGHT),
        ("number", 12, "Answer: 12 (3 dozen = 36)", RIGHT),
        ("number", 7, "Answer: 3 + 4 = 7 apples for 2 people", RIGHT),
        ("number", 6, "The answer is 2 \\times 3 = 6", RIGHT),
        ("number?tolerance=0.01", 3.14159, "3.14", RIGHT),
        ("number", 3.14159, "3.14", WRONG),
        ("choice", "B", "Answer: B", RIGHT),
        ("choice", "(b)", "\\boxed{B}", RIGHT),
        ("choice", 1, "The answer is (B) because of it.", RIGHT),
        ("choice", "1", "\\boxed{\\text{B}}", RIGHT),
        ("choice", "B", "**B**", RIGHT),
        ("choice", "B", "B) a horse", RIGHT),
        ("choice", "B", "It must be option B, since A is wrong.", RIGHT),
        ("choice", "B", "Not (A), but (B) holds", RIGHT),
        ("choice", "B", "Therefore, the correct option is B.", RIGHT),
        ("choice", "C", "Not A. The correct choice is **C**.", RIGHT),
        ("choice", "C", "A is out, so the letter is (C), as said.", RIGHT),
        ("choice", "B", "A fails at once.\n\nSo it is B.", RIGHT),
        ("choice", "B", "The right option is C since B fails.", WRONG),
        ("choice", "B", "I rule out option C, so the correct choice is B.\nDone.", RIGHT),
        ("choice", "B", "I choose option B. If the answer is A, we would get 3.", RIGHT),
        ("choice", "A", "The best choice is A good teacher.", NO_ANSWER),
        ("choice", "I", "That is what I've said", NO_ANSWER),
        ("choice", "B", "Answer: C", WRONG),
        ("choice", "B", "A horse is the answer", NO_ANSWER),
    ],
)
async def test_comparisons(spec, gold, answer, expected):
    assert await outcome(spec, {"answer": gold}, answer) is expected


async def test_a_choice_beyond_z_may_be_said_in_its_own_words_and_is_wrong():
    row = {"answer": "B", "choices": [f"number {n}" for n in range(40)]}
    assert await outcome("choice", row, "Answer: number 1") is RIGHT
    assert await outcome("choice", row, "Answer: number 39") is WRONG


async def test_a_choice_may_be_said_in_its_own_words():
    row = {"answer": 1, "choices": ["a cow", "a horse"]}
    assert await outcome("choice", row, "The answer is **a horse**.") is RIGHT
    assert await outcome("choice", row, "The answer is a cow.") is WRONG
    assert await outcome("choice", {**row, "choices": {"text": ["a", "b"]}}, "(B)") is RIGHT
    assert await outcome("choice", row, "(C)") is NO_ANSWER


async def test_another_column_holds_the_answer():
    assert await outcome("number:gold", {"answer": 1, "gold": 2}, "2") is RIGHT


@given(answer=st.text(max_size=60))
@pytest.mark.parametrize("spec", ["exact", "number", "choice"])
async def test_no_answer_breaks_a_verifier(spec, answer):
    assert await outcome(spec, {"answer": "1"}, answer) in (RIGHT, WRONG, NO_ANSWER)


@pytest.mark.parametrize(
    ("spec", "row", "said"),
    [
        ("exact", {}, "no column 'answer' (only nothing)"),
        ("exact", {"gold": 1}, "no column 'answer' (only gold)"),
        ("exact", {"answer": "", "gold": 1}, "verifier exact: column 'answer' is empty"),
        ("exact", {"answer": None}, "verifier exact: column 'answer' is empty"),
        ("code", {"gold": 1}, "public_test_cases (only gold)"),
        ("code", {"tests": []}, "verifier code: column 'tests' is empty"),
        ("exact", {"answer": ["a"]}, "must hold text or a number, not list"),
        ("number", {"answer": "many"}, "'answer' is no number: 'many'"),
        ("choice", {"answer": "BC"}, "is no letter from A to Z"),
        ("choice", {"answer": 4, "choices": ["a", "b"]}, "no index from 0 to 1"),
        ("auto", {}, "no column 'verifier'"),
        ("auto", {"verifier": "numbr"}, "'numbr' is no verifier"),
        ("auto", {"verifier": "number"}, "no column 'answer'"),
        ("auto", {"verifier": "auto"}, "may not name 'auto'"),
        ("auto", {"verifier": "python:os:getcwd"}, "may not name 'python:os:getcwd'"),
    ],
)
def test_a_question_that_can_not_be_verified_is_named_before_any_work(spec, row, said):
    with pytest.raises(DataError) as caught:
        load(spec).check(row)
    assert said in str(caught.value)


async def test_each_question_names_its_own():
    auto = load("auto")
    rows = [{"verifier": "number", "answer": 3}, {"verifier": "exact:gold", "gold": "x"}]
    for row, answer in zip(rows, ("3", "x"), strict=True):
        auto.check(row)
        assert (await auto.verify(row, answer)).passed
    await auto.aclose()


@pytest.mark.parametrize(
    ("spec", "error", "said", "hint"),
    [
        ("numbr", ConfigError, "'numbr' is no verifier", "did you mean number?"),
        ("reasoning_gym", ConfigError, "no verifier", "did you mean reasoning-gym?"),
        ("", ConfigError, "no verifier", "exact, number"),
        ("number?tolerence=1", ConfigError, "no option of number", "?tolerance=…"),
        ("number?tolerance=much", ConfigError, "tolerance=much", "from 0 to 1"),
        ("number?tolerance=2", ConfigError, "tolerance=2", "from 0 to 1"),
        ("exact?case=upper", ConfigError, "case=upper", "case=ignore"),
        ("choice?x=1", ConfigError, "no option of choice", "none"),
        ("python:nowhere", ConfigError, "python:nowhere names no factory", "python:MODULE:FACTORY"),
        ("python:nowhere:make", ConfigError, "No module named 'nowhere'", None),
        ("python:os:getcwd", ConfigError, "made a str, which is no verifier", "aclose"),
    ],
)
def test_a_name_that_means_nothing(spec, error, said, hint):
    with pytest.raises(error) as caught:
        load(spec)
    assert said in str(caught.value)
    assert hint is None or hint in caught.value.hint


class Always:
    name = "always"

    def check(self, row):
        pass

    async def verify(self, row, answer):
        return Verdict.of(True, "whatever")

    async def aclose(self):
        pass


async def test_ones_own():
    verifier = load(f"python:{__name__}:Always")
    assert isinstance(verifier, Verifier)
    assert (await verifier.verify({}, "x")).passed


class Sized(Always):
    def check(self, row):
        if len(required(row, "sizes", "sized")) != 1:
            raise DataError("one size, please")


async def test_the_check_of_ones_own_may_raise_anything():
    verifier = load(f"python:{__name__}:Sized")
    verifier.check({"sizes": [1]})
    assert (await verifier.verify({"sizes": [1]}, "x")).passed
    for row, kind, said in (
        ({}, MissingReference, "column 'sizes'"),
        ({"sizes": [1, 2]}, DataError, "^one size, please$"),
        ({"sizes": 1}, DataError, r"verifier always: check raised TypeError\(.*has no len"),
    ):
        with pytest.raises(kind, match=said):
            verifier.check(row)
        with pytest.raises(kind, match=said):
            await verifier.verify(row, "x")


MISSING = [("math", "math-verify", "verify"), ("reasoning-gym", "reasoning-gym", "gym")]


def test_what_is_missing_is_named_with_the_command_that_mends_it(monkeypatch):
    monkeypatch.setattr(workers.importlib.util, "find_spec", lambda name: None)
    for spec, package, extra in MISSING:
        with pytest.raises(MissingExtra, match=f"needs {package}") as caught:
            load(spec)
        assert caught.value.hint == install_hint(extra)


def test_every_name_loads(isolated):
    for name in names():
        if name == "reasoning-gym" and importlib.util.find_spec("reasoning_gym") is None:
            continue
        try:
            assert isinstance(load(name), Verifier)
        except TessyError as error:  # pragma: no cover
            pytest.fail(f"{name}: {error}")


@pytest.mark.parametrize("answer", ["It is 72 or 73.", "12:00", "I do not know."])
async def test_numbers_that_are_not_the_answer_are_not_said_to_be_absent(answer):
    verifier = load("number")
    verdict = await verifier.verify({"answer": 72}, answer)
    await verifier.aclose()
    assert verdict.outcome is NO_ANSWER
    assert verdict.detail.endswith("there is none, or several, or a time or the like")
