r"""The tests of a question, for `code`. Pure; no I/O.

The column is `tests`, `test_list`, `test`, `input_output` or `public_test_cases`, or the one that
is named. It holds one of these, or one of these as JSON text:

- pairs of input and output, `[["1 2\n", "3\n"], …]`, or objects, `[{"input": …, "output": …}, …]`
  (`outputs`: any of several is accepted), or `{"inputs": […], "outputs": […]}`, in which a list
  is lines; the program runs on each input;
- the same with a function's name, as in APPS and TACO (`fn_name` in the object) and LiveCodeBench
  (`testtype` "functional", and `func_name` in the column `metadata`): inputs are its arguments, and
  outputs what it returns. LiveCodeBench's `private_test_cases` count, too;
- code, as HumanEval's `test`: it defines `check(candidate)` for `entry_point`, or asserts;
- a list of statements, as MBPP's `test_list`, each a test; `test_setup_code` (text) or
  `test_imports` (a list) go before each.
"""

from __future__ import annotations

import base64
import binascii
import json
import pickletools
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from tessy.errors import DataError
from tessy.verifiers.code_programs import head_of
from tessy.verifiers.protocol import MissingReference, Row, from_json, lack_of, required
from tessy.verifiers.sandbox import ProgramTest
from tessy.verifiers.sandbox_calls import Broken, names_in

_COLUMNS = ("tests", "test_list", "test", "input_output", "public_test_cases")
_PRIVATE = "private_test_cases"
_UNPACKED_BYTES = 256 << 20
_SHAPES = (
    '["input", "output"] or {"input": …, "output": …}, both text; or an assert; or arguments and '
    "result with fn_name"
)
_CALL = """\
def same(found, wanted):
    numbers = {type(found), type(wanted)}
    if float in numbers and numbers <= {int, float}:
        return abs(found - wanted) <= 1e-6 * max(1, abs(wanted)) < 1e300 or found == wanted
    if isinstance(wanted, list) and isinstance(found, list | tuple):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    if isinstance(wanted, dict) and isinstance(found, dict):
        return found.keys() == wanted.keys() and all(same(found[k], wanted[k]) for k in wanted)
    return type(found) is type(wanted) and found == wanted
def check(candidate):
    found = candidate(*{arguments})
    accepted = {accepted}
    said = f"{found!r:.60}, not {accepted[-1]!r:.60}"
    assert any(same(found, wanted) for wanted in accepted), said
"""


@dataclass(frozen=True, slots=True)
class Suite:
    """All tests of a question.

    Attributes:
        tests: In order; at least one.
        entry_point: The function that the question asks for, if it asks for one.
        names: What the tests call; empty if they do not.
    """

    tests: tuple[ProgramTest, ...]
    entry_point: str | None = None
    names: tuple[str, ...] = ()

    @property
    def reads(self) -> bool:
        """Whether a program's input matters."""
        return any(test.stdin.strip() for test in self.tests)


def suite(row: Row, column: str | None = None) -> Suite:
    """The tests of a question.

    Args:
        row: Its columns.
        column: The column of its tests; by default the first known one that holds some.

    Raises:
        MissingReference: There are none.
        DataError: They have no known shape.
    """
    name = column or next((name for name in _COLUMNS if row.get(name)), None)
    if name is None:
        raise MissingReference(
            f"verifier code: {lack_of(row, *_COLUMNS)}",
            hint="code:COLUMN reads another column",
        )
    value = _value(required(row, name, "code"), name)
    entry = str(row["entry_point"]) if row.get("entry_point") else None
    tests = list(_tests(value, row, name, entry))
    if name == "public_test_cases" and row.get(_PRIVATE):
        tests += _tests(_private(row[_PRIVATE]), row, _PRIVATE, entry)
    if not tests:
        raise DataError(f"verifier code: column {name!r} holds no test")
    if entry is not None and (head := head_of(str(row.get("prompt") or ""), entry)):
        tests = [replace(test, head=head) if test.code else test for test in tests]
    return Suite(tuple(tests), entry, _called(tests))


def _value(value: Any, name: str) -> Any:
    """What a column holds, from JSON if it is some."""
    value = from_json(value)  # else it is code
    if isinstance(value, dict) and "fn_name" not in value and "inputs" not in value:
        raise DataError(
            f"verifier code: column {name!r} is an object without `inputs`", hint=_SHAPES
        )
    return value


def _called(tests: list[ProgramTest]) -> tuple[str, ...]:
    """The names that the answer is to define."""
    names: dict[str, None] = {}
    for test in tests:
        if test.code is not None:
            with suppress(SyntaxError, ValueError, RecursionError, MemoryError, Broken):
                names |= dict.fromkeys(names_in(test.code, None, test.entry)[0])
    return tuple(name.split(".")[-1] for name in names)


def _tests(value: Any, row: Row, name: str, entry: str | None) -> Iterator[ProgramTest]:
    if isinstance(value, str):
        yield ProgramTest(code=value, entry=entry)
        return
    function = None
    if isinstance(value, dict):
        function, value = value.get("fn_name"), _zipped(value, name)
    if not isinstance(value, list | tuple):
        raise DataError(
            f"verifier code: column {name!r} must hold tests, not {type(value).__name__}",
            hint='[["input", "output"], …], or a list of asserts, or code that asserts',
        )
    setup = _setup(row)
    for number, item in enumerate(value):
        if isinstance(item, str):
            yield ProgramTest(code=setup + item)
            continue
        called = function or _function(item, row, f"{name}[{number}]")
        given, accepted = _pair(item, f"{name}[{number}]", bool(called))
        if called:
            yield _calling(called, given, accepted, f"{name}[{number}]")
        else:
            yield ProgramTest(given, expected=tuple(accepted))


def _zipped(value: dict[str, Any], name: str) -> list[Any]:
    """Inputs with their outputs; without a function, lists are lines."""
    inputs, outputs = value.get("inputs"), value.get("outputs")
    if not isinstance(inputs, list):
        raise DataError(f"verifier code: {name}.inputs must be a list", hint=_SHAPES)
    if not isinstance(outputs, list) or len(outputs) != len(inputs):
        raise DataError(f"verifier code: {name}.outputs must be as many as {name}.inputs")
    if value.get("fn_name"):  # what is returned may stand in a list of its own
        both = [
            [item, *item] if isinstance(item, list) and len(item) == 1 else [item]
            for item in outputs
        ]
        return [{"input": i, "outputs": o} for i, o in zip(inputs, both, strict=True)]
    return [[_lines(i), _lines(o)] for i, o in zip(inputs, outputs, strict=True)]


def _lines(value: Any) -> Any:
    is_lines = isinstance(value, list) and all(isinstance(line, str) for line in value)
    return "\n".join(value) if is_lines else value


def _pair(item: Any, where: str, is_call: bool) -> tuple[Any, list[Any]]:
    """Input and accepted outputs of a test; texts unless a function is called with them."""
    match item:
        case {"input": given, "outputs": [_, *_] as accepted}:
            pass
        case {"input": given, "output": expected} | [given, expected]:
            accepted = [expected]
        case _:
            raise DataError(f"verifier code: {where} is no test", hint=_SHAPES)
    if not is_call and not all(isinstance(text, str) for text in (given, *accepted)):
        lists = any(isinstance(text, list) for text in accepted)
        more = "; several right outputs: {input: …, outputs: […]}" if lists else ""
        raise DataError(f"verifier code: {where} is no test of texts", hint=_SHAPES + more)
    return given, list(accepted)


def _function(item: Any, row: Row, where: str) -> str | None:
    """The function that a test calls, as LiveCodeBench names it; None if it prints."""
    if not isinstance(item, dict) or item.get("testtype", item.get("type")) not in (
        "functional",
        "function_call",
    ):
        return None
    metadata = from_json(row.get("metadata"))
    of_row = metadata.get("func_name") if isinstance(metadata, dict) else None
    name = item.get("fn_name") or of_row or row.get("fn_name") or row.get("entry_point")
    if not name:
        raise DataError(
            f"verifier code: {where} calls a function that is not named",
            hint="its name is `func_name` in the column `metadata`, or the column `fn_name`",
        )
    return str(name)


def _calling(name: str, given: Any, accepted: list[Any], where: str) -> ProgramTest:
    """A test that calls a function with its arguments."""
    try:
        if isinstance(given, str):  # JSON, an argument on each line
            given = [json.loads(line) for line in given.splitlines() if line.strip()]
            accepted = [json.loads(one) if isinstance(one, str) else one for one in accepted]
    except (ValueError, RecursionError):
        raise DataError(f"verifier code: {where}: arguments and result must be JSON") from None
    if not isinstance(given, list):
        raise DataError(f"verifier code: {where}: the arguments must be a list")
    code = _CALL.replace("{arguments}", repr(given)).replace("{accepted}", repr(accepted))
    return ProgramTest(code=code, entry=name)


def _private(value: Any) -> Any:
    """LiveCodeBench's hidden tests: JSON, which may be pickled, deflated and in base64.

    The pickle is read as a list of steps, never carried out: it must hold one text and no more.
    """
    if not isinstance(value, str) or value.lstrip().startswith("["):
        return _value(value, _PRIVATE)
    try:
        inflated = zlib.decompressobj()
        packed = inflated.decompress(base64.b64decode(value, validate=True), _UNPACKED_BYTES)
        if packed[:1] == b"\x80":
            steps = [(step.name, held) for step, held, _ in pickletools.genops(packed)]
            texts = [held for step, held in steps if "UNICODE" in step]
            others = {step for step, _ in steps if "UNICODE" not in step}
            if len(texts) != 1 or others - {"PROTO", "FRAME", "MEMOIZE", "BINPUT", "STOP"}:
                raise ValueError("it is no text")
            return json.loads(str(texts[0]))
        return json.loads(packed)
    except (ValueError, binascii.Error, zlib.error, RecursionError) as error:
        raise DataError(
            f"verifier code: column {_PRIVATE!r} can't be read: {error}",
            hint="JSON; or JSON text, pickled, deflated and in base64",
        ) from None


def _setup(row: Row) -> str:
    imports, setup = row.get("test_imports"), row.get("test_setup_code")
    lines = [*(imports if isinstance(imports, list) else []), *([setup] if setup else [])]
    return "".join(f"{line}\n" for line in lines)
