"""Tests that call the answer's functions: two programs in two sandboxes, and the talk of the two.

The *judge* runs the question's test; the *answer* runs the program. In the judge's sandbox a
function of the answer is a `Remote`: to call it sends the arguments to the other sandbox and waits
for the value. Only values go over, as lines of JSON: no code, no pickle, and nothing of the test
but arguments. So a program knows no expected value, and what it says is never more than a value.

This module runs inside sandboxes, as `sandbox_guest` does: it imports nothing of tessy, and nothing
that takes long before it is needed, since each answer waits for it. `serve` is the answer's side,
`judge` the judge's; outside, only `names_in` and `bound_names` are used.

Lines from the judge: `["name", N, NAME]`, `["get", N, OBJECT, NAME]`, `["set", …, VALUE]`,
`["call", N, OBJECT, ARGUMENTS, KEYWORDS]`. From the answer: `["ready", N]`, `["value", N, VALUE,
ARGUMENTS]` with the arguments if the call changed them, `["raised", N, CLASSES, TEXT]`. From both
sandboxes' guests: `["end", N]`. N is the number of the test.
"""

from __future__ import annotations

import _socket
import builtins
import importlib
import itertools
import json
import os
import sys
import types
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ast

BROKEN = 77
"""The judge's exit code if the test says nothing about the answer; the reason is its last line."""
GONE = 78
"""The judge's exit code if the answer's program ended before the test did."""
_CHANNEL = 4
_LINE_BYTES = 16 << 20
_ITEMS = 100_000
"""Items that a generator may give."""
_LIBRARIES = (
    *("collections", "math", "itertools", "functools", "typing", "heapq", "bisect", "string"),
    *("operator", "copy", "datetime", "decimal", "fractions", "statistics", "cmath", "re"),
)
"""Modules whose names a test may use without importing them, as if its answer had."""


class Broken(BaseException):
    """The test can't be run in this way, or says nothing about the answer."""


class Gone(BaseException):
    """The answer's program has ended."""


class AnswerError(Exception):
    """The answer's program raised an exception of its own, or sent what is no value."""


# --- Lines ----------------------------------------------------------------------------------------


class _Link:
    """The lines of one test. What is sent to another test, or is no line, is passed over."""

    def __init__(self, number: int) -> None:
        self._socket = _socket.socket(fileno=_CHANNEL)
        self._number = number

    def send(self, kind: str, *values: Any) -> None:
        """Send a line.

        Raises:
            ValueError: It is too long.
        """
        line = json.dumps([kind, self._number, *values]).encode()
        if len(line) > _LINE_BYTES:
            raise ValueError("a value of more than 16 MiB")
        self._socket.sendall(b"\n" + line + b"\n")

    def receive(self) -> list[Any]:
        """The next line of this test, its number left out.

        Raises:
            Gone: The other side has ended this test.
        """
        while True:
            try:
                kind, number, *values = json.loads(self._line())
            except (ValueError, TypeError, RecursionError):
                continue
            if kind == "end" and number == self._number:
                raise Gone
            if number == self._number:
                return [kind, *values]

    def _line(self) -> bytes:
        """A line, and not a byte of what follows: that is for the next test."""
        line = bytearray()
        while not line.endswith(b"\n"):
            seen = self._socket.recv(1 << 16, _socket.MSG_PEEK)
            if not seen or len(line) > _LINE_BYTES:
                raise Gone
            line += self._socket.recv((seen.find(b"\n") + 1) or len(seen))
        return bytes(line)


# --- Values ---------------------------------------------------------------------------------------


def encode(value: Any, other: Callable[[Any], Any]) -> Any:
    """A value as JSON that keeps its type.

    Args:
        value: A number, text, bytes, a list, tuple, set, dictionary, … of such.
        other: Makes JSON of anything else.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [encode(item, other) for item in value]
    if isinstance(value, dict):
        return {"dict": [[encode(k, other), encode(v, other)] for k, v in value.items()]}
    for name, (kind, take, _) in _KINDS.items():
        if isinstance(value, kind):
            return {name: encode(take(value), other)}
    name = type(value).__name__
    return {name: str(value)} if type(value).__module__ == _AS_TEXT.get(name) else other(value)


def decode(value: Any, other: Callable[[dict[str, Any]], Any]) -> Any:
    """The value that `encode` made JSON of.

    Raises:
        ValueError: It is none.
        TypeError: It is none.
        ArithmeticError: It is none.
    """
    if isinstance(value, list):
        return [decode(item, other) for item in value]
    if not isinstance(value, dict):
        return value
    for name, inside in value.items():
        if name == "dict":
            return {decode(k, other): decode(v, other) for k, v in inside}
        if name in _KINDS:
            return _KINDS[name][2](decode(inside, other))
        if name in _AS_TEXT:
            return getattr(importlib.import_module(_AS_TEXT[name]), name)(str(inside))
    return other(value)


_KINDS: dict[str, tuple[type, Callable[[Any], Any], Callable[[Any], Any]]] = {
    # name: (type, its parts, the value from these)
    "tuple": (tuple, list, tuple),
    "set": (set, list, set),
    "frozenset": (frozenset, list, frozenset),
    "deque": (deque, list, deque),
    "bytes": (bytes, bytes.hex, bytes.fromhex),
    "bytearray": (bytearray, bytearray.hex, bytearray.fromhex),
    "complex": (complex, lambda v: [v.real, v.imag], lambda parts: complex(*parts)),
    "range": (range, lambda v: [v.start, v.stop, v.step], lambda parts: range(*parts)),
}
_AS_TEXT = {"Decimal": "decimal", "Fraction": "fractions"}
"""Classes whose values are their texts, and the modules that have them."""


# --- The answer's side ----------------------------------------------------------------------------


def serve(module: types.ModuleType, number: int) -> None:
    """Answer the judge's requests, in the process of the program, until the test ends.

    Args:
        module: The program, which has run.
        number: The number of the test.
    """
    link = _Link(number)
    objects: list[Any] = []

    def kept(value: Any) -> dict[str, Any]:
        if hasattr(value, "__next__"):
            items = list(itertools.islice(value, _ITEMS))
            return {"iterator": encode(items, kept)}
        objects.append(value)
        kind = type(value)
        own = "__eq__" in {name for base in kind.__mro__[:-1] for name in vars(base)}
        return {"object": len(objects) - 1, "class": kind.__name__, "compares": own}

    def back(value: dict[str, Any]) -> Any:
        return objects[value["object"]]

    try:
        link.send("ready")
        while True:
            kind, *values = link.receive()
            try:
                link.send("value", *_reply(kind, values, module, lambda v: encode(v, kept), back))
            except BaseException as error:
                names = [item.__name__ for item in type(error).__mro__]
                link.send("raised", names, str(error)[:1000])
    except (Gone, OSError):
        sys.stdout.flush()
        os._exit(0)


def _reply(
    kind: str,
    values: list[Any],
    module: types.ModuleType,
    coded: Callable[[Any], Any],
    back: Callable[[dict[str, Any]], Any],
) -> list[Any]:
    """The value that was asked for; for a call that changed its arguments, these, too."""
    if kind == "name":
        return [coded(_named(module, values[0])), None]
    target = back({"object": values[0]})
    if kind == "get":
        return [coded(getattr(target, values[1])), None]
    if kind == "set":
        setattr(target, values[1], decode(values[2], back))
        return [None, None]
    arguments = [decode(item, back) for item in values[1]]
    value = target(*arguments, **{key: decode(v, back) for key, v in values[2].items()})
    for index, item in enumerate(arguments):
        if item is value and isinstance(item, list | dict | set | deque):
            return [{"argument": index}, _changed(arguments, values[1], coded)]
    return [coded(value), _changed(arguments, values[1], coded)]


def _changed(arguments: list[Any], sent: list[Any], coded: Callable[[Any], Any]) -> Any:
    after = [
        coded(item) if isinstance(item, list | dict | set | deque | bytearray) else before
        for item, before in zip(arguments, sent, strict=True)
    ]
    return None if after == sent else after


def _named(module: types.ModuleType, name: str) -> Any:
    """What a program calls by a name; a function may be a method of its class `Solution`."""
    space = vars(module)
    if not name.isidentifier():
        return eval(name, space)  # such as Solution().twoSum; a program may as well do this itself
    if name not in space and hasattr(space.get("Solution"), name):
        return getattr(space["Solution"](), name)
    if name not in space:
        raise NameError(f"name {name!r} is not defined")
    return space[name]


# --- The judge's side -----------------------------------------------------------------------------


class Remote:
    """An object of the answer's program, such as a function, as the judge sees it."""

    __slots__ = ("_compares", "_id", "_kind", "_talk")

    def __init__(self, talk: _Talk, number: int, kind: str, compares: bool) -> None:
        for name, value in zip(self.__slots__, (compares, number, kind, talk), strict=True):
            object.__setattr__(self, name, value)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call it, over there."""
        return self._talk.call(self._id, arguments, keywords)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._talk.ask("get", self._id, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._talk.ask("set", self._id, name, self._talk.coded(value))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Remote) and other._id == self._id:
            return True
        if self._compares:
            self._talk.give_up(f"the test compares objects of the answer's class {self._kind}")
        return False

    def __hash__(self) -> int:
        return hash(self._id)


def _refuse(name: str) -> Callable[..., Any]:
    def refuse(self: Remote, *_: Any) -> Any:
        self._talk.give_up(f"the test uses {name} of an object of the answer's class {self._kind}")

    return refuse


for _name in (
    *("lt", "le", "gt", "ge", "len", "iter", "next", "contains", "getitem", "setitem"),
    *("add", "radd", "sub", "mul", "truediv", "str", "repr", "int", "float", "enter"),
):
    setattr(Remote, f"__{_name}__", _refuse(f"__{_name}__"))


class _Talk:
    """The judge's requests.

    Attributes:
        link: Where they go.
        calls: How many were sent, but for names of functions.
        blamed: Whether the answer lacks a name.
        trouble: Why the test says nothing, once it is clear that it does not.
        unchanged: Arguments that the answer changed, and that were left as they are.
    """

    def __init__(self, link: _Link) -> None:
        self.link = link
        self.calls = 0
        self.blamed = False
        self.trouble = ""
        self.unchanged: list[Any] = []

    def name(self, name: str) -> Any:
        """What the answer calls by a name.

        Raises:
            NameError: It has nothing by that name.
        """
        value = self.ask("name", name)
        self.calls -= isinstance(value, Remote)
        return value

    def call(self, number: int, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
        """Call an object; arguments that it changes are changed here, too, if it returns None.

        Else it could make both sides of `f(x) == sorted(x)` empty.
        """
        sent = [self.coded(item) for item in arguments]
        named = {key: self.coded(item) for key, item in keywords.items()}
        value, after = self._ask("call", number, sent, named)
        for item, before, now in zip(arguments, sent, after or [], strict=False):
            if now != before:
                if value is None:
                    _update(item, self._decoded(now))
                else:
                    self.unchanged.append(item)
        if isinstance(value, dict) and "argument" in value:
            index = int(value["argument"])
            return self._decoded(after[index]) if after else arguments[index]
        return self._decoded(value)

    def ask(self, kind: str, *values: Any) -> Any:
        return self._decoded(self._ask(kind, *values)[0])

    def coded(self, value: Any) -> Any:
        return encode(value, self._other)

    def give_up(self, why: str) -> None:
        """The test can't be run over a channel.

        Raises:
            Broken: Always.
        """
        self.trouble = self.trouble or why
        raise Broken(why)

    def _ask(self, kind: str, *values: Any) -> list[Any]:
        self.calls += 1
        self.link.send(kind, *values)
        reply = self.link.receive()
        try:
            if reply[0] == "value":
                return [reply[1], reply[2]]
            if reply[0] == "raised":
                raise _exception([str(item) for item in reply[1]], str(reply[2]))
        except (IndexError, TypeError):
            pass
        raise AnswerError("the answer's program sent no value")

    def _other(self, value: Any) -> Any:
        if isinstance(value, Remote):
            return {"object": value._id}
        kind = type(value).__name__
        return self.give_up(f"the test hands over what is no plain value: a {kind}")

    def _decoded(self, value: Any) -> Any:
        try:
            return decode(value, self._object)
        except (ValueError, TypeError, ArithmeticError, LookupError, RecursionError):
            raise AnswerError("the answer's program sent no value") from None

    def _object(self, value: dict[str, Any]) -> Any:
        if "iterator" in value:
            return iter(self._decoded(value["iterator"]))
        return Remote(self, int(value["object"]), str(value["class"]), bool(value["compares"]))


def _exception(names: list[str], text: str) -> Exception:
    """An exception of the nearest class that Python itself has."""
    for name in names:
        kind = getattr(builtins, name, None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            try:
                return kind(text) if kind is not Exception else AnswerError(f"{names[0]}: {text}")
            except TypeError:  # a UnicodeError wants more
                break
    return AnswerError(f"{names[0] if names else ''}: {text}")


def _update(old: Any, new: Any) -> None:
    """Give a container the content of another."""
    if isinstance(old, list | bytearray):
        old[:] = new
    elif isinstance(old, dict | set | deque):
        old.clear()
        getattr(old, "extend" if isinstance(old, deque) else "update")(new)


def judge(number: int, test: str, head: str, entry: str | None) -> None:
    """Run a test, and leave by an exit code of its own where it says nothing.

    Args:
        number: The number of the test.
        test: Its code.
        head: Code of the question that goes before it: imports and helpers.
        entry: The function that the question asks for; `check(candidate)` is called with it.
    """
    talk = _Talk(_Link(number))
    try:
        _judge(talk, test, head, entry)
    except Gone:
        _leave(GONE, "the program ended before the test did")
    except Broken as error:
        _leave(BROKEN, str(error))
    except Exception as error:
        if _sees(error, talk.unchanged):
            talk.trouble = "the answer changes an argument that the test keeps, and returns a value"
        if talk.trouble or not (talk.calls or talk.blamed):
            _leave(BROKEN, talk.trouble or f"{type(error).__name__}: {error}")
        raise
    if talk.trouble or not talk.calls:
        _leave(BROKEN, talk.trouble or "the test never calls the answer")


def _sees(error: BaseException, things: list[Any]) -> bool:
    """Whether one of these is in a variable where an error came from."""
    import traceback

    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    tests = [frame for frame in frames if frame.f_code.co_filename == "test.py"]
    kept = {id(value) for frame in tests for value in frame.f_locals.values()}
    return any(id(thing) in kept for thing in things)


def _judge(talk: _Talk, test: str, head: str, entry: str | None) -> None:
    code = compile(test, "test.py", "exec")
    module = sys.modules["test"] = types.ModuleType("test")
    space = vars(module)
    exec(compile(head, "head.py", "exec"), space)
    names, libraries = names_in(test, space, entry)
    space.update(libraries)
    talk.link.receive()  # the program has run
    for name in names:
        try:
            space[name] = talk.name(name)
        except NameError as error:
            talk.blamed = True  # should the test use it
            if name == entry:
                raise error from None
    exec(code, space)
    if entry and "check" in space:
        space["check"](space[entry])


def names_in(
    test: str, defined: Mapping[str, Any] | None = None, entry: str | None = None
) -> tuple[list[str], dict[str, Any]]:
    """The names that a test uses and does not define.

    A name is never the answer's if Python's libraries have it, unless the test has no other: else a
    program could define what the test compares with, such as `isclose`, and be handed the expected
    value.

    Args:
        test: Its code.
        defined: What is there before it.
        entry: The function that the question asks for.

    Returns:
        Those that are the answer's to define, in order, and those of libraries with their values.

    Raises:
        SyntaxError: The test is no Python.
        Broken: It uses a library that it does not import, and that is not there.
    """
    import ast

    nodes = list(ast.walk(ast.parse(test)))
    names = {n.id: None for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    bound = {*(defined or ()), *bound_names(nodes)}
    free = [name for name in names if name not in bound and not hasattr(builtins, name)]
    called = [n.func.id for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    libraries = {n: importlib.import_module(n) for n in free if n in sys.stdlib_module_names}
    others = [name for name in free if name not in libraries]
    attributes = {id(n.value): n for n in nodes if isinstance(n, ast.Attribute)}
    plain = {n.id for n in nodes if isinstance(n, ast.Name) and id(n) not in attributes}
    if unknown := [name for name in others if name not in plain and name != entry]:
        raise Broken(f"the test uses {unknown[0]!r}, which it does not define")
    if entry is not None:
        others = [entry, *(name for name in others if name != entry)]
    elif not free:  # the answer's function has the name of one of Python's
        others = [name for name in called if name not in bound][:1]
    elif not others:
        others, libraries = free, {}
    if len(others) > 1:
        known = {name: value for name in others if (value := _from_library(name)) is not None}
        known.pop(entry or "", None)
        if len(known) < len(others):
            libraries |= known
            others = [name for name in others if name not in known]
    return others, libraries


def bound_names(nodes: Sequence[ast.AST]) -> set[str]:
    """The names that code binds anywhere: assigned, imported, defined, arguments."""
    import ast

    bound: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.alias):
            bound.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            bound.add(node.name)
    return bound


def _from_library(name: str) -> Any:
    """What one of Python's libraries has by a name; None if none has it."""
    for library in _LIBRARIES:
        module = importlib.import_module(library)
        if name in getattr(module, "__all__", [] if library != "math" else dir(module)):
            return getattr(module, name)
    return None


def _leave(code: int, why: str) -> None:
    print(why, file=sys.stderr, flush=True)
    os._exit(code)
