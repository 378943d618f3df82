r"""The tests of a question, from its columns. Pure; no I/O.

Three shapes:

- `tests`: pairs of input and output, `[["1 2\n", "3\n"], …]`, or objects,
  `[{"input": …, "output": …}, …]`, or `{"inputs": […], "outputs": […]}`; the program is run on
  each input.
- `test` and `entry_point`, as in HumanEval: code that defines `check(candidate)`, or that asserts
  by itself if there is no `entry_point`. One test.
- `test_list`, as in MBPP: a list of statements, each a test; with `test_setup_code` (text) or
  `test_imports` (a list) before each, if they are there.

A column may also hold any of these as JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tessy.errors import DataError
from tessy.verifiers import columns
from tessy.verifiers.cases import Trial
from tessy.verifiers.protocol import Row

_COLUMNS = ("tests", "test_list", "test")


@dataclass(frozen=True, slots=True)
class Case:
    """A test, and what the program must print; None if it need only run to its end."""

    test: Trial
    expected: str | None


@dataclass(frozen=True, slots=True)
class Suite:
    """All tests of a question.

    Attributes:
        cases: In order; at least one.
        entry_point: The function that is asked for, if one is.
    """

    cases: tuple[Case, ...]
    entry_point: str | None = None


def suite(row: Row, column: str | None = None) -> Suite:
    r"""The tests of a question.

    Args:
        row: Its columns.
        column: Where its tests stand; by default the first of `tests`, `test_list` and `test`.

    Raises:
        DataError: There are none, or they have no known shape.
    """
    name = column or next((name for name in _COLUMNS if row.get(name)), None)
    if name is None:
        there = ", ".join(key for key, item in row.items() if item is not None) or "nothing"
        raise DataError(
            f"verifier code: none of {', '.join(_COLUMNS)} is there (only {there})",
            hint="code:COLUMN takes another column",
        )
    entry_point = row.get("entry_point")
    cases = tuple(_cases(_loaded(columns.present(row, name, "code")), row, name))
    if not cases:
        raise DataError(f"verifier code: column {name!r} holds no test")
    return Suite(cases, str(entry_point) if entry_point else None)


def _loaded(value: Any) -> Any:
    """A column's value, its JSON taken apart if it is that."""
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _cases(value: Any, row: Row, name: str) -> Iterable[Case]:
    if isinstance(value, str):
        call = f"\ncheck({row['entry_point']})\n" if row.get("entry_point") else ""
        yield Case(Trial(code=value + call), None)
        return
    if isinstance(value, dict) and isinstance(value.get("inputs"), list):
        outputs = value.get("outputs")
        if not isinstance(outputs, list) or len(outputs) != len(value["inputs"]):
            raise DataError(f"verifier code: {name}.outputs must be as many as {name}.inputs")
        value = list(zip(value["inputs"], outputs, strict=True))
    if not isinstance(value, list | tuple):
        raise DataError(
            f"verifier code: column {name!r} must hold tests, not {type(value).__name__}",
            hint='[["input", "output"], …], or a list of asserts, or code that asserts',
        )
    setup = _setup(row)
    for number, item in enumerate(value):
        yield _case(item, setup, f"{name}[{number}]")


def _case(item: Any, setup: str, where: str) -> Case:
    if isinstance(item, str):
        return Case(Trial(code=f"{setup}{item}"), None)
    if isinstance(item, dict):
        item = [item.get("input"), item.get("output")]
    if isinstance(item, list | tuple) and len(item) == 2:
        given, expected = item
        if isinstance(given, str) and isinstance(expected, str):
            return Case(Trial(stdin=given), expected)
    raise DataError(
        f"verifier code: {where} is no test",
        hint='["input", "output"] or {"input": …, "output": …}, both text; or an assert',
    )


def _setup(row: Row) -> str:
    imports = row.get("test_imports")
    lines = [str(line) for line in imports] if isinstance(imports, list) else []
    setup = row.get("test_setup_code")
    lines += [str(setup)] if setup else []
    return "".join(f"{line}\n" for line in lines)


def same_output(printed: str, expected: str) -> bool:
    """Whether a program printed what it should: the same words, whatever white space is between.

    So do the checkers of most contests (testlib's `wcmp`).
    """
    return printed.split() == expected.split()
