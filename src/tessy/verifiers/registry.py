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

from collections.abc import Callable
from dataclasses import dataclass

from tessy.errors import ConfigError, DataError, TessyError, meant
from tessy.settings import import_factory
from tessy.verifiers.choice import ChoiceVerifier
from tessy.verifiers.code import CodeVerifier
from tessy.verifiers.exact import ExactVerifier
from tessy.verifiers.gym import GymVerifier
from tessy.verifiers.limits import VerifierSettings
from tessy.verifiers.math import MathVerifier
from tessy.verifiers.number import TOLERANCE, NumberVerifier
from tessy.verifiers.protocol import Row, Verdict, Verifier, required_text

Make = Callable[[VerifierSettings, str, "Options"], Verifier]


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a verifier's name.

    Attributes:
        spec: The whole name, for messages.
        given: Values by option.
    """

    spec: str
    given: dict[str, str]

    def share(self, option: str, default: float) -> float:
        """An option that is a number from 0 to 1.

        Raises:
            ConfigError: It is anything else.
        """
        try:
            value = float(self.given.get(option, default))
        except ValueError:
            value = -1.0
        if not 0 <= value <= 1:
            raise ConfigError(self.spec, hint=f"{option} is a number from 0 to 1")
        return value

    def one_of(self, option: str, *values: str) -> str:
        """An option that is one of a few words; the first, if it is not given.

        Raises:
            ConfigError: It is anything else.
        """
        value = self.given.get(option, values[0])
        if value not in values:
            hint = " or ".join(f"{option}={one}" for one in reversed(values))
            raise ConfigError(f"{self.spec}: {option}={value}", hint=hint)
        return value


def _exact(settings: VerifierSettings, column: str, options: Options) -> Verifier:
    ignore_case = options.one_of("case", "keep", "ignore") == "ignore"
    return ExactVerifier(column or "answer", ignore_case=ignore_case, settings=settings)


def _number(settings: VerifierSettings, column: str, options: Options) -> Verifier:
    tolerance = options.share("tolerance", TOLERANCE)
    return NumberVerifier(column or "answer", tolerance=tolerance, settings=settings)


def _math(settings: VerifierSettings, column: str, options: Options) -> Verifier:
    return MathVerifier(settings, column or "answer")


def _choice(settings: VerifierSettings, column: str, options: Options) -> Verifier:
    return ChoiceVerifier(column or "answer", settings=settings)


def _gym(settings: VerifierSettings, column: str, options: Options) -> Verifier:
    return GymVerifier(settings, column or "dataset", threshold=options.share("pass", 1.0))


def _code(settings: VerifierSettings, column: str, options: Options) -> Verifier:
    return CodeVerifier(settings, column or None)


def _auto(settings: VerifierSettings, column: str, options: Options) -> Verifier:
    return AutoVerifier(settings, column or "verifier")


_VERIFIERS: dict[str, tuple[Make, str | None]] = {
    "exact": (_exact, "case"),
    "number": (_number, "tolerance"),
    "math": (_math, None),
    "choice": (_choice, None),
    "reasoning-gym": (_gym, "pass"),
    "code": (_code, None),
    "auto": (_auto, None),
}
"""How each verifier is made, and its option if it has one."""


def names() -> tuple[str, ...]:
    """The names of all verifiers, except `python:`."""
    return tuple(_VERIFIERS)


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
    make, option = _known(spec, name)
    return make(settings or VerifierSettings(), column, _options(spec, name, query, option))


def _known(spec: str, name: str) -> tuple[Make, str | None]:
    """How a verifier is made, and its option.

    Raises:
        ConfigError: There is none of that name.
    """
    if name not in _VERIFIERS:
        hint = f"a verifier is {', '.join(_VERIFIERS)} or python:package.module:factory"
        raise ConfigError(f"{spec!r} is no verifier", hint=meant(name, _VERIFIERS) + hint)
    return _VERIFIERS[name]


def _options(spec: str, name: str, query: str, known: str | None) -> Options:
    """The options of a verifier, once it is clear that it has such ones."""
    given = dict(pair.partition("=")[::2] for pair in query.split("&") if pair)
    for option in given:
        if option != known:
            hint = f"?{known}=…" if known else "it has none"
            raise ConfigError(f"{spec}: {option!r} is no option of {name}", hint=hint)
    return Options(spec, given)


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
    return verifier


class AutoVerifier:
    """`auto`: uses the verifier that each question names.

    Args:
        settings: How verifiers run programs and checks.
        column: The column of the verifier's name, as `load` takes it.
    """

    def __init__(self, settings: VerifierSettings, column: str = "verifier") -> None:
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
        name = required_text(row, self._column, self.name)
        if name.startswith(("auto", "python:")):
            # A data set must not choose which code of this machine runs.
            raise DataError(f"verifier auto: a question may not name {name!r}")
        if name not in self._loaded:
            try:
                self._loaded[name] = load(name, self._settings)
            except ConfigError as error:
                raise DataError(f"verifier auto: {error}", hint=error.hint) from None
        return self._loaded[name]
