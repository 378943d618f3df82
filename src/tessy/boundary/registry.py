"""Predictors by name.

english-1                  the one that ships: a small classifier for English reasoning
lexicon                    discourse markers, fillers and hedges
lab                        a tiny one for the pair of models that ships (docs/lab.md)
onnx:FOLDER                a classifier run by onnxruntime
transformers:FOLDER-OR-ID  a classifier run by torch; `?shift=1`: labels of the next token
http://HOST:PORT?…#NAME    a classifier on a vLLM server; see `tessy.boundary.served`
python:MODULE:FACTORY      one's own
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping

from tessy.boundary.protocol import Predictor
from tessy.errors import ConfigError, PredictorError, TessyError
from tessy.method.trajectory import Role

SHIPPED = "english-1"
"""The predictor that ships; another one will have another name."""
_HINT = (
    f"a predictor is {SHIPPED}, lexicon, lab, onnx:FOLDER, transformers:FOLDER-OR-HUB-ID, "
    "http://HOST:PORT?tokenizer=FOLDER or python:package.module:factory"
)


def is_predictor(name: str) -> bool:
    """Whether a name is a predictor's rather than a model's; `http` names both and is a model's."""
    scheme, colon, _ = name.partition(":")
    return name in _BUILT_IN or (bool(colon) and scheme in ("onnx", "transformers", "python"))


def load(name: str) -> Predictor:
    """Load a predictor.

    Args:
        name: Its name.

    Raises:
        ConfigError: There is none of that name, it can't be imported, or its files are missing,
            broken, or don't match each other.
        PredictorError: What was loaded is no predictor.
        MissingExtra: It needs an optional dependency.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name]()
    scheme, _, rest = name.partition(":")
    if scheme not in _SCHEMES or not rest:
        raise ConfigError(f"{name!r} is no predictor", hint=_HINT)
    return _SCHEMES[scheme](name if scheme.startswith("http") else rest)


def load_all(names: Mapping[Role, str]) -> dict[Role, Predictor]:
    """Load the predictors of both roles; one that serves both is loaded once."""
    loaded = {name: load(name) for name in dict.fromkeys(names.values())}
    return {role: loaded[name] for role, name in names.items()}


def _shipped() -> Predictor:
    from tessy.boundary import onnx

    return onnx.shipped(SHIPPED)


def _lexicon() -> Predictor:
    from tessy.boundary.lexicon import LexiconPredictor

    return LexiconPredictor()


def _lab() -> Predictor:
    from importlib import resources

    from tessy.boundary import onnx

    with resources.as_file(resources.files("tessy.lab").joinpath("predictor")) as folder:
        return onnx.load(folder, name="lab")


def _onnx(rest: str) -> Predictor:
    from tessy.boundary import onnx

    return onnx.load(rest)


def _transformers(rest: str) -> Predictor:
    from tessy.boundary import transformers

    place, _, options = rest.partition("?")
    shifts = {"": None, "shift=0": False, "shift=1": True}
    if options not in shifts:
        raise ConfigError(f"transformers:{rest}: {options!r} is no option", hint="?shift=1")
    return transformers.load(place, shift=shifts[options])


def _served(url: str) -> Predictor:
    from tessy.boundary import served

    return served.load(url)


def _python(rest: str) -> Predictor:
    module_name, colon, factory_name = rest.rpartition(":")
    if not colon or not module_name or not factory_name:
        raise ConfigError(f"python:{rest}", hint="python:package.module:factory")
    try:
        factory = getattr(importlib.import_module(module_name), factory_name)
    except Exception as error:  # it is the user's code: anything may happen
        raise ConfigError(f"python:{rest} can't be imported: {error!r}") from error
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


_BUILT_IN: dict[str, Callable[[], Predictor]] = {
    SHIPPED: _shipped,
    "lexicon": _lexicon,
    "lab": _lab,
}
_SCHEMES: dict[str, Callable[[str], Predictor]] = {
    "onnx": _onnx,
    "transformers": _transformers,
    "http": _served,
    "https": _served,
    "python": _python,
}
