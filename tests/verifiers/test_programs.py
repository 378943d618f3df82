"""The program among the blocks of an answer; each kind is one that others got wrong."""

from __future__ import annotations

import pytest

from tessy.verifiers.code_programs import program

ADD = "a, b = map(int, input().split())\nprint(a + b)\n"
SOLVE = "import sys\ndef solve(text):\n    a, b = map(int, text.split())\n    return a + b\n"
RUN = "print(solve(sys.stdin.read()))\n"
MAIN = "def main():\n    a, b = map(int, input().split())\n    print(a + b)\n"
GUARD = "if __name__ == '__main__':\n    main()\n"


def block(code, label="python"):
    return f"```{label}\n{code}```\n"


PRINTING = {
    # kind: (the answer, what runs)
    "a demonstration after it": (block(SOLVE + RUN) + block("print(solve('2 3'))\n"), SOLVE + RUN),
    "asserts after it": (block(SOLVE + RUN) + block("assert solve('2 3') == 5\n"), SOLVE + RUN),
    "comments after it": (block(ADD) + block("# a, b are read\n# and added\n"), ADD),
    "nothing after it": (block(ADD) + block(""), ADD),
    "a docstring after it": (block(ADD) + block('"""It adds."""\n'), ADD),
    "pseudo code after it": (block(ADD) + block("read a and b\nprint their sum\n"), ADD),
    "pseudo code without a mark": (block("read a, b\nprint sum\n", "") + block(ADD, ""), ADD),
    "another language after it": (block(ADD) + block("int main() {}\n", "cpp"), ADD),
    "output after it": (block(ADD, "") + block("2 3\n5\n", ""), ADD),
    "how to run it": (block(ADD) + block("python3 main.py < in.txt\n", "bash"), ADD),
    "a shorter one": (block(ADD) + block("print(sum(map(int, input().split())))\n"), None),
    "parts, then all": (block(MAIN) + block(GUARD) + block(MAIN + GUARD), MAIN + GUARD),
    "parts": (block(MAIN) + "And run it:\n" + block("main()\n"), MAIN + "\nmain()\n"),
    "parts in the other order": (block(SOLVE) + block(RUN), SOLVE + "\n" + RUN),
    "imports alone": (block("import sys\n") + block("print(sys.stdin.read())\n"), None),
    "a first try that reads": (block("print(int(input()))\n") + block(ADD), ADD),
    "tildes": (f"~~~python\n{ADD}~~~\n", ADD),
    "a file's name": (block(ADD, "main.py"), ADD),
    "a file's name behind": (block(ADD, "python:main.py"), ADD),
    "a version": (block(ADD, "Python 3.11"), ADD),
    "attributes": (block(ADD, "{.python .numberLines}"), ADD),
    "indented": ("So:\n\n    a, b = map(int, input().split())\n    print(a + b)\n\nDone.", ADD),
    "in a list": (
        "1. So:\n   ```python\n   x = input()\n   print(x)\n   ```\n",
        "x = input()\nprint(x)\n",
    ),
    "not closed": (f"```python\n{ADD}", ADD),
    "a fence in a text": (block("s = '''\n```\n'''\n" + ADD), "s = '''\n```\n'''\n" + ADD),
    "prompts": (block(">>> x = input()\n>>> print(x)\n1\n"), "x = input()\nprint(x)\n"),
    "invisible characters": (block(ADD.replace("print", "print\u200b")), ADD),
    "fixed blanks": (block(ADD.replace(" = ", "\u00a0= ")), ADD),
    "no fence": (f"It is this:\n\n{ADD}\nThat adds the two.", ADD),
    "no fence, no empty line": (f"It is this:\n{ADD}", ADD),
    "no fence, two functions": (f"See:\n\n{MAIN}\n\n{GUARD}\nIt adds.", MAIN + "\n\n" + GUARD),
    "a tag": (f"<answer>\n{block(ADD)}</answer>", ADD),
    "a tag without a fence": (f"<answer>\n{ADD}</answer>", ADD),
    "a tag, and a draft before": (f"{block(RUN)}<answer>{block(ADD)}</answer>", ADD),
}


@pytest.mark.parametrize("kind", PRINTING)
def test_the_program_that_reads(kind):
    answer, expected = PRINTING[kind]
    found = program(answer, reads=True)
    assert found is not None
    if expected is not None:
        assert [line for line in found.splitlines() if line] == [
            line for line in expected.splitlines() if line
        ]
    compile(found, kind, "exec")


CALLING = {
    "an example after it": (
        block("def f(x):\n    return x\n") + block("print(f(1))\n"),
        "return x",
    ),
    "a test after it": (
        block("def f(x):\n    return x\n")
        + block("import unittest\nclass T(unittest.TestCase):\n    def test(self): pass\n"),
        "return x",
    ),
    "a helper before it": (
        block("def g(x):\n    return x\n") + block("def f(x):\n    return g(x)\n"),
        "def g",
    ),
    "imports before it": (
        block("from math import gcd\n") + block("def f(x):\n    return gcd(x, 2)\n"),
        "import gcd",
    ),
    "a better one after it": (
        block("def f(x):\n    return 0\n") + block("def f(x):\n    return x\n"),
        "return x",
    ),
    "a method": (
        block("class Solution:\n    def f(self, x): return x\n") + block("Solution().f(1)\n"),
        "class",
    ),
    "a variable": (block("f = lambda x: x\n") + block("f(1)\n"), "lambda"),
}


@pytest.mark.parametrize("kind", CALLING)
def test_the_program_that_is_called(kind):
    answer, part = CALLING[kind]
    found = program(answer, {"f"})
    assert found is not None
    assert part in found
    space = {}
    exec(found, space)
    f = space.get("f") or space["Solution"]().f
    assert f(1) == 1


@pytest.mark.parametrize(
    "answer", ["", "42", "Yes.", "It can't be done.", block("# nothing\n"), block("int x;\n", "c")]
)
def test_no_program(answer):
    assert program(answer, reads=True) is None


def test_a_program_that_is_no_python_is_still_the_answer():
    assert program(block("print 'x'\n"), reads=True) == "print 'x'\n"


@pytest.mark.parametrize(
    "text",
    [
        block("x\n") * 5000,
        "```python\ns = '''\n" * 3000,
        "(" * 50_000 + "\n\n" + "print(1)\n\nword\n\n" * 3000,
        "<answer>" * 10_000,
        "x = (\n\n" * 10_000,
    ],
)
def test_a_long_answer_takes_no_long_time(text):
    program(text, reads=True)  # a hang fails by time
