"""Scoring by reasoning-gym, with an `eval` of literals, arithmetic and elementary functions only.

It runs inside the sandbox of `tessy.verifiers.gym` and imports nothing of tessy. Some scorers, and
SymPy's parser, evaluate answers; its `eval` takes the place of Python's own there.
An expression that could do more is refused before it is evaluated, so what is left can't call, look
up or change anything. Texts are only taken as names of symbols and as digits of numbers.
(`math_equality` goes further and lets nothing be compiled; scorers could not work so.)
"""

from __future__ import annotations

import ast
import builtins
import importlib
import sys
from collections.abc import Mapping
from typing import Any

_PARTS = (
    *(ast.Expression, ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Name, ast.Load),
    *(ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.Call),
)
_FUNCTIONS = {
    *("Integer", "Float", "Rational", "Symbol", "sqrt", "cbrt", "root", "exp", "log", "ln", "Abs"),
    *("sin", "cos", "tan", "cot", "sec", "csc", "asin", "acos", "atan", "acot", "asec", "acsc"),
    *("sinh", "cosh", "tanh", "coth", "sech", "csch", "asinh", "acosh", "atanh", "factorial"),
    *("erf", "erfi", "sign"),
}
_VALUES = {"pi", "E", "I", "x", "C", "true", "false", "True", "False"}
_LONGEST = 20_000
_eval = builtins.eval


def refusal(source: str, names: Mapping[str, Any]) -> str | None:
    """Why an expression may not be evaluated; None if it may.

    Args:
        source: Python.
        names: Values that names have besides numbers, such as SymPy's symbols.
    """
    if len(source) > _LONGEST:
        return "it is too long"
    for node in ast.walk(ast.parse(source.strip(), mode="eval")):
        if not isinstance(node, _PARTS):
            return type(node).__name__
        if isinstance(node, ast.Call) and (
            not isinstance(node.func, ast.Name) or node.func.id not in _FUNCTIONS or node.keywords
        ):
            return "a call"
        if (
            isinstance(node, ast.Name)
            and node.id not in _FUNCTIONS | _VALUES
            and (node.id.startswith("_") or type(names.get(node.id)).__name__ != "Symbol")
        ):
            return f"the name {node.id}"
    return None


def guarded_eval(
    source: Any, globals: dict[str, Any] | None = None, locals: Mapping[str, Any] | None = None, /
) -> Any:
    """As `eval`, of harmless expressions only.

    Raises:
        ValueError: It is another one, or no text.
    """
    if sys._getframe(1).f_globals.get("__name__") == "collections":  # it makes a named tuple
        return _eval(source, globals, locals)
    if not isinstance(source, str):
        raise ValueError("only text is evaluated")
    why = refusal(source, {**(locals or {})})
    if why is not None:
        raise ValueError(f"this is not evaluated: {why}")
    return _eval(source.strip(), {} if globals is None else globals, locals)


def prepare() -> None:
    """Import the scorers, and guard them."""
    importlib.import_module("reasoning_gym")
    builtins.eval = guarded_eval


def scores(dataset: str, entry: dict[str, Any], answers: list[str]) -> list[float | str]:
    """The score of each answer, or the exception of a scorer that can make no sense of it.

    Args:
        dataset: The family of the puzzle.
        entry: The puzzle, as its scorer takes it.
        answers: What the answer may be.
    """
    score = importlib.import_module("reasoning_gym").get_score_answer_fn(dataset)
    found: list[float | str] = []
    for answer in answers:
        try:
            found.append(float(score(answer=answer, entry=entry)))
        except Exception as error:
            found.append(repr(error))
    return found
