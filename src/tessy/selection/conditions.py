"""Conditions on what was measured, such as `teacher>=0.5`. Pure."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from tessy.errors import ConfigError, meant

NAME = re.compile(r"[A-Za-z][\w-]*")
"""Names of what was measured."""
USUAL = {"teacher": "teacher>0", "student": "student<1"}
"""What is kept if nothing else is said: solved by the teacher, and not always by the student."""
_WRITTEN = re.compile(rf"\s*({NAME.pattern})\s*([<>=!]+)\s*(.*?)\s*")
_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_SLIPS = {"=": "==", "=>": ">=", "=<": "<=", "<>": "!=", "!": "!="}
"""What is written for another sign. A sign that is written several times is meant once."""
_HINT = "a name, one of > >= < <= == !=, and a number, in quotes: --keep 'teacher>=0.5'"


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that a question has to fulfil.

    Attributes:
        name: What was measured.
        sign: How it is compared.
        bound: With what.
    """

    name: str
    sign: str
    bound: float

    def __str__(self) -> str:
        return f"{self.name}{self.sign}{self.bound:g}"

    def holds(self, values: Any) -> Any:
        """Whether it holds for a value, or for each value of an array; not for nan.

        Args:
            values: What was measured.
        """
        found = _SIGNS[self.sign](values, self.bound)
        return found & (values == values)  # `!=` holds for nan


def parse(text: str) -> Condition:
    """Read a condition.

    Raises:
        ConfigError: It is none; the message says what to write.
    """
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise ConfigError(f"--keep {text!r} is no condition", hint=_HINT)
    name, sign, number = found.groups()
    if sign not in _SIGNS:
        once = re.sub(r"(.)\1+", r"\1", sign)
        instead = once if once in _SIGNS else _SLIPS.get(once)
        hint = f"{name}{instead}{number}" if instead else _HINT
        raise ConfigError(f"--keep {text!r}: {sign!r} compares nothing", hint=hint)
    try:
        bound = float(number)
    except ValueError:
        bound = math.nan
    if not math.isfinite(bound):
        raise ConfigError(f"--keep {text!r}: {number!r} is no number", hint=_HINT)
    return Condition(name, sign, bound)


def conditions_of(written: Iterable[str], names: Collection[str]) -> list[Condition]:
    """The conditions of a selection; the usual ones if none is written.

    Args:
        written: The conditions, as they were given.
        names: The names of what was or will be measured.

    Raises:
        ConfigError: One is no condition, or is about something that was not measured.
    """
    texts = list(written) or [text for name, text in USUAL.items() if name in names]
    found = [parse(text) for text in texts]
    for condition in found:
        if condition.name not in names:
            instead = "--judge" if condition.name == "judge" else f"--by {condition.name}=RUN"
            there = f"; there is {', '.join(names)}" if names else ""
            raise ConfigError(
                f"--keep '{condition}': nothing named {condition.name} was measured",
                hint=f"{meant(condition.name, names)}{instead} says what was measured{there}",
            )
    return found


def check_bounds(conditions: Iterable[Condition], most: dict[str, float]) -> None:
    """Make sure that conditions compare with numbers that there are.

    Args:
        conditions: The conditions.
        most: The largest number by the name of what was measured; the least is 0.

    Raises:
        ConfigError: One does not.
    """
    for each in conditions:
        highest = most[each.name]
        if not 0 <= each.bound <= highest:
            kind = "rates are" if highest == 1 else "scores are"
            percent = f": write {each.name}{each.sign}{each.bound / 100:g}" if highest == 1 else ""
            raise ConfigError(
                f"--keep '{each}': {kind} 0 to {highest:g}",
                hint=f"a number from 0 to {highest:g}{percent if 1 < each.bound <= 100 else ''}",
            )
