"""Predictors by name: `lexicon`, `transformers:FOLDER-OR-ID`, `python:MODULE:FACTORY`."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from tessy.boundary.protocol import Predictor
from tessy.errors import AddressError, PredictorError, TessyError

_HINT = "a predictor is lexicon, transformers:FOLDER-OR-HUB-ID or python:package.module:factory"


def load(name: str) -> Predictor:
    """Load a predictor.

    Args:
        name: Its name; `transformers:ID?shift=1` says that its labels are shifted by one token.

    Raises:
        AddressError: There is none of that name, or it can't be imported.
        PredictorError: What was loaded is no predictor.
        MissingExtra: It needs an optional dependency.
    """
    scheme, _, rest = name.partition(":")
    loaders: dict[str, Callable[[str], Predictor]] = {
        "transformers": _transformers,
        "python": _python,
    }
    if name == "lexicon":
        from tessy.boundary.lexicon import LexiconPredictor

        return LexiconPredictor()
    if scheme not in loaders or not rest:
        raise AddressError(f"{name!r} is no predictor", hint=_HINT)
    return loaders[scheme](rest)


def _transformers(rest: str) -> Predictor:
    from tessy.boundary.transformers import TransformersPredictor

    place, _, options = rest.partition("?")
    if options not in ("", "shift=0", "shift=1"):
        raise AddressError(f"transformers:{rest}: {options!r} is no option", hint="?shift=1")
    return TransformersPredictor(place, shift=options == "shift=1")


def _python(rest: str) -> Predictor:
    module_name, colon, factory_name = rest.rpartition(":")
    if not colon or not module_name or not factory_name:
        raise AddressError(f"python:{rest}", hint="python:package.module:factory")
    try:
        factory = getattr(importlib.import_module(module_name), factory_name)
    except Exception as error:  # it is the user's code: anything may happen
        raise AddressError(f"python:{rest} can't be imported: {error!r}") from error
    try:
        predictor = factory()
    except TessyError:
        raise
    except Exception as error:
        raise PredictorError(f"python:{rest} made no predictor: {error!r}") from error
    if not isinstance(predictor, Predictor):
        raise PredictorError(
            f"python:{rest} made a {type(predictor).__name__}, which is no predictor",
            hint="it needs name, batched and judge(passages): see tessy.boundary.protocol",
        )
    return predictor
