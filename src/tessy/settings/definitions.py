"""Defines settings: fields of pydantic models, with type, bounds, unit, meaning and option."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, core_schema

BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
"""How bounds are said, by pydantic's names of them."""
_TYPES: dict[Any, str] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    Path: "path",
}


class StrictSettings(BaseModel):
    """Base of all settings: unknown keys are errors, and values can't be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Location(str):
    """A path, or a URL; a `Path` would make `s3:/bucket` of `s3://bucket`."""

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: Any) -> core_schema.CoreSchema:
        given = core_schema.union_schema(
            [core_schema.str_schema(), core_schema.is_instance_schema(Path)]
        )
        return core_schema.no_info_after_validator_function(lambda value: cls(str(value)), given)


_TYPES[Location] = "path or URL"


# --- Marks of a field ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Option:
    """Makes a setting an option of the command line.

    Attributes:
        name: The option's name without dashes; by default the field's name.
        head: In a group with a name, the option has the group's name.
        unset: What happens without the option, if the default is None or an empty list.
        turns_off: The option is a flag that sets the setting to false.
        panel: Its heading in `--help`; by default the group's.
        argument: It is a positional argument.
        called: What others call its values: pairs of such a name and a value, for hints.
        also: Another name of the option, without dashes.
    """

    name: str | None = None
    head: bool = False
    unset: str | None = None
    turns_off: bool = False
    panel: str | None = None
    argument: bool = False
    called: tuple[tuple[str, str], ...] = ()
    also: str | None = None


@dataclass(frozen=True, slots=True)
class OptionGroup:
    """On a table: makes options of the settings below it that have an `Option`.

    Attributes:
        name: The prefix of their names; may be empty.
        panel: Their heading in `--help`.
        named: A table of tables like this one. The options may be repeated: `NAME=VALUE` is for the
            table with this name.
    """

    name: str = ""
    panel: str | None = None
    named: str | None = None


@dataclass(frozen=True, slots=True)
class UnitName:
    """The unit of a number."""

    name: str


_ROOT = OptionGroup()
TOKENS = UnitName("tokens")
WORDS = UnitName("words")
SECONDS = UnitName("seconds")


# --- Reading the definitions --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Setting:
    """The definition of a setting.

    Attributes:
        key: Its dotted name, as in a file.
        kind: Its type, without None.
        default: Its default; `PydanticUndefined` if it is required.
        meaning: Its docstring.
        help: Its docstring, after the group's if the option has the group's name.
        unit: Its unit; may be empty.
        bounds: Its bounds in words, such as `at least 1`; may be empty.
        flag: Its option, such as `--student-tokenizer`; None if it is no option.
        option: The `Option` of its field; None if it is no option.
        panel: The option's heading in `--help`.
        named: The `named` of its group; None if its option can't be repeated for others.
    """

    key: str
    kind: Any
    default: Any
    meaning: str
    help: str
    unit: str
    bounds: str
    flag: str | None
    option: Option | None
    panel: str | None
    named: str | None = None

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is PydanticUndefined

    @property
    def table(self) -> type[BaseModel] | None:
        """The model of the settings below it; None if it is not a table."""
        is_table = isinstance(self.kind, type) and issubclass(self.kind, BaseModel)
        return self.kind if is_table else None

    @property
    def choices(self) -> tuple[str, ...]:
        """Its possible values, if they are an enum or literals; otherwise empty."""
        if get_origin(self.kind) is Literal:
            return get_args(self.kind)
        if isinstance(self.kind, type) and issubclass(self.kind, StrEnum):
            return tuple(self.kind)
        return ()

    @property
    def several(self) -> bool:
        """Whether it is a list."""
        return get_origin(self.kind) in (tuple, list)

    @property
    def type_name(self) -> str:
        """Its type, in words."""
        if self.choices:
            return "text"
        if self.several:
            return f"list of {_TYPES[get_args(self.kind)[0]]}"
        return _TYPES.get(self.kind, "table")

    @property
    def usual(self) -> str:
        """Its default as text, or what happens without it; empty if it is required."""
        if self.option and self.option.unset:
            return self.option.unset
        if self.required:
            return ""
        if self.option and (self.kind is bool or self.table):
            return "off"
        return shown(self.default)


def shown(value: object) -> str:
    """A setting's value as text."""
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).replace("e-0", "e-") if isinstance(value, float) else str(value)


def definitions(
    kind: type[BaseModel],
    table: Setting | None = None,
    usual: BaseModel | None = None,
    group: OptionGroup | None = _ROOT,
) -> Iterator[Setting]:
    """The settings of a model and of the tables below it, in order.

    Args:
        kind: The model.
        table: The table that the model defines; None for the root.
        usual: The default of the table, if it has one.
        group: The table's `OptionGroup`; None if its settings are no options.
    """
    for name, info in kind.model_fields.items():
        marks = {type(mark): mark for mark in info.metadata}
        option = marks.get(Option) if group else None
        inner, is_optional = _without_none(info.annotation)
        default = getattr(usual, name) if usual else info.get_default(call_default_factory=True)
        meaning = _docstring(kind, name)
        setting = Setting(
            key=f"{table.key}.{name}" if table else name,
            kind=inner,
            default=default,
            meaning=meaning,
            help=f"{table.meaning} {meaning}" if table and option and option.head else meaning,
            unit=marks[UnitName].name if UnitName in marks else "",
            bounds=_bounds(info),
            flag=_flag(name, group, option) if group and option else None,
            option=option,
            panel=option.panel if option and option.panel else group.panel if group else None,
            named=group.named if group and option else None,
        )
        yield setting
        if setting.table:
            below = marks.get(OptionGroup) if group else None
            if below and group and group.name:
                joined = "-".join(part for part in (group.name, below.name) if part)
                below = replace(below, name=joined, named=group.named)
            is_there = not (setting.required or is_optional)
            yield from definitions(setting.table, setting, default if is_there else None, below)


def _docstring(kind: type[BaseModel], field: str) -> str:
    """The string below a field, in one line."""
    for each in kind.__mro__[: kind.__mro__.index(StrictSettings)]:
        if found := _docstrings(each.__module__).get((each.__name__, field)):
            return found
    return ""


@cache
def _docstrings(module: str) -> dict[tuple[str, str], str]:
    """The strings below the fields of a module's classes, by class and field.

    Pydantic can read them too (`use_attribute_docstrings`), but does so class by class at every
    import, which takes longer than everything else in `--help`.
    """
    found = {}
    classes = ast.parse(inspect.getsource(sys.modules[module])).body
    for each in (node for node in classes if isinstance(node, ast.ClassDef)):
        for field, below in pairwise(each.body):
            match field, below:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    found[each.name, name] = " ".join(text.split())
    return found


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """A type without None, and whether it included None."""
    if get_origin(annotation) in (Union, UnionType):
        rest = [each for each in get_args(annotation) if each is not NoneType]
        if len(rest) == 1:
            return rest[0], True
    return annotation, False


def _flag(name: str, group: OptionGroup, option: Option) -> str | None:
    if option.argument:
        return None
    own = "" if option.head and group.name else option.name or name
    return "--" + "-".join(part for part in (group.name, own) if part).replace("_", "-")


def _bounds(info: FieldInfo) -> str:
    found = {
        name: plain_number(getattr(mark, name))
        for name in BOUNDS
        for mark in info.metadata
        if hasattr(mark, name)
    }
    if found.keys() == {"ge", "le"}:
        return f"{found['ge']} to {found['le']}"
    return ", ".join(f"{BOUNDS[name]} {value}" for name, value in found.items())


def plain_number(value: float) -> str:
    """A bound as text; large powers of two are written as powers."""
    if isinstance(value, int) and value > 2**20 and value & (value - 1) == 0:
        return f"2^{value.bit_length() - 1}"
    is_whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if is_whole else value)


# --- Reading settings ---------------------------------------------------------------------------


def metavar(setting: Setting) -> str:
    """The placeholder for a setting's value in `--help`."""
    if setting.choices:
        return "|".join(setting.choices)
    kind = get_args(setting.kind)[0] if setting.several else setting.kind
    return {int: "INTEGER", float: "NUMBER", Path: "PATH", Location: "PATH|URL"}.get(kind, "TEXT")
