"""Verifiers by name: `NAME`, `NAME:COLUMN`, `NAME?option=value`, `NAME:COLUMN?option=value`.

exact           the same text; `?case=ignore`
number          the same number; `?tolerance=1e-4`
math            equal by mathematics (math-verify)
choice          the same letter
reasoning-gym   right by the puzzle's own scorer; `?pass=0.9`
code            a program that passes its tests
auto            each question names its own in its column `verifier`, or `auto:COLUMN`
python:MODULE:FACTORY   your own
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from tessy.errors import ConfigError, DataError, InputError, TessyError, meant
from tessy.settings.factories import import_factory
from tessy.verifiers.choice import COLUMNS as CHOICES
from tessy.verifiers.choice import choice_verifier
from tessy.verifiers.code import CodeVerifier
from tessy.verifiers.code_tests import suite
from tessy.verifiers.exact import exact_verifier
from tessy.verifiers.gym import GymVerifier
from tessy.verifiers.limits import VerifierSettings
from tessy.verifiers.math import MathVerifier
from tessy.verifiers.number import number_verifier
from tessy.verifiers.protocol import (
    MissingReference,
    NoVerifierNamed,
    Row,
    Verdict,
    Verifier,
    required_text,
)

_NAMING = "verifier"
"""The column in which a question names its verifier."""


def _share(spec: str, option: str, value: str) -> float:
    """An option that is a number from 0 to 1."""
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ConfigError(spec, hint=f"{option} is a number from 0 to 1")
    return share


def _case(spec: str, option: str, value: str) -> str:
    if value not in ("ignore", "keep"):
        hint = f"{option}=ignore or {option}=keep"
        raise ConfigError(f"{spec}: {option}={value}", hint=hint)
    return value


class _Kind(NamedTuple):
    """A kind of verifier: how it is made, and the option that it has, if any, and how to read it.

    `make` takes settings and, unless they are the usual ones, `column` and the argument `keyword`.
    """

    make: Callable[..., Verifier]
    option: str | None = None
    keyword: str = ""
    read: Callable[[str, str, str], Any] = _share


def names() -> tuple[str, ...]:
    """The names of all verifiers, except `python:`."""
    return tuple(_KINDS)


def load(spec: str, settings: VerifierSettings | None = None) -> Verifier:
    """Load a verifier.

    Args:
        spec: Its name, with a column and options if they are not the usual ones.
        settings: How it runs programs and checks.

    Raises:
        ConfigError: There is none of that name, or it can't be imported.
        ConfigError: An option is unknown or out of bounds.
        MissingExtra: It needs an optional dependency.
        SandboxError: It runs programs, and they can't be isolated here.
    """
    if spec.startswith("python:"):
        return _python(spec.removeprefix("python:"))
    head, _, query = spec.partition("?")
    name, _, column = head.partition(":")
    kind = _kind(spec, name)
    changed: dict[str, Any] = {"column": column} if column else {}
    given = dict(pair.partition("=")[::2] for pair in query.split("&") if pair)
    for option in given:
        if option != kind.option:
            hint = f"?{kind.option}=…" if kind.option else "it has none"
            raise ConfigError(f"{spec}: {option!r} is no option of {name}", hint=hint)
    for option, value in given.items():
        changed[kind.keyword] = kind.read(spec, option, value)
    return kind.make(settings or VerifierSettings(), **changed)


def _kind(spec: str, name: str) -> _Kind:
    """The kind of verifier of a name."""
    if name not in _KINDS:
        hint = f"a verifier is {', '.join(_KINDS)} or python:package.module:factory"
        raise ConfigError(f"{spec!r} is no verifier", hint=meant(name, _KINDS) + hint)
    return _KINDS[name]


def _python(address: str) -> Verifier:
    factory = import_factory(address)
    try:
        verifier = factory()
    except TessyError:
        raise
    except Exception as error:  # it is the user's code: anything may happen
        raise ConfigError(f"python:{address} made no verifier: {error!r}") from error
    if not isinstance(verifier, Verifier):
        raise ConfigError(
            f"python:{address} made a {type(verifier).__name__}, which is no verifier",
            hint="it needs name, check, verify and aclose: see tessy.verifiers.protocol",
        )
    return _OwnVerifier(verifier)


def fitting(row: Row) -> list[str]:
    """The verifiers whose columns a question has; what tells most of the answer comes first."""
    usual = VerifierSettings()
    checks: dict[str, Callable[[Row], object]] = {
        "code": suite,
        "choice": choice_verifier(usual).check,
        "number": number_verifier(usual).check,
        "exact": exact_verifier(usual).check,
        "math": exact_verifier(usual).check,  # it needs the same column, and an extra
    }
    is_letter = re.fullmatch(r"\W*[A-Z]\W*", str(row.get("answer", ""))) is not None
    if not is_letter and not any(row.get(column) for column in CHOICES):
        checks.pop("choice")  # a number may be the index of one
    return [name for name, check in checks.items() if _takes(check, row)]


def _takes(check: Callable[[Row], object], row: Row) -> bool:
    try:
        check(row)
    except InputError:
        return False
    return True


class _OwnVerifier:
    """A verifier of the user's own code, whose `check` may raise anything.

    `check` comes before each `verify`, too: a question with nothing to verify by gets no verdict.
    """

    def __init__(self, verifier: Verifier) -> None:
        self.name = verifier.name
        self._verifier = verifier

    def check(self, row: Row) -> None:
        """Check the question; other errors than tessy's are named as errors of the question."""
        try:
            self._verifier.check(row)
        except TessyError:
            raise
        except Exception as error:
            raise DataError(f"verifier {self.name}: check raised {error!r}") from error

    async def verify(self, row: Row, answer: str) -> Verdict:
        """Verify an answer."""
        self.check(row)
        return await self._verifier.verify(row, answer)

    async def aclose(self) -> None:
        """Close the verifier."""
        await self._verifier.aclose()


class AutoVerifier:
    """`auto`: uses the verifier that each question names.

    Args:
        settings: How verifiers run programs and checks.
        column: The column of the verifier's name, as `load` takes it.
    """

    def __init__(self, settings: VerifierSettings, column: str = _NAMING) -> None:
        self.name = "auto"
        self._settings = settings
        self._column = column
        self._loaded: dict[str, Verifier] = {}

    def check(self, row: Row) -> None:
        """Check that the question names a verifier, and has the columns that it needs."""
        self._verifier(row).check(row)

    async def verify(self, row: Row, answer: str) -> Verdict:
        """Use the question's verifier."""
        return await self._verifier(row).verify(row, answer)

    async def aclose(self) -> None:
        """Close all verifiers that were used."""
        for verifier in self._loaded.values():
            await verifier.aclose()

    def _verifier(self, row: Row) -> Verifier:
        try:
            name = required_text(row, self._column, self.name)
        except MissingReference as error:
            if self._column != _NAMING or not (names := fitting(row)):
                raise
            also = f"; so do {', '.join(names[1:])}" if names[1:] else ""
            hint = f"{names[0]} fits these columns{also}"
            raise NoVerifierNamed(error.message, hint=hint) from None
        if name.startswith(("auto", "python:")):
            # A data set must not choose which code of this machine runs.
            raise DataError(f"verifier auto: a question may not name {name!r}")
        if name not in self._loaded:
            try:
                self._loaded[name] = load(name, self._settings)
            except ConfigError as error:
                raise DataError(f"verifier auto: {error}", hint=error.hint) from None
        return self._loaded[name]


_KINDS = {
    "exact": _Kind(exact_verifier, "case", "case", _case),
    "number": _Kind(number_verifier, "tolerance", "tolerance"),
    "math": _Kind(MathVerifier),
    "choice": _Kind(choice_verifier),
    "reasoning-gym": _Kind(GymVerifier, "pass", "threshold"),
    "code": _Kind(CodeVerifier),
    "auto": _Kind(AutoVerifier),
}
