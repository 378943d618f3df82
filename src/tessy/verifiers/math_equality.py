"""Whether two expressions are equal, by math-verify and SymPy.

This is the program of `math`'s checks: it runs in a process of its own, which has math-verify and
not tessy. It reads expressions and never runs them. math-verify's grammar makes them, but SymPy
evaluates texts as Python wherever it expects a number; here it reads only digits, and an audit hook
refuses to compile any text.

math-verify compares numbers by 15 digits of their difference, so it takes 1/2^98 for 1/2^99. Here
numbers are equal only if that can be shown; decimals may be off by one part in a million.
"""

from __future__ import annotations

import logging
import math
import re
import sys
from collections.abc import Callable
from typing import Any

import sympy
from latex2sympy2_extended.math_normalization import NormalizationConfig, normalize_latex
from math_verify import grader, parser
from sympy import Basic, Float, Integer, MatrixBase, Rational, Symbol, SympifyError
from sympy.core.evalf import PrecisionExhausted
from sympy.core.function import AppliedUndef
from sympy.parsing import sympy_parser

TOLERANCE = Rational(1, 10**6)
"""How far off a decimal may be, relative to the right one."""
_POINTS = (Rational(37, 29), Rational(53, 71), Rational(101, 43), Rational(7, 31))
_MONOMIALS = re.compile(
    rb"def monomial_[a-z]+\([ABk, ]+\):\n(?:    [\w(), =+*<>-]+(?::[\w ]+)?\n)+"
)
_MAX_DIGITS = 1e5
_MAX_DEPTH = 40
_refused: list[str] = []
_WRITTEN = NormalizationConfig(malformed_operators=True, nits=True, boxed="none")


def check(gold: list[str], answer: list[str]) -> dict[str, Any]:
    """As `judge`, in a process that compiles nothing from then on."""
    sys.addaudithook(refuse_to_compile)
    return judge(gold, answer)


def judge(gold: list[str], answer: list[str]) -> dict[str, Any]:
    """Compare what a reference may mean with what an answer may mean.

    Returns:
        Whether the reference and the answer can be read, and whether they are equal; or an error.
    """
    right = [found for text in gold if (found := read(text)) is not None]
    said = [found for text in answer if (found := read(text)) is not None]
    if not any(one == other for one in right for other in said) and any(map(is_huge, right + said)):
        return {"error": "a number has too many digits"}
    try:
        is_right = any(equal(one, other) for one in right for other in said)
    except (MemoryError, RecursionError) as error:
        return {"error": type(error).__name__}
    if _refused:
        return {"error": _refused[0]}
    return {"gold": bool(right), "found": bool(said), "right": is_right}


def read(text: str) -> Any:
    """The expression that a text is, in LaTeX; None if it is none."""
    if _depth(text) > _MAX_DEPTH:
        return None
    try:
        return parser.parse_latex_cached(normalize_latex(text, config=_WRITTEN))
    except Exception:  # a grammar's, SymPy's, and Python's for deep ones
        return None


def _depth(text: str) -> int:
    """How deep brackets are nested; the grammar takes long, and Python's stack ends."""
    depth = deepest = 0
    for character in text:
        depth += (character in "{([") - (character in "})]")
        deepest = max(deepest, depth)
    return deepest


def is_huge(term: Any) -> bool:
    """Whether working an expression out makes more digits, or more terms, than anyone needs."""
    nodes = sympy.preorder_traversal(term)
    return any(_digits(node) > _MAX_DIGITS for node in nodes if isinstance(node, Basic))


def _digits(term: Any) -> float:
    """About how many digits a number has once it is worked out; of a power, also terms."""
    if isinstance(term, Rational):
        return 0.302 * float((abs(term.p) * term.q).bit_length())
    if isinstance(term, sympy.Pow | sympy.factorial):
        base, exponent = term.args if isinstance(term, sympy.Pow) else (term.args[0], term.args[0])
        each = 100.0 if isinstance(base, sympy.Add) and base.free_symbols else _digits(base)
        size = _digits(exponent)
        if size > 8:
            return math.inf
        times = abs(float(exponent)) if isinstance(exponent, Rational) else 10.0**size
        return each * times
    if isinstance(term, sympy.Add | sympy.Mul):
        return float(sum(map(_digits, term.args)))
    return 0.0


def equal(gold: Any, said: Any) -> bool:
    """Whether an answer's expression is the reference."""
    if not _is_equation(gold):
        said = _value(said)
    elif not _is_equation(said):
        gold = _value(gold)
    if _is_equation(gold) != _is_equation(said):
        return False
    try:
        return _compared(gold, said)
    except (MemoryError, RecursionError):
        raise
    except Exception:  # two kinds of things that have no comparison
        return False


def _compared(gold: Any, said: Any) -> bool:
    if grader.is_relation(gold) and grader.is_relation(said) and not _is_equation(gold):
        return _same_range(gold, said)
    has_list = any(isinstance(one, sympy.FiniteSet) and len(one) > 1 for one in (gold, said))
    if has_list and isinstance(gold, sympy.Tuple) != isinstance(said, sympy.Tuple):
        return False  # (1, 2) is no {1, 2}
    return bool(grader.sympy_expr_eq(gold, said, 6, 15, True))


def _is_equation(found: Any) -> bool:
    return bool(grader.is_equation(found))


def _same_range(gold: Any, said: Any) -> bool:
    """Whether two inequalities, or chains of them, hold for the same values."""
    if gold.free_symbols != said.free_symbols:
        return False
    if len(gold.free_symbols) == 1:
        return bool(gold.as_set() == said.as_set())
    return bool(grader.sympy_compare_relational(gold, said, 6, 15))


def same_relation(gold: Any, said: Any, *_: Any) -> bool:
    """Whether one equation or inequality is a multiple of another.

    math-verify compares solutions, so that two equations without any are equal.
    """
    factor = sympy.simplify((gold.lhs - gold.rhs) / (said.lhs - said.rhs))
    if not factor.is_number or not factor.is_finite or factor == 0:
        return False
    turned = grader.INVERSE_RELATIONS.get(type(gold))
    if isinstance(gold, sympy.Eq):
        return isinstance(said, sympy.Eq)
    return type(said) is (type(gold) if factor.is_positive else turned)


def _value(found: Any) -> Any:
    """What is called by a name: of `x = 5`, `5 = x`, `f(x) = 5`, `2 + 3 = 5` the 5."""
    if not _is_equation(found):
        return found
    first, last = grader.take_first_relation(found), grader.take_last_relation(found)
    if _is_name(first.lhs) or not first.lhs.free_symbols:
        return last.lhs if _is_name(last.rhs) else last.rhs
    return last.lhs if _is_name(last.rhs) else found


def _is_name(found: Any) -> bool:
    return isinstance(found, Symbol | AppliedUndef) or bool(grader.is_expr_of_only_symbols(found))


def same_number(one: Any, other: Any, *_: Any) -> bool:
    """Whether two terms are equal: numbers, matrices, terms with variables.

    Args:
        one: From the reference.
        other: From the answer.
    """
    if isinstance(one, MatrixBase) or isinstance(other, MatrixBase):
        return (
            isinstance(one, MatrixBase)
            and isinstance(other, MatrixBase)
            and one.shape == other.shape
            and all(same_number(a, b) for a, b in zip(one.flat(), other.flat(), strict=True))
        )
    one, other = (term.doit() if isinstance(term, Basic) else term for term in (one, other))
    if one == other:
        return True
    if not (isinstance(one, sympy.Expr) and isinstance(other, sympy.Expr)):
        return False
    if one.has(Float) or other.has(Float):
        if one.is_number and other.is_number:
            return _is_near(one, other)
        one, other = (sympy.nsimplify(term, rational=True) for term in (one, other))
    return _is_zero(one - other)


def _is_near(right: Any, found: Any) -> bool:
    """Whether a decimal is near enough; whole numbers must be equal."""
    if not (right.has(Float) and found.has(Float)) and _is_whole(right) and _is_whole(found):
        return bool(Integer(right) == Integer(found))
    right, found = right.evalf(30), found.evalf(30)
    return bool(abs(right - found) <= TOLERANCE * abs(right))


def _is_whole(term: Any) -> bool:
    return bool(term.is_Integer or (term.is_Float and term == int(term)))


def _is_zero(difference: Any) -> bool:
    """Whether a difference is zero; False if that can't be shown."""
    if difference.is_Rational:
        return bool(difference == 0)
    if _is_surely_not_zero(difference):
        return False
    if sympy.expand(difference) == 0 or sympy.simplify(difference) == 0:
        return True
    return difference.equals(0) is True


def _is_surely_not_zero(difference: Any) -> bool:
    """Whether a value, or the value at some points, differs from zero in its first digits."""
    symbols = sorted(difference.free_symbols, key=str)
    if len(symbols) > len(_POINTS) or difference.has(sympy.Integral, sympy.Sum, sympy.Limit):
        return False
    value = difference.subs(dict(zip(symbols, _POINTS, strict=False)))
    try:
        value = value.evalf(10, maxn=400, strict=True)
    except (PrecisionExhausted, ArithmeticError, NotImplementedError, TypeError, ValueError):
        return False
    return bool(value.is_number and value.is_finite and value != 0)


def only_digits(text: str, *_: Any, **__: Any) -> Any:
    """A number from digits: in place of SymPy's `parse_expr`, which evaluates its text as Python.

    Raises:
        SympifyError: It is anything else.
    """
    if re.fullmatch(r"[-+]?\d+", text, re.A):
        return Integer(int(text))
    if re.fullmatch(r"[-+]?\d*\.\d+|[-+]?\d+\.", text, re.A):
        return Float(text, max(15, len(text)))
    raise SympifyError(text)


def refuse_to_compile(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: no text becomes Python, but modules and SymPy's arithmetic of exponents.

    Raises:
        RuntimeError: Something compiles a text.
    """
    if event != "compile" or str(arguments[1]).endswith(".py"):
        return
    if not isinstance(arguments[0], bytes) or not _MONOMIALS.fullmatch(arguments[0]):
        _refused.append("an expression would be run as Python")
        raise RuntimeError(_refused[0])


def prepare() -> None:
    """Make math-verify compare numbers as this module does, and be ready to parse.

    SymPy imports parts of itself at their first use, which evaluate texts of their own.
    """
    _use_everything()
    logging.disable(logging.CRITICAL)
    never: Callable[..., bool] = lambda *_: False  # noqa: E731
    sympy_parser.parse_expr = only_digits
    grader.sympy_numeric_eq = same_number
    grader.sympy_symbolic_eq = never
    grader.sympy_solve_and_compare = same_relation
    assert equal(read("\\frac{1}{2}"), read("0.5"))  # its grammar takes long to be ready
    assert not equal(read("x^2+1"), read("x+1"))


def _use_everything() -> None:
    x, y = sympy.symbols("x y", real=True)
    for term in (sympy.sin(x) ** 2 + sympy.cos(x) ** 2 - 1, (x**2 - 1) / (x - 1) - y, sympy.log(x)):
        sympy.simplify(term).equals(0)
    sympy.solve(x**2 + y - 1, [x, y])
    (x > 3).as_set().symmetric_difference(sympy.Interval.open(3, sympy.oo))
    sympy.nsimplify(sympy.Float("0.5") * x, rational=True)
    (sympy.sqrt(2) + sympy.sqrt(3) - sympy.pi).evalf(10, maxn=100, strict=True)
    sympy.Sum(1 / x**2, (x, 1, sympy.oo)).doit()
    sympy.Integral(sympy.exp(-(x**2)), (x, 0, 1)).doit()
    sympy.Limit(sympy.sin(x) / x, x, 0).doit()
