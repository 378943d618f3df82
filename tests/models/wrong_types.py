"""Answers of which one field is of a wrong type, or is missing: every field, every type."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

WRONG: tuple[Any, ...] = (
    None, True, False, 0, -1, 7, 1.5, -0.0, 1e300, 2**31, 2**63, 2**64, 10**40, "", "text", "7",
    "-1", "nan", "a\0b", "\ud800", "\ufffd", [], [None], ["x"], [[5]], [5, "x"], [1.5], [True],
    [-1], [2**40], {}, {"a": 1}, {"0": {"text": "x"}}, [{}], [[]], float("nan"), float("inf"),
)  # fmt: skip
"""Values; each is put in the place of each value of an answer, right ones included."""


def wrong(answer: Any) -> Iterator[tuple[str, bytes]]:
    """All answers that differ from a good one in one value, which may be missing.

    Args:
        answer: The good one.

    Yields:
        What is different, and the answer as JSON. NaN and lone surrogates are in some, which no
        JSON has but many servers write.
    """
    for path in _paths(answer):
        for value in WRONG:
            changed = _changed(answer, path, value)
            yield f"{path} is {value!r}", json.dumps(changed).encode()
        if path:
            yield f"{path} is missing", json.dumps(_changed(answer, path, _GONE)).encode()


_GONE = object()


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _paths(inner, (*path, key))


def _changed(answer: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.deepcopy(answer)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    if value is _GONE:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return changed
