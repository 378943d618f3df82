"""What the package promises: exports, the tree of exceptions, outcomes and failures, documented."""

from __future__ import annotations

import ast
import enum
import inspect
import re
from importlib import import_module

import pytest

import tessy
from tessy import errors
from tessy.errors import TessyError
from tessy.method.trajectory import Failure
from test_architecture import MODULES, PACKAGE, ROOT


@pytest.mark.parametrize("name", tessy.__all__)
def test_what_is_exported_is_there_and_documented(name):
    thing = getattr(tessy, name)
    if name == "__version__":
        assert re.fullmatch(r"\d+\.\d+\.\d+\S*", thing)
        return
    assert (thing.__doc__ or "").strip()
    assert thing.__name__ == name
    assert thing.__module__.startswith("tessy.")


def test_what_is_exported_is_there():
    assert sorted(tessy.__all__) == list(tessy.__all__)
    assert set(tessy._LAZY) <= set(tessy.__all__)
    assert all(getattr(tessy, name) for name in tessy.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'synthesise'"):
        _ = tessy.synthesise


EXCEPTIONS = {
    name: thing
    for name, thing in vars(errors).items()
    if inspect.isclass(thing) and issubclass(thing, BaseException)
}


def drawn() -> dict[str, tuple[str | None, str | None]]:
    """The tree in the docstring: the parent and the standard kin of every name."""
    tree: dict[str, tuple[str | None, str | None]] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^ {4}([│├└─ ]*)([A-Z]\w+)(?: +\(also (\w+)\))?", line)
        if not found or (not found[1] and found[2] != "TessyError"):
            continue
        depth = len(found[1]) // 4
        path[depth:] = [found[2]]
        tree[found[2]] = (path[depth - 1] if depth else None, found[3])
    return tree


def test_the_tree_of_exceptions_is_all_of_them():
    assert set(drawn()) == set(EXCEPTIONS)


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_an_exception_stands_where_it_is_drawn(name):
    thing = EXCEPTIONS[name]
    assert issubclass(thing, TessyError)
    assert (thing.__doc__ or "").strip()
    parent, kin = drawn()[name]
    expected = [item for item in (parent, kin) if item] or ["Exception"]
    assert [base.__name__ for base in thing.__bases__] == expected


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_an_exception_carries_its_message_and_its_hint(name):
    error = EXCEPTIONS[name]("what is wrong", hint="what to do")
    assert str(error) == error.message == "what is wrong"
    assert error.hint == "what to do"
    assert EXCEPTIONS[name]("what is wrong").hint is None


def members(of: type[enum.Enum]) -> dict[str, str | None]:
    """The members of an enum, with the string that stands below each."""
    tree = ast.parse(inspect.getsource(of))
    (body,) = [node.body for node in tree.body if isinstance(node, ast.ClassDef)]
    found: dict[str, str | None] = {}
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            found[node.targets[0].id] = after.value.value if is_text else None
    return found


def enums() -> list[type[enum.Enum]]:
    found = {}
    for module in MODULES:
        name = ".".join(module.relative_to(PACKAGE).with_suffix("").parts)
        if name.startswith(("cli.", "__main__")) or name.endswith("llama_child"):
            continue
        for thing in vars(import_module(f"tessy.{name}")).values():
            is_enum = inspect.isclass(thing) and issubclass(thing, enum.Enum)
            if is_enum and thing.__module__ == f"tessy.{name}":
                found[thing.__module__, thing.__qualname__] = thing
    return list(found.values())


@pytest.mark.parametrize(
    "outcome", [e for e in enums() if e.__name__ in ("Failure", "Outcome", "Reason")]
)
def test_every_outcome_is_documented(outcome):
    documented = members(outcome)
    assert set(documented) == {member.name for member in outcome}
    assert [name for name, text in documented.items() if not text] == []


@pytest.mark.parametrize("failure", Failure)
def test_every_failure_is_described_in_the_docs(failure):
    text = (ROOT / "docs" / "failures.md").read_text("utf-8")
    assert f"`{failure.value}`" in text
