"""Programs in C++: compiled and run in sandboxes, and marked as those in Python are."""

from __future__ import annotations

import shutil

import pytest

from tessy.verifiers import code_cpp as cpp
from tessy.verifiers.code import CodeVerifier
from tessy.verifiers.code_programs import cpp_program
from tessy.verifiers.limits import VerifierSettings

ADD = {"tests": [["2 3\n", "5\n"], ["10 -4\n", "6\n"]]}
CALLED = {"test_list": ["assert f(1) == 3"]}
GOOD = "#include <iostream>\nint main() { int a, b; std::cin >> a >> b; std::cout << a + b; }\n"
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ here")


def block(code: str, label: str = "cpp") -> str:
    return f"```{label}\n{code}```\n"


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (block(GOOD), GOOD),
        (block(GOOD, "C++ solution"), GOOD),
        (block(GOOD, ""), GOOD),
        (block("int f();\n") + block(GOOD) + "It prints\n" + block("5\n", "text"), GOOD),
        (block("struct S {};\n"), None),
        (block(GOOD, "java"), None),
        ("#include <iostream>\nint main() {}", None),
    ],
)
def test_the_program_is_the_last_block_with_a_main(answer, found):
    assert (cpp_program(answer) or "").strip() == (found or "").strip()


@needs_compiler
@pytest.mark.parametrize(
    ("columns", "code", "outcome", "says"),
    [
        (ADD, GOOD, "right", "2 of 2"),
        (ADD, GOOD.replace("a + b", "a - b"), "wrong", "printed '-1', not '5'"),
        (ADD, GOOD.replace("int a", "int a a"), "wrong", "does not compile: 2:"),
        (ADD, GOOD.replace("a + b", "*(int*)0"), "wrong", "ended by signal 11"),
        (ADD, GOOD.replace("<iostream>", '"/etc/passwd"'), "wrong", "No such file"),
        (CALLED, GOOD, "no_answer", "only cpp"),
    ],
)
async def test_programs_are_compiled_and_judged(isolated, columns, code, outcome, says):
    verdict = await CodeVerifier(VerifierSettings(at_once=2)).verify(columns, block(code))
    assert (str(verdict.outcome), says in verdict.detail) == (outcome, True), verdict.detail


async def test_without_a_compiler_it_is_an_error_that_says_what_is_missing(isolated, monkeypatch):
    monkeypatch.setattr(cpp, "_COMPILE", cpp._COMPILE.replace('"g++"', '"no-compiler"'))
    verdict = await CodeVerifier(VerifierSettings(at_once=2)).verify(ADD, block(GOOD))
    assert verdict.outcome == "error"
    assert "needs g++" in verdict.detail
