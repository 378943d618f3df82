"""How settings are defined and read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field

from tessy.errors import ConfigError
from tessy.settings.definitions import (
    TOKENS,
    Option,
    OptionGroup,
    StrictSettings,
    definitions,
    shown,
)
from tessy.settings.loading import by_name, load_settings


class Pot(StrictSettings):
    """A pot."""

    kind: Annotated[str | None, Option(head=True, unset="none at all")] = None
    """What it is made of."""
    size: Annotated[int, TOKENS, Option()] = Field(default=3, ge=1, le=2**30)
    """How much
    goes in."""
    secret: float = Field(default=0.5, gt=0)
    """Not an option."""


class Lid(StrictSettings):
    """A lid."""

    size: Annotated[int, Option()] = 3
    """How wide it is."""


class Kitchen(StrictSettings):
    """A kitchen."""

    big: Annotated[Pot, OptionGroup("big", panel="Pots")] = Pot(size=9)
    """The big pot."""
    only: Annotated[Pot, OptionGroup()] = Field(default_factory=Pot)
    """A pot whose options have no prefix."""
    lid: Annotated[Lid | None, Option(), OptionGroup("lid")] = None
    """A lid that may be missing."""
    closed: Annotated[bool, Option("open", turns_off=True)] = True
    """Whether it is closed."""
    cooks: Annotated[tuple[str, ...], Option(unset="nobody")] = ()
    """Who cooks."""
    hidden: Pot = Field(default_factory=Pot)
    """A table without options."""


FOUND = {setting.key: setting for setting in definitions(Kitchen)}


def test_options_are_named_after_their_groups():
    assert {key: each.flag for key, each in FOUND.items() if each.flag} == {
        "big.kind": "--big",
        "big.size": "--big-size",
        "only.kind": "--kind",
        "only.size": "--size",
        "lid": "--lid",
        "lid.size": "--lid-size",
        "closed": "--open",
        "cooks": "--cooks",
    }


def test_a_definition_has_everything_that_is_said_at_the_field():
    size = FOUND["big.size"]
    assert (size.meaning, size.unit, size.bounds) == ("How much goes in.", "tokens", "1 to 2^30")
    assert (size.usual, size.panel, size.type_name) == ("9", "Pots", "integer")
    assert FOUND["big.kind"].help == "The big pot. What it is made of."
    assert FOUND["big.kind"].usual == "none at all"
    assert FOUND["only.size"].usual == FOUND["lid.size"].usual == "3"
    assert FOUND["hidden.secret"].bounds == "above 0"
    assert (FOUND["lid"].usual, FOUND["closed"].usual, FOUND["cooks"].usual) == (
        *("off", "off", "nobody"),
    )


@pytest.mark.parametrize(
    ("value", "text"), [(None, "none"), (True, "true"), (5e-5, "5e-5"), (0.5, "0.5"), ("a", "a")]
)
def test_defaults_are_shown_as_people_write_them(value, text):
    assert shown(value) == text


def test_overrides_are_put_over_the_file_and_tables_are_merged(tmp_path):
    path = tmp_path / "kitchen.toml"
    path.write_text("[big]\nsize = 5\n[lid]\nsize = 6\n")
    found = load_settings(Kitchen, path, {"big.kind": "iron", "lid": {}, "closed": None})
    assert (found.big.size, found.big.kind, found.lid.size) == (5, "iron", 6)
    assert load_settings(Kitchen, None, {"lid": {}}).lid == Lid()
    assert load_settings(Kitchen).lid is None


def test_what_is_wrong_is_named_by_its_option_or_by_its_key_and_file(tmp_path):
    path = tmp_path / "kitchen.toml"
    path.write_text("[big]\nsise = 5\n[hidden]\nsecret = 0\n")
    with pytest.raises(ConfigError) as refused:
        load_settings(Kitchen, path, {"only.size": "many"}, flags={"only.size": "--size"})
    said = str(refused.value)
    assert said.startswith("--size many: should be a whole number")
    assert f"{path}: big.sise: there is no such setting" in said
    assert "hidden.secret = 0: should be above 0" in said
    assert refused.value.hint == "did you mean big.size?"


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("cooks = 'me'", "cooks = 'me': should be a list", None),
        ("closed = 'maybe'", "closed = 'maybe': should be true or false", None),
        ("big.size = '3x'", "big.size = '3x': should be a whole number", None),
        ("big.kind = {name = 'iron'}", "big.kind = {'name': 'iron'}: should be text", None),
        ("hidden = 'x'", "hidden = 'x': should be a table", None),
        ("big.kind.x = 1", "big.kind = {'x': 1}: should be text", None),
        (
            "hidden.nothing_like_it = 1",
            "hidden.nothing_like_it: there is no such setting",
            "docs/configuration.md",
        ),
        ("big:\n  size: 3", "kitchen.toml is not TOML: ", "settings are TOML: name = value"),
    ],
)
def test_what_a_file_has_instead_is_said_in_plain_words(tmp_path, text, said, hint):
    path = tmp_path / "kitchen.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_settings(Kitchen, path, {"big.kind": None, "cooks": None, "closed": None})
    assert str(refused.value).startswith(f"{path}")
    assert said in str(refused.value)
    assert (refused.value.hint or "").startswith(hint or "")


def test_a_setting_below_something_that_is_not_a_table_is_refused(tmp_path: Path):
    (tmp_path / "kitchen.toml").write_text("big = 3")
    with pytest.raises(ConfigError, match="big = 3 is not a table of settings"):
        load_settings(Kitchen, tmp_path / "kitchen.toml", {"big.size": 4})


# --- Values with names --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "own", "named"),
    [
        (["lab:teacher"], "lab:teacher", {}),
        (["a=lab:teacher", "b.2=http://h/v1?k=1,http://g/v1"], None, {
            "a": "lab:teacher", "b.2": "http://h/v1?k=1,http://g/v1",
        }),
        (["http://h/v1?k=1"], "http://h/v1?k=1", {}),
        (["gguf:a=b.gguf"], "gguf:a=b.gguf", {}),
        (["./a=b", "c=d"], "./a=b", {"c": "d"}),
        ([""], "", {}),
    ],
)  # fmt: skip
def test_a_value_has_a_name_unless_it_is_a_url_or_a_path(values, own, named):
    assert by_name("--teacher", values) == (own, named)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["a b=x"], "--teacher a b=x: this is not NAME=VALUE"),
        (["=x"], "--teacher =x: this is not"),
        (["a="], "--teacher a=: this is not"),
        (["a=x", "a=y"], "--teacher a=y: a has a value already, x"),
        (["x", "y"], "--teacher is given several times: x, y"),
    ],
)
def test_names_that_are_none_or_there_twice_are_refused(values, said):
    with pytest.raises(ConfigError) as refused:
        by_name("--teacher", values)
    assert said in str(refused.value)
    assert refused.value.hint
