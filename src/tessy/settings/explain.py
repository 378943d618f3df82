"""What is wrong with settings, in plain words, and what to write instead."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tessy.errors import meant, nearest
from tessy.settings.definitions import BOUNDS, Setting, definitions, metavar, plain_number

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
    for name, words in BOUNDS.items():
        if item["type"] == _OUT_OF_BOUNDS[name]:
            return f"should be {words} {plain_number(item['ctx'][name])}"
    if item["type"] in _KINDS:
        return f"should be {_KINDS[item['type']]}"
    return item["msg"].removeprefix("Value error, ")


def hint_for(error: ValidationError, kind: type[BaseModel]) -> str | None:
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
