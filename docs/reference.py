"""Write the reference from the definitions of settings: `make docs`.

    docs/configuration.md, docs/commands.md    tables between `<!-- settings: … -->` or
                                               `<!-- options: … -->` and `<!-- end -->`
    tests/cli/options.txt                      every command and option, to see a new one in review
    docs/palette.css                           the site's colours, from tessy.palette

What is around the tables is written by hand. A test compares the files with what is made here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import typer.main
from pydantic import BaseModel

from tessy.cli.main import app
from tessy.cli.options import meaning_for
from tessy.config import Config
from tessy.evaluation.settings import OF_SYNTHESIS, EvaluationConfig
from tessy.palette import DARK, LIGHT
from tessy.settings.definitions import Setting, definitions, metavar, shown
from tessy.training.settings import SFTSettings

ROOT = Path(__file__).parent.parent
DOCUMENTS = ("docs/configuration.md", "docs/commands.md")
SNAPSHOT = "tests/cli/options.txt"
SITE_COLOURS = "docs/palette.css"
_BLOCK = re.compile(r"(<!-- (settings|options): ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def files() -> dict[Path, str]:
    """What each file has to hold."""
    made = {ROOT / SNAPSHOT: snapshot(), ROOT / SITE_COLOURS: site_colours()}
    for name in DOCUMENTS:
        made[ROOT / name] = _BLOCK.sub(_block, (ROOT / name).read_text("utf-8"))
    return made


def commands() -> dict[str, list[Setting]]:
    """The arguments and options of every command, by its whole name."""
    return dict(_commands(typer.main.get_command(app), ""))


def _commands(group: object, prefix: str) -> Iterator[tuple[str, list[Setting]]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{prefix}{name} ")
        elif hasattr(command.callback, "settings"):
            yield prefix + name, command.callback.settings


def site_colours() -> str:
    """The palette as the variables of MkDocs Material, for its light and its dark scheme."""
    schemes = (
        ("default", LIGHT, LIGHT["teacher"], "#ffffff"),
        ("slate", DARK, DARK["soft"], DARK["ink"]),
    )
    made = "/* Made by `make docs` from tessy.palette. */\n"
    for scheme, colours, header, on_header in schemes:
        variables = {
            "primary-fg-color": header,
            "primary-fg-color--light": header,
            "primary-fg-color--dark": header,
            "primary-bg-color": on_header,
            "primary-bg-color--light": on_header,
            "accent-fg-color": colours["link"],
            "typeset-a-color": colours["link"],
            "default-bg-color": colours["paper"],
            "default-fg-color": colours["ink"],
            "default-fg-color--light": colours["quiet"],
            "code-bg-color": colours["soft"],
            "code-fg-color": colours["ink"],
            **dict.fromkeys(
                ("code-hl-comment-color", "code-hl-punctuation-color"), colours["quiet"]
            ),
            **dict.fromkeys(
                ("code-hl-keyword-color", "code-hl-constant-color"), colours["teacher"]
            ),
            **dict.fromkeys(("code-hl-string-color", "code-hl-special-color"), colours["good"]),
            **dict.fromkeys(("code-hl-number-color", "code-hl-name-color"), colours["ink"]),
            "code-hl-function-color": colours["link"],
            "code-hl-operator-color": colours["quiet"],
            "code-hl-generic-color": colours["quiet"],
            "code-hl-variable-color": colours["ink"],
            "footer-bg-color": colours["soft"],
            "footer-bg-color--dark": colours["soft"],
            "footer-fg-color": colours["ink"],
            "footer-fg-color--light": colours["quiet"],
            "footer-fg-color--lighter": colours["quiet"],
        }
        lines = "".join(f"  --md-{name}: {colour};\n" for name, colour in variables.items())
        made += f'[data-md-color-scheme="{scheme}"] {{\n{lines}}}\n'
    return made


def snapshot() -> str:
    """Every command with its options, a line each."""
    lines = ["Made by `make docs`: every command, its arguments and options, and their defaults."]
    for name, settings in commands().items():
        lines += ["", f"tessy {name}"]
        lines += [f"    {_usage(each):44}{each.usual or 'required'}" for each in settings]
    return "\n".join(lines) + "\n"


def _usage(setting: Setting) -> str:
    """An option with what stands for its value, or an argument."""
    if setting.flag is None:
        return setting.key.upper()
    is_flag = setting.kind is bool or setting.table
    return setting.flag if is_flag else f"{setting.flag} {metavar(setting)}"


def _block(found: re.Match[str]) -> str:
    begin, kind, name, end = found.groups()
    if kind == "options":
        lines = _options(commands()[name])
    elif name == "eval":
        lines = _table(_of_evaluation())
    else:
        lines = _settings({"run": Config, "sft": SFTSettings}[name])
    return begin + "\n" + "\n".join(lines) + "\n\n" + end


def _options(settings: list[Setting]) -> Iterator[str]:
    """A command's arguments and options as a table."""
    yield "| option | default | meaning |"
    yield "|---|---|---|"
    for each in settings:
        choices = f": {_choices(each)}" if each.choices and each.flag else ""
        is_value = each.default not in (None, (), False, True) and not each.option.unset
        usual = _code(each.usual) if is_value and each.usual else each.usual or "required"
        yield f"| `{_name(each)}`{choices} | {usual} | {_meaning(each, settings)} |"


def _name(setting: Setting) -> str:
    return setting.flag or setting.key.upper()


def _settings(kind: type[BaseModel]) -> Iterator[str]:
    """All settings of a model: a table for each table, or once for those that are alike."""
    tables: dict[type[BaseModel], list[str]] = {kind: [""]}
    for setting in definitions(kind):
        if setting.table:
            tables.setdefault(setting.table, []).append(setting.key)
    for each, names in tables.items():
        if names != [""]:
            title = " and ".join(f"`[{name}]`" for name in names)
            yield from ("", f"### {title}", "")
        inside = [s for s in definitions(kind) if s.key.rpartition(".")[0] in names]
        yield from _table(inside)
        assert {s.key.rpartition(".")[2] for s in inside} == set(each.model_fields)


def _table(settings: list[Setting]) -> Iterator[str]:
    """Settings as a table; those of tables that are alike share a row."""
    yield "| key | type | default | bounds | unit | option | meaning |"
    yield "|---|---|---|---|---|---|---|"
    rows: dict[str, list[Setting]] = {}
    several = len({s.key.rpartition(".")[0] for s in settings}) > 1
    is_one_model = several and len({s.key.rpartition(".")[2] for s in settings}) < len(settings)
    for each in settings:
        name = each.key.rpartition(".")[2] if is_one_model or not several else each.key
        rows.setdefault(name, []).append(each)
    for name, (first, *others) in rows.items():
        flags = ", ".join(f"`{each.flag}`" for each in (first, *others) if each.flag)
        bounds = _choices(first) if first.choices else first.bounds
        yield (
            f"| `{name}` | {first.type_name} | {_default(first)} | {bounds} | {first.unit} "
            f"| {flags} | {first.meaning} |"
        )


def _of_evaluation() -> list[Setting]:
    """The settings that are required or have another default for an evaluation."""
    usual = {setting.key: setting.usual for setting in definitions(Config)}
    return [
        setting
        for setting in definitions(EvaluationConfig)
        if not setting.table
        and setting.key.partition(".")[0] not in OF_SYNTHESIS
        and setting.usual != usual[setting.key]
    ]


def _choices(setting: Setting) -> str:
    return ", ".join(f"`{each}`" for each in setting.choices)


def _default(setting: Setting) -> str:
    """The default of a setting in a file."""
    if setting.option and setting.option.unset:
        return setting.option.unset
    if setting.required:
        return "required"
    if setting.table or setting.default in (None, {}):
        return "none" if not setting.default else ""
    return _code(_text(setting))


def _text(setting: Setting) -> str:
    return " ".join(shown(setting.default).split())


def _code(text: str) -> str:
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _meaning(setting: Setting, every: list[Setting]) -> str:
    aside = "; ".join(part for part in (setting.unit, setting.bounds) if part)
    meaning = meaning_for(setting, every)
    return f"{meaning} ({aside})" if aside else meaning


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, "utf-8")
