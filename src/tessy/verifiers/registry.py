"""Verifiers by name: `NAME`, `NAME:COLUMN`, `NAME?option=value`, `NAME:COLUMN?option=value`.

exact           the same text; `?case=ignore`
number          the same number; `?tolerance=1e-4`
math            the same by mathematics (math-verify)
choice          the same letter
reasoning-gym   right by the puzzle's own scorer; `?pass=0.9`
code            a program that passes its tests
auto            each question names its own in its column `verifier`, or `auto:COLUMN`
python:MODULE:FACTORY   one's own
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tessy.errors import ConfigError, TessyError
from tessy.verifiers.limits import Settings
from tessy.verifiers.protocol import Verifier


@dataclass(frozen=True, slots=True)
class Spec:
    """A verifier's name, taken apart.

    Attributes:
        name: Its name.
        column: The column that was named, or None.
        options: What stands behind the question mark.
    """

    name: str
    column: str | None
    options: Mapping[str, str]


def load(spec: str, settings: Settings | None = None) -> Verifier:
    """Load a verifier.

    Args:
        spec: Its name, with a column and options if they are not the usual ones.
        settings: How it runs what it runs.

    Raises:
        ConfigError: There is none of that name, it can't be imported, or an option is unknown or
            out of bounds.
        MissingExtra: It needs an optional dependency.
        SandboxError: It runs programs, and there is no isolation for them.
    """
    settings = settings or Settings()
    scheme, _, rest = spec.partition(":")
    if scheme == "python":
        return _python(rest)
    parsed = parse(spec)
    return _BUILT_IN[parsed.name].make(parsed, settings)


def parse(spec: str) -> Spec:
    """Take a name apart, and see whether there is such a verifier and such options.

    Raises:
        ConfigError: There is no such verifier, or it has no such option.
    """
    head, _, query = spec.partition("?")
    name, _, column = head.partition(":")
    if name not in _BUILT_IN:
        raise ConfigError(f"{spec!r} is no verifier", hint=_hint(name))
    options = dict(pair.partition("=")[::2] for pair in query.split("&") if pair)
    known = _BUILT_IN[name].options
    for option in options:
        if option not in known:
            wanted = f"?{known[0]}=…" if known else "none"
            raise ConfigError(f"{spec}: {option!r} is no option of {name}", hint=wanted)
    return Spec(name, column or None, options)


def names() -> tuple[str, ...]:
    """The verifiers that there are, without `python:`."""
    return tuple(_BUILT_IN)


def _hint(name: str) -> str:
    near = difflib.get_close_matches(name.lower().replace("_", "-"), _BUILT_IN, n=1)
    known = f"a verifier is {', '.join(_BUILT_IN)} or python:package.module:factory"
    return f"did you mean {near[0]}? {known}" if near else known


def _exact(spec: Spec, settings: Settings) -> Verifier:
    from tessy.verifiers.exact import ExactVerifier

    case = spec.options.get("case", "keep")
    if case not in ("keep", "ignore"):
        raise ConfigError(f"exact?case={case}", hint="case=ignore or case=keep")
    return ExactVerifier(spec.column or "answer", ignore_case=case == "ignore")


def _number(spec: Spec, settings: Settings) -> Verifier:
    from tessy.verifiers.number import NumberVerifier
    from tessy.verifiers.numbers import TOLERANCE

    tolerance = _share(spec, "tolerance", TOLERANCE)
    return NumberVerifier(spec.column or "answer", tolerance=tolerance)


def _choice(spec: Spec, settings: Settings) -> Verifier:
    from tessy.verifiers.choice import ChoiceVerifier

    return ChoiceVerifier(spec.column or "answer")


def _math(spec: Spec, settings: Settings) -> Verifier:
    from tessy.verifiers.math import MathVerifier

    return MathVerifier(settings, spec.column or "answer")


def _gym(spec: Spec, settings: Settings) -> Verifier:
    from tessy.verifiers.gym import GymVerifier

    threshold = _share(spec, "pass", 1.0)
    return GymVerifier(settings, spec.column or "dataset", threshold=threshold)


def _code(spec: Spec, settings: Settings) -> Verifier:
    from tessy.verifiers.code import CodeVerifier

    return CodeVerifier(settings, spec.column)


def _auto(spec: Spec, settings: Settings) -> Verifier:
    from tessy.verifiers.auto import AutoVerifier

    return AutoVerifier(spec.column or "verifier", lambda name: load(name, settings))


def _share(spec: Spec, option: str, default: float) -> float:
    """An option that is a number from 0 to 1."""
    text = spec.options.get(option)
    try:
        value = default if text is None else float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ConfigError(f"{spec.name}?{option}={text}", hint=f"{option} is a number from 0 to 1")
    return value


def _python(rest: str) -> Verifier:
    module_name, colon, factory_name = rest.rpartition(":")
    if not colon or not module_name or not factory_name:
        raise ConfigError(f"python:{rest}", hint="python:package.module:factory")
    try:
        factory = getattr(importlib.import_module(module_name), factory_name)
        verifier = factory()
    except TessyError:
        raise
    except Exception as error:  # it is the user's code: anything may happen
        raise ConfigError(f"python:{rest} made no verifier: {error!r}") from error
    if not isinstance(verifier, Verifier):
        raise ConfigError(
            f"python:{rest} made a {type(verifier).__name__}, which is no verifier",
            hint="it needs name, check, verify and aclose: see tessy.verifiers.protocol",
        )
    return verifier


@dataclass(frozen=True, slots=True)
class _Entry:
    """How a verifier is made, and the options that it takes."""

    make: Callable[[Spec, Settings], Verifier]
    options: tuple[str, ...] = ()


_BUILT_IN: dict[str, _Entry] = {
    "exact": _Entry(_exact, ("case",)),
    "number": _Entry(_number, ("tolerance",)),
    "math": _Entry(_math),
    "choice": _Entry(_choice),
    "reasoning-gym": _Entry(_gym, ("pass",)),
    "code": _Entry(_code),
    "auto": _Entry(_auto),
}
