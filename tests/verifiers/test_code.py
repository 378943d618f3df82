"""`code`: programs in answers, the shapes of tests, and real programs by the hundred."""

from __future__ import annotations

import asyncio
import base64
import json
import pickle
import zlib
from collections import Counter
from contextlib import asynccontextmanager

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from programs_of_others import contest, fenced, humaneval, mutant, spoiled
from sandboxed import keeping

from tessy.errors import DataError
from tessy.verifiers.code import CodeVerifier, complaint, judged, same_output, suite
from tessy.verifiers.code_programs import completed, is_program, program
from tessy.verifiers.limits import ProgramLimits, VerifierSettings
from tessy.verifiers.protocol import VerdictOutcome
from tessy.verifiers.sandbox import End, ProgramRun
from texts import any_text, model_text


@pytest.fixture
def verifier(isolated):
    return CodeVerifier(VerifierSettings(at_once=2))


@pytest.fixture
async def quick(isolated):
    """A verifier whose sandboxes go on from one program to the next."""
    async with quick_verifier(ProgramLimits()) as verifier:
        yield verifier


@asynccontextmanager
async def quick_verifier(limits):
    settings = VerifierSettings(at_once=2, limits=limits)
    verifier = CodeVerifier(settings)
    async with keeping(settings) as verifier._sandbox:
        yield verifier


# --- Finding the program ------------------------------------------------------------------------


@example("-" * 100_000 + "1")
@example("(" * 100_000)
@example("x = " + "1 + " * 50_000 + "1")
@given(st.one_of(any_text, model_text, st.text("`~python\n =()1", max_size=80)))
def test_any_answer_can_be_searched(text):
    found = program(text)
    assert found is None or isinstance(found, str)


@given(st.lists(st.sampled_from(["x = 1", "print(2)", "for i in []:\n    pass", ""]), min_size=1))
def test_the_last_block_is_the_program(lines):
    source = "\n".join(lines) + "\n"
    assume(source.strip())
    text = (
        f"First:\n```python\nno = 1\n```\nBetter:\n```python\n{source}```\nIt prints:\n```\n3\n```"
    )
    assert program(text) == source


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("```py\nx = 1\n```", "x = 1\n"),
        ("```Python3\nx = 1\n```", "x = 1\n"),
        ("```python title='a.py'\nx = 1\n```", "x = 1\n"),
        ("~~~\nx = 1\n~~~", "x = 1\n"),
        ("````python\ns = '''\n```\n'''\n````", "s = '''\n```\n'''\n"),
        ("- so:\n  ```python\n  if x:\n      y = 1\n  ```", "if x:\n    y = 1\n"),
        ("```python\nx = 1", "x = 1"),
        ("```cpp\nint x;\n```", None),
        ("```\nIn words\n```", None),
        ("x = 1\nprint(x)", "x = 1\nprint(x)"),
        ("print(1)", "print(1)"),
        ("Yes", None),
        ("42", None),
        ("In plain words.", None),
        ("", None),
    ],
)
def test_programs_in_answers(answer, found):
    assert program(answer) == found


def test_a_body_is_put_behind_its_head():
    prompt = 'import math\n\ndef f(x):\n    """Double it."""\n'
    for body in ("    return 2 * x\n", "return 2 * x\n"):
        made = completed(prompt, "f", body)
        assert is_program(made)
        space = {}
        exec(made, space)
        assert space["f"](2) == 4
    whole = completed(prompt, "f", "def f(x):\n    return math.floor(x)\n")
    assert whole.startswith("import math")
    assert whole.count("def f") == 1
    assert completed("Write f.", "f", "def f(x): return x") == "def f(x): return x"


# --- Tests and their verdicts -------------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [
        {"tests": [["1\n", "2\n"], ["2\n", "4\n"]]},
        {"tests": [{"input": "1", "output": "2"}, {"input": "2", "output": "4"}]},
        {"tests": {"inputs": ["1", "2"], "outputs": ["2", "4"]}},
        {"tests": json.dumps([["1", "2"], ["2", "4"]])},
    ],
)
async def test_shapes_of_tests(verifier, row):
    verifier.check(row)
    verdict = await verifier.verify(row, fenced("print(int(input()) * 2)"))
    assert (verdict.outcome, verdict.score) == (VerdictOutcome.RIGHT, 1.0)
    verdict = await verifier.verify(row, fenced("print(2)"))
    assert (verdict.outcome, verdict.score) == (VerdictOutcome.WRONG, 0.5)
    assert "1 of 2 tests passed; test 2: printed '2', not '4'" in verdict.detail


async def test_asserts_are_tests(verifier):
    row = {"test_list": ["assert f(1) == math.floor(2.5)", "assert f(2) == 4"], "text": "…"}
    row["test_imports"] = ["import math"]
    verifier.check(row)
    assert (await verifier.verify(row, fenced("def f(x): return 2 * x"))).passed
    verdict = await verifier.verify(row, fenced("def f(x): return 2"))
    assert (verdict.outcome, verdict.score) == (VerdictOutcome.WRONG, 0.5)
    assert "AssertionError" in verdict.detail
    guarded = "def f(x): return 2 * x\nif __name__ == '__main__':\n    f(int(input()))"
    assert (await verifier.verify(row, fenced(guarded))).passed


@pytest.mark.parametrize("leave", ["exit()", "import os; os._exit(0)", "raise SystemExit"])
async def test_leaving_early_is_not_passing(verifier, leave):
    row = {"test": "assert f(1) == 2"}
    verdict = await verifier.verify(row, fenced(f"def f(x): return 3\n{leave}"))
    assert verdict.outcome is VerdictOutcome.WRONG
    assert "left before the tests were through" in verdict.detail


def lcb(tests, hidden=None, **metadata):
    """A question as LiveCodeBench has it."""
    row = {"public_test_cases": json.dumps(tests), "metadata": json.dumps(metadata)}
    if hidden is not None:
        pickled = zlib.compress(pickle.dumps(json.dumps(hidden)))
        row["private_test_cases"] = base64.b64encode(pickled).decode()
    return row


def functional(given, expected):
    return {"input": given, "output": expected, "testtype": "functional"}


TWO_SUM = """\
class Solution:
    def twoSum(self, nums, target):
        for i, a in enumerate(nums):
            for j in range(i):
                if a + nums[j] == target:
                    return (j, i)
"""
NODES = """\
class Node:
    def __init__(self, value):
        self.value, self.next = value, None
def length(node):
    return 1 + length(node.next) if node else 0
"""
STDIN = {"input": "1\n", "output": "2\n", "testtype": "stdin"}
DOUBLE = "print(2 * int(input()))"
SQRT = "def f(x): return x ** .5"
UNSUPPORTED = [
    # test of f, what the detail says
    ("assert f(lambda: 1)", "what is no plain value: a function"),
    ("class A: pass\nassert f(A())", "what is no plain value: a A"),
    ("import numpy as np\nassert np.allclose(f(1), 1)", "No module named 'numpy'"),
    ("assert np.allclose(f(1), 1)", "uses 'np', which it does not define"),
    ("assert f(", "SyntaxError"),
    ("pass", "the test never calls the answer"),
    ("def check(c): pass", "the test never calls the answer"),
    ("assert 1 == 2", "AssertionError"),
    ("assert f(0) == f(0)", "compares objects of the answer's class V"),
    ("assert len(f(0)) == 1", "uses __len__ of an object of the answer's class V"),
]
KINDS = [
    # (columns, program, passes)
    (lcb([STDIN], [STDIN]), DOUBLE, True),
    (lcb([STDIN], [{**STDIN, "output": "3"}]), DOUBLE, False),
    (lcb([functional("[2, 7, 11]\n9", "[0, 1]")], func_name="twoSum"), TWO_SUM, True),
    (lcb([functional("[2, 7, 11]\n9", "[1, 0]")], func_name="twoSum"), TWO_SUM, False),
    (lcb([functional("4", "2.0000000001")], func_name="f"), SQRT, True),
    (lcb([functional("4", "2.001")], func_name="f"), SQRT, False),
    (lcb([functional("4", "Infinity")], func_name="f"), SQRT, False),
    (lcb([functional("1", "true")], func_name="f"), "def f(x): return 1", False),
    (lcb([functional('"a"', "null")], func_name="f"), "def f(x): pass", True),
    ({"input_output": {"inputs": [["1", "2"]], "outputs": [["2", "1"]]}}, "print('2 1')", True),
    ({"input_output": {"fn_name": "f", "inputs": [[4]], "outputs": [[2]]}}, SQRT, True),
    ({"input_output": {"fn_name": "f", "inputs": [[4]], "outputs": [2]}}, SQRT, True),
    ({"input_output": {"fn_name": "f", "inputs": [["ab"]], "outputs": [[["a", "b"]]]}},
     "def f(s): return list(s)", True),
    ({"tests": [{"input": "1", "outputs": ["2", "3"]}]}, "print(3)", True),
    ({"tests": [{"input": "1", "outputs": ["2", "3"]}]}, "print(4)", False),
    ({"test": "def check(candidate):\n    assert candidate(nums=[3, 3], target=6) == (0, 1)",
      "entry_point": "Solution().twoSum"}, TWO_SUM, True),
    ({"test_list": ["assert sum(10, 15) == 25"]}, "def sum(a, b): return a + b", True),
    ({"test_list": ["assert sum(10, 15) == 24"]}, "def sum(a, b): return a + b", False),
    ({"test_setup_code": "a = Node(1)\na.next = Node(2)", "test_list": ["assert length(a) == 2"]},
     NODES, True),
    ({"test_list": ["assert Counter(f()) == Counter('aab')"]}, "def f(): return 'aba'", True),
    ({"test_list": ["assert f(3)[5000:] == 10 ** 5"]}, "def f(x): return '1' * 9999", False),
    ({"test_list": ["assert f(5000) == 10 ** 5000"]}, "def f(x): return 10 ** x", True),
    ({"test_list": ["try:\n    f(1)\n    assert False\nexcept ValueError: pass"]},
     "class Own(ValueError): pass\ndef f(x): raise Own('no')", True),
    ({"test_list": ["assert list(f(3)) == [0, 1, 2]"]}, "def f(x): yield from range(x)", True),
    ({"test_list": ["x = {'a': [1]}\nassert f(x) is None and x == {'b': (1, None)}"]},
     "def f(x):\n    x.clear()\n    x['b'] = (1, None)", True),
    ({"test_list": ["x = [1]\nassert f(x) is x"]}, "def f(x): return x", True),
    ({"test_list": ["assert f([2, 1]) == 1"]}, "def f(x):\n    x.sort()\n    return x[0]", True),
    ({"test_list": ["assert f([2, 1]) == 2"]}, "def f(x):\n    x.sort()\n    return x[0]", False),
    ({"test_list": ["assert f() == ({1, 2}, b'x', 1 + 2j, range(3), float('inf'), '\\ud800')"]},
     "def f(): return {2, 1}, b'x', 2j + 1, range(3), float('inf'), '\\ud800'", True),
]  # fmt: skip


async def test_tests_of_other_data_sets(quick):
    for row, _, _ in KINDS:
        quick.check(row)
    verdicts = await asyncio.gather(
        *[quick.verify(row, fenced(source)) for row, source, _ in KINDS]
    )
    wanted = [VerdictOutcome.RIGHT if passes else VerdictOutcome.WRONG for *_, passes in KINDS]
    found = [verdict.outcome for verdict in verdicts]
    assert [
        (c, v) for c, v, f, w in zip(KINDS, verdicts, found, wanted, strict=True) if f is not w
    ] == []


async def test_a_changed_argument_that_the_test_looks_at_is_no_verdict(quick):
    source = "def f(x):\n    x.sort()\n    return len(x)"
    row = {"test": "x = [2, 1]\nassert f(x) == 2 and x == [1, 2]"}
    verdict = await quick.verify(row, fenced(source))
    assert verdict.outcome is VerdictOutcome.ERROR
    assert "changes an argument" in verdict.detail


async def test_a_test_that_says_nothing_is_no_verdict(quick):
    source = (
        "class V:\n    __eq__ = lambda *a: True\n    __len__ = lambda s: 1\ndef f(x): return V()"
    )
    for test, said in UNSUPPORTED:
        entry = {"entry_point": "f"} if "def check" in test else {}
        verdict = await quick.verify({"test": test, **entry}, fenced(source))
        assert verdict.outcome is VerdictOutcome.ERROR, (test, verdict)
        assert "unsupported" in verdict.detail
        assert said in verdict.detail, test


@pytest.mark.parametrize("payload", [b"cos\nsystem\n(S'true'\ntR.", pickle.dumps(print), b"\x80"])
def test_hidden_tests_are_never_unpickled(payload):
    packed = base64.b64encode(zlib.compress(payload)).decode()
    with pytest.raises(DataError, match="private_test_cases"):
        suite({"public_test_cases": [["1", "2"]], "private_test_cases": packed})


async def test_no_program_is_no_answer(verifier):
    verdict = await verifier.verify({"tests": [["1", "1"]]}, "It can't be done.")
    assert verdict.outcome is VerdictOutcome.NO_ANSWER


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            {},
            "none of tests, test_list, test, input_output, public_test_cases (only nothing)",
        ),
        ({"answer": "1"}, "(only answer)"),
        ({"tests": []}, "column 'tests' is empty"),
        ({"tests": [["1"]]}, "tests[0] is no test"),
        ({"tests": [["1", 2]]}, "tests[0] is no test"),
        ({"tests": [["1", ["2", "3"]]]}, "tests[0] is no test of texts"),
        ({"tests": {"a": 1}}, "'tests' is an object without `inputs`"),
        ({"tests": [{"testtype": "functional", "input": "1", "output": "2"}]}, "is not named"),
        ({"input_output": {"fn_name": "f", "inputs": [1], "outputs": [1]}}, "must be a list"),
        ({"public_test_cases": [["1", "2"]], "private_test_cases": "gASVBQ"}, "can't be read"),
        ({"tests": [["1", "2"], {"input": "1"}]}, "tests[1] is no test"),
        ({"tests": 3}, "must hold tests, not int"),
        ({"tests": {"inputs": ["1"], "outputs": []}}, "as many"),
    ],
)
def test_tests_of_no_known_shape_are_named(row, said):
    with pytest.raises(DataError) as caught:
        suite(row)
    assert said in str(caught.value)


@pytest.mark.parametrize("end", End)
def test_every_end_has_its_words(end):
    (test,) = suite({"tests": [["1", "2"]]}).tests
    said = complaint(test, ProgramRun(end, output="2\n"), ProgramLimits())
    assert (said is None) == (end is End.EXIT)
    verdict = judged((test,), [ProgramRun(end, output="2\n")], ProgramLimits())
    assert (verdict.outcome is VerdictOutcome.ERROR) == (end in (End.LOST, End.BROKEN))


@given(
    st.lists(st.text("ab1", min_size=1), max_size=5), st.lists(st.sampled_from(" \n\t"), min_size=1)
)
def test_white_space_does_not_count_and_all_else_does(words, blanks):
    assert same_output("".join(blanks).join(words), "\n".join(words))
    assert not same_output("\n".join([*words, "c"]), "\n".join(words))


@pytest.mark.parametrize(
    ("printed", "expected", "is_same"),
    [
        ("0.3333333333", "0.333333333333", True),
        ("0.333", "0.333333333333", False),
        ("1e-7", "0.0", True),
        ("2", "2.0", True),
        ("5.0", "5", True),
        ("5.1", "5", False),
        ("5.0000001", "5", False),
        ("1e5", "100000", False),
        ("1000000.4", "1000000.0", True),
        ("1000002.0", "1000000.0", False),
        ("nan", "1.0", False),
        ("inf", "1.0", False),
        ("1" * 400 + ".0", "1.5", False),
        ("100000000000000000000000", "100000000000000000000001", False),
        ("Yes", "YES", True),
        ("no", "YES", False),
        ("Abc", "abc", False),
        ("1.0.0", "1.0", False),
        ("1_0.0", "10.0", False),
        ("", "", True),
        ("1 2", "1", False),
    ],
)
def test_words_are_the_same(printed, expected, is_same):
    assert same_output(printed, expected) is is_same


# --- Real programs ------------------------------------------------------------------------------


def smallest(tests, count):
    return sorted(tests, key=lambda test: len(str(test)))[:count]


async def test_all_bundled_solutions_pass(quick):
    """The two smallest tests of each here; `benchmarks/verify.py` runs all."""
    problems = contest()
    assert len(problems) == 189
    rows = [{**problem, "tests": smallest(problem["tests"], 2)} for problem in problems]
    answers = [fenced(problem["python_solution"]) for problem in problems]
    verdicts = await asyncio.gather(*map(quick.verify, rows, answers))
    assert not [
        (row["id"], v.detail) for row, v in zip(rows, verdicts, strict=True) if not v.passed
    ]


@pytest.mark.usefixtures("isolated")
async def test_mutants_fail():
    """Of every sixth problem; one that prints the same on all tests is counted as such."""
    problems = [{**problem, "tests": smallest(problem["tests"], 4)} for problem in contest()[::6]]
    answers = [fenced(mutant(p["python_solution"], n)) for n, p in enumerate(problems)]
    async with quick_verifier(ProgramLimits(cpu_s=1)) as verifier:
        verdicts = await asyncio.gather(*map(verifier.verify, problems, answers))
    outcomes = Counter(verdict.outcome for verdict in verdicts)
    assert set(outcomes) <= {VerdictOutcome.RIGHT, VerdictOutcome.WRONG}
    survivors = outcomes[VerdictOutcome.RIGHT]
    assert survivors <= len(problems) // 4, f"{survivors} of {len(problems)} mutants pass"


def test_one_wrong_character_in_the_output_fails_every_test():
    """Of all 1,888 tests of the contest problems; a whole output passes."""
    for problem in contest():
        for test in suite(problem).tests:
            right = test.expected[0].rstrip()
            wrong = right[:-1] + ("x" if right[-1:] != "x" else "y")
            for output, passes in ((right, True), (wrong, False)):
                run = ProgramRun(End.EXIT, output=output)
                assert judged([test], [run], ProgramLimits()).passed is passes


async def test_a_program_that_prints_one_wrong_character_fails(quick):
    problems = [{**problem, "tests": smallest(problem["tests"], 1)} for problem in contest()[::10]]
    answers = [fenced(spoiled(problem["python_solution"])) for problem in problems]
    verdicts = await asyncio.gather(*map(quick.verify, problems, answers))
    assert {verdict.outcome for verdict in verdicts} == {VerdictOutcome.WRONG}
    assert not [verdict.detail for verdict in verdicts if "rror" in verdict.detail]


async def test_humaneval_by_its_own_solutions(quick):
    rows = humaneval()
    assert len(rows) == 164
    for row in rows:
        quick.check(row)
    bodies = [fenced(row["canonical_solution"]) for row in rows]
    verdicts = await asyncio.gather(*map(quick.verify, rows, bodies))
    assert [row["task_id"] for row, v in zip(rows, verdicts, strict=True) if not v.passed] == []


async def test_humaneval_fails_with_another_body(quick):
    rows = humaneval()[::4]
    wrong = [fenced("    return None") for _ in rows]
    verdicts = await asyncio.gather(*map(quick.verify, rows, wrong))
    assert {verdict.outcome for verdict in verdicts} == {VerdictOutcome.WRONG}


async def test_each_program_has_a_sandbox_of_its_own(verifier):
    """As in use: several programs at once, none of which sees another."""
    tests = {"tests": [["", "0"], ["", "0"]]}
    program = "import os\nprint(len(os.listdir('/tmp')) - 1)\nopen('left', 'w').close()"
    verdicts = await asyncio.gather(*[verifier.verify(tests, fenced(program)) for _ in range(4)])
    assert [verdict.detail for verdict in verdicts] == ["2 of 2 tests passed"] * 4
