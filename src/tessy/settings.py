"""Settings: fields of pydantic models, each with its type, bounds, unit, meaning and option.

A setting is defined once, at its field. The command line (`tessy.cli.options`), the TOML files and
the reference (`docs/reference.py`) are made from the definitions:

    class Limits(StrictSettings):
        answer_tokens: Annotated[int, UnitName("tokens"), Option()] = Field(default=6_000, ge=1)
        \"\"\"Longest answer.\"\"\"

is `answer_tokens` below `[limits]` in a file, and the option `--answer-tokens` of commands.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
import tomllib
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType, NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined, core_schema

from tessy.errors import ConfigError, meant, nearest

S = TypeVar("S", bound=BaseModel)
NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
"""A name that a user gives to something."""
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_OUT_OF_BOUNDS = {
    "ge": "greater_than_equal",
    "gt": "greater_than",
    "le": "less_than_equal",
    "lt": "less_than",
}
"""What pydantic calls a value out of these bounds."""
_KINDS = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a table",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_type": "a table",
    "string_type": "text",
    "tuple_type": "a list",
}
"""What a value should be, by pydantic's name of the error."""
_TYPES: dict[Any, str] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    Path: "path",
}


_TOML = 'settings are TOML: name = value, text as "text", tables as [student]'


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
        name: _number(getattr(mark, name))
        for name in _BOUNDS
        for mark in info.metadata
        if hasattr(mark, name)
    }
    if found.keys() == {"ge", "le"}:
        return f"{found['ge']} to {found['le']}"
    return ", ".join(f"{_BOUNDS[name]} {value}" for name, value in found.items())


def _number(value: float) -> str:
    """A bound as text; large powers of two are written as powers."""
    if isinstance(value, int) and value > 2**20 and value & (value - 1) == 0:
        return f"2^{value.bit_length() - 1}"
    is_whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if is_whole else value)


# --- Reading settings ---------------------------------------------------------------------------


def load_settings(
    kind: type[S],
    path: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    flags: Mapping[str, str] | None = None,
) -> S:
    """Read settings from a TOML file, and override some of them.

    Args:
        kind: The class of the settings.
        path: The file; None for defaults.
        overrides: Values by dotted key, such as `student.chunk`; None values are ignored.
        flags: Options that gave overrides, by key, for messages.

    Raises:
        ConfigError: The file is missing or not TOML, or settings are unknown, missing or out of
            bounds; the message names each and says what it must be.
    """
    tree = {} if path is None else read_toml(path)
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    for key, value in given.items():
        _put(tree, key, value)
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        said = explain(error, path, flags or {}, given=given)
        raise ConfigError(said, hint=_hint(error, kind)) from None


def read_toml(path: Path) -> dict[str, Any]:
    """Read a file of settings.

    Raises:
        ConfigError: The file is missing or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}", hint=_TOML) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None


def _put(tree: dict[str, Any], key: str, value: object) -> None:
    """Put a setting into a tree of settings; a table is merged into an existing one.

    Raises:
        ConfigError: A part of the key is not a table.
    """
    *tables, last = key.split(".")
    for depth, each in enumerate(tables, 1):
        tree = tree.setdefault(each, {})
        if not isinstance(tree, dict):
            name = ".".join(tables[:depth])
            raise ConfigError(
                f"{name} = {tree!r} is not a table of settings, so {key} can't be set",
                hint=f"[{name}] with settings below it, such as {name}.model",
            )
    tree.update(merged(tree, {last: value}))


def merged(usual: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A tree of settings, put over another one."""
    found = dict(usual)
    for key, value in own.items():
        there = found.get(key)
        is_table = isinstance(there, dict) and isinstance(value, dict)
        found[key] = merged(there or {}, value) if is_table else value
    return found


def by_name(flag: str, values: Iterable[str]) -> tuple[str | None, dict[str, str]]:
    """The values of an option that may be repeated, as `VALUE` or as `NAME=VALUE`.

    What has a `:` or a `/` before its first `=` is a URL or a path, and has no name.

    Args:
        flag: The option.
        values: What it was given.

    Returns:
        The value without a name, None if there is none; and those with a name.

    Raises:
        ConfigError: A name or a value is missing, no name, or there twice.
    """
    own, named = list[str](), dict[str, str]()
    for value in values:
        name, equals, rest = value.partition("=")
        if not equals or re.search("[:/]", name):
            own.append(value)
        elif not re.fullmatch(NAME, name) or not rest:
            raise ConfigError(
                f"{flag} {value}: this is not NAME=VALUE",
                hint="a name has only letters, digits and . _ -",
            )
        elif name in named:
            raise ConfigError(
                f"{flag} {value}: {name} has a value already, {named[name]}",
                hint="replicas of one model are listed: NAME=URL,URL",
            )
        else:
            named[name] = rest
    if len(set(own)) > 1:
        raise ConfigError(
            f"{flag} is given several times: {', '.join(own)}",
            hint=f"several models have names: {flag} NAME=VALUE; replicas of one are listed: "
            "URL,URL",
        )
    return (own[0] if own else None), named


def explain(
    error: ValidationError,
    path: Path | None = None,
    flags: Mapping[str, str] | None = None,
    *,
    given: Container[str] = (),
) -> str:
    """What is wrong with settings; each is named by its option or its dotted name.

    Args:
        error: The errors of a model.
        path: The file of the settings.
        flags: Options that gave settings, by key.
        given: Keys of settings that are not from the file.
    """
    options: list[str] = []
    given_too: list[str] = []
    in_file: list[str] = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        says = _says(item)
        flag = (flags or {}).get(key)
        others = given_too if key in given else in_file
        if item["type"] == "extra_forbidden":
            others.append(f"{key}: there is no such setting")
        elif item["type"] == "missing":
            in_file.append(f"{key} is not given")
        elif not key:  # several settings that don't fit together
            in_file.append(says)
        elif flag:
            options.append(f"{flag} {item['input']}: {says[0].lower()}{says[1:]}")
        else:
            others.append(f"{key} = {item['input']!r}: {says[0].lower()}{says[1:]}")
    where = f"{path}: " if path else ""
    return "; ".join([*options, *given_too, *(where + each for each in in_file)])


def _says(item: ErrorDetails) -> str:
    """What is wrong with one setting."""
    for name, words in _BOUNDS.items():
        if item["type"] == _OUT_OF_BOUNDS[name]:
            return f"should be {words} {_number(item['ctx'][name])}"
    if item["type"] in _KINDS:
        return f"should be {_KINDS[item['type']]}"
    return item["msg"].removeprefix("Value error, ")


def _hint(error: ValidationError, kind: type[BaseModel]) -> str | None:
    """What to write instead: the setting that was probably meant, or the missing option."""
    known = {setting.key: setting for setting in definitions(kind)}
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            near = [*known, *_with_names(item, known)]
            near = [each for each in near if not key.startswith(f"{each}.")]
            return meant(key, near).strip() or "docs/configuration.md lists them"
        if item["type"] in ("dict_type", "model_type") and f"{key}.model" in known:
            return f"[{key}] with settings below it, such as {key}.model"
        is_choice = item["type"] in ("enum", "literal_error") and key in known
        if is_choice and (hint := _near_choice(str(item["input"]), known[key])):
            return hint
        if item["type"] == "missing" and key in known and known[key].flag:
            return f"{known[key].flag} {metavar(known[key])}, or {key} in a TOML file"
    return None


def _near_choice(given: str, setting: Setting) -> str | None:
    """The possible value that was probably meant."""
    called = dict(setting.option.called) if setting.option else {}
    near = nearest(given, [*setting.choices, *called])
    if near is None:
        return None
    return f"{called[near]} is for {near}" if near in called else f"did you mean {near}?"


def _with_names(item: ErrorDetails, known: Mapping[str, Setting]) -> Iterator[str]:
    """What may be meant by an unknown key where tables have names that the user gives them."""
    first, *others = map(str, item["loc"])
    for table in known.values():
        if get_origin(table.kind) is dict and table.key == first and len(others) > 1:
            yield from (
                f"{first}.{others[0]}.{s.key}" for s in definitions(get_args(table.kind)[1])
            )
        if table.named and table.key.startswith(f"{first}.") and isinstance(item["input"], dict):
            yield ".".join((table.named, *others))


def import_factory(address: str) -> Any:
    """What a name `python:MODULE:FACTORY` names, imported.

    Args:
        address: The name without `python:`.

    Raises:
        ConfigError: It has another form, can't be imported, or the module has no such name.
    """
    module_name, colon, factory = address.rpartition(":")
    if not colon or not module_name or not factory:
        hint = f"python:MODULE:FACTORY, such as python:{address.strip(':') or 'mine'}:make"
        raise ConfigError(f"python:{address} names no factory", hint=hint)
    try:
        module = _imported(module_name)
    except ModuleNotFoundError as error:
        hint = "it is to be installed, or a file in this folder; PYTHONPATH=FOLDER names another"
        is_it = f"{module_name}.".startswith(f"{error.name}.")
        raise ConfigError(
            f"python:{address} can't be imported: {error}", hint=hint if is_it else None
        ) from error
    except Exception as error:  # it is the user's code: anything may happen
        raise ConfigError(f"python:{address} can't be imported: {error!r}") from error
    if not hasattr(module, factory):
        named = [each for each in dir(module) if not each.startswith("_")]
        hint = meant(factory, named) + "python:package.module:factory"
        raise ConfigError(
            f"python:{address} can't be imported: {module_name} has no {factory}", hint=hint
        )
    return getattr(module, factory)


def _imported(name: str) -> ModuleType:
    """A module; of the current folder if there is none of that name elsewhere.

    The command `tessy` does not search that folder, as `python -m tessy` does.
    """
    first, here = name.partition(".")[0], Path.cwd()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        is_here = (here / first).is_dir() or (here / f"{first}.py").is_file()
        if error.name != first or not is_here or str(here) in sys.path:
            raise
    sys.path.append(str(here))
    importlib.invalidate_caches()
    return importlib.import_module(name)


def metavar(setting: Setting) -> str:
    """The placeholder for a setting's value in `--help`."""
    if setting.choices:
        return "|".join(setting.choices)
    kind = get_args(setting.kind)[0] if setting.several else setting.kind
    return {int: "INTEGER", float: "NUMBER", Path: "PATH", Location: "PATH|URL"}.get(kind, "TEXT")
