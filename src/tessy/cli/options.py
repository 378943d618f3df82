"""Makes the options of commands from the definitions of settings.

A command is a function of settings: its own, and often those of the run, the training or the
export.

    @command()
    def doctor(options: DoctorOptions, config: Config) -> None:

Fields with an `Option` become options. Their values are read as text and checked by the settings,
so a bad value gets the same message wherever it comes from. If the command's own settings have a
`config`, the other settings are read from that file; options override it.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer
from pydantic import BaseModel

from tessy.display import visible
from tessy.settings.definitions import Option, Setting, StrictSettings, definitions, metavar
from tessy.settings.loading import by_name, load_settings

_FILE = "config"
_NAMED = re.compile(r"`([a-z0-9][\w-]*:?)`")
"""A value that a meaning tells: `tessy`, `lab:`."""


class CommandOptions(StrictSettings):
    """Options that most commands have."""

    quiet: Annotated[bool, Option()] = False
    """Print only errors and the result."""

    def say(self, line: str) -> None:
        """Print a line to standard error, unless the command is quiet."""
        if not self.quiet:
            print(visible(line), file=sys.stderr, flush=True)


def command(
    *, only: Collection[str] | None = None, without: Collection[str] = ()
) -> Callable[[Any], Any]:
    """Turn a function of settings into a function that typer can make a command of.

    The function's parameters are annotated with the command's own settings, and with others if it
    has any. The result has a parameter for each argument and option; its attribute `settings` has
    their definitions.

    Args:
        only: Keys of the other settings that become options; by default all with an `Option`.
        without: Keys of those that don't.
    """

    def wanted(key: str) -> bool:
        return key not in without and (only is None or key in only)

    def made(function: Callable[..., None]) -> Any:
        kinds = [kind for name, kind in get_type_hints(function).items() if name != "return"]
        own, *others = [
            [setting for setting in definitions(kind) if setting.option] for kind in kinds
        ]
        # What is inherited came first.
        own.sort(key=lambda setting: (setting.key == "quiet", not setting.required))
        shared = [s for settings in others for s in settings if wanted(s.key)]
        has_file = any(setting.key == _FILE for setting in own)

        def run(**given: Any) -> None:
            options = _read(kinds[0], None, own, given)
            path = getattr(options, _FILE, None)
            function(options, *(_read(kind, path, shared, given) for kind in kinds[1:]))

        every = own + shared
        signature = inspect.Signature(
            [
                *(_parameter(each, every, required=each.required) for each in own),
                *(_parameter(s, every, required=s.required and not has_file) for s in shared),
            ]
        )
        run.__name__, run.__doc__ = function.__name__, function.__doc__
        run.__dict__.update(__signature__=signature, settings=every)
        return run

    return made


def _read(
    kind: type[BaseModel], path: Path | None, settings: list[Setting], given: dict[str, Any]
) -> BaseModel:
    """Make settings from options and a file; options override the file."""
    overrides = {each.key: _value(each, given[_name(each)]) for each in settings}
    flags = {each.key: each.flag or each.key.upper() for each in settings}
    was_given = {key: flag for key, flag in flags.items() if overrides[key] is not None}
    for each in settings:
        if each.named and overrides[each.key] is not None:
            own_value, named = by_name(flags[each.key], overrides[each.key])
            is_replaced = named and each.option is not None and each.option.head
            # Named models take the place of the file's single one.
            overrides[each.key] = "" if is_replaced and own_value is None else own_value
            for name, value in named.items():
                own = overrides.setdefault(each.named, {}).setdefault(name, {})
                *tables, last = each.key.split(".")[1:]
                for table in tables:
                    own = own.setdefault(table, {})
                own[last] = value
    return load_settings(kind, path, overrides, flags=was_given)


def _value(setting: Setting, given: Any) -> Any:
    """The value of an option or argument; None if it is not given."""
    assert setting.option is not None
    if given in (None, False, []):
        return None
    if setting.table:
        return {}
    if setting.kind is bool:
        return not setting.option.turns_off
    return given


def _name(setting: Setting) -> str:
    return setting.key.replace(".", "__")


def _parameter(
    setting: Setting, every: Collection[Setting], *, required: bool
) -> inspect.Parameter:
    """The parameter from which typer makes an option or argument.

    Args:
        setting: Its setting.
        every: The command's settings.
        required: It must be given on the command line.
    """
    assert setting.option is not None
    is_flag = setting.kind is bool or setting.table is not None
    repeats = setting.several or setting.named
    kind: Any = bool if is_flag else list[str] if repeats else str
    info: Any
    if setting.option.argument:
        info = typer.Argument(help=_help(setting, every), show_default=False)
    else:
        info = typer.Option(
            setting.flag,
            *([f"--{setting.option.also}"] if setting.option.also else ()),
            help=_help(setting, every),
            metavar=None if is_flag else metavar(setting),
            rich_help_panel=setting.panel,
            show_default=False,
            autocompletion=_completion(setting),
        )
    return inspect.Parameter(
        _name(setting),
        inspect.Parameter.KEYWORD_ONLY,
        annotation=Annotated[kind if required or is_flag else kind | None, info],
        default=inspect.Parameter.empty if required else False if is_flag else None,
    )


def _completion(setting: Setting) -> Callable[[str], list[str]] | None:
    """What a shell offers as values: the choices, or the names that the meaning tells.

    None where a shell offers files.
    """
    is_named = setting.kind is str and not setting.several
    values = setting.choices or (_NAMED.findall(setting.meaning) if is_named else ())
    if len(values) < 2:
        return None

    def offered(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return offered


def meaning_for(setting: Setting, every: Collection[Setting]) -> str:
    """A setting's meaning, where others of a command are named by their options.

    A name is left as it is if it is also a value of one of them, or the setting's own.

    Args:
        setting: The setting.
        every: The command's settings.
    """
    flags = {each.key: each.flag for each in every if each.flag and each is not setting}
    for value in (value for each in every for value in (each.default, *each.choices)):
        if isinstance(value, str):
            flags.pop(value, None)
    return re.sub(r"`(\w+)`", lambda name: f"`{flags.get(name[1], name[1])}`", setting.help)


def _help(setting: Setting, every: Collection[Setting]) -> str:
    """The text of a setting in `--help`: its meaning, unit, bounds and default."""
    meaning = meaning_for(setting, every)
    said = [meaning]
    unit = "" if setting.unit in meaning.lower() else setting.unit
    if aside := "; ".join(part for part in (unit, setting.bounds) if part):
        said.append(f"({aside})")
    if setting.several and setting.flag:
        said.append("May be repeated.")
    if setting.named:
        said.append("May be repeated, as `NAME=VALUE`.")
    if setting.usual:
        said.append(f"[default: {setting.usual}]")
    return " ".join(said)
