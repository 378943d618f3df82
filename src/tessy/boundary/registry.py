"""Predictors by name.

english-2                  the one that ships: a small network for English reasoning
lexicon                    discourse markers, fillers and hedges
lab                        a tiny one for the pair of models that ships (docs/lab.md)
window:FOLDER              another like english-2; `tessy predictor train` makes one
onnx:FOLDER                a classifier run by onnxruntime
transformers:FOLDER-OR-ID  a classifier run by torch; `?shift=1`: labels of the next token
http://HOST:PORT?…#NAME    a classifier on a vLLM server; see `tessy.boundary.served`
python:MODULE:FACTORY      your own
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tessy import lab
from tessy.boundary.protocol import Predictor
from tessy.data.fetched import local_folder
from tessy.errors import ConfigError, PredictorError, TessyError, meant
from tessy.method.trajectory import Role
from tessy.settings.factories import import_factory

SHIPPED = "english-2"
"""The predictor that ships; a new version will get a new name."""
_SHIPPED_FOLDER = Path(__file__).with_name("english_2")
_HINT = (
    f"a predictor is {SHIPPED}, lexicon, lab, window:FOLDER, onnx:FOLDER, "
    "transformers:FOLDER-OR-HUB-ID, "
    "http://HOST:PORT?tokenizer=FOLDER or python:package.module:factory"
)


_NAMES = (SHIPPED, "lexicon", "lab")
_SCHEMES = ("window", "onnx", "transformers", "python")


def is_predictor(name: str) -> bool:
    """Whether a name is a predictor's and no model's; an `http` address is a model's."""
    scheme, colon, _ = name.partition(":")
    return name in _NAMES or (bool(colon) and scheme in _SCHEMES)


def load(name: str) -> Predictor:
    """Load a predictor.

    Args:
        name: Its name; see the module.

    Raises:
        ConfigError: There is no such predictor, or it can't be imported.
        ConfigError: Its files are missing, broken, or don't match each other.
        RemoteError: A folder at a URL can't be fetched.
        PredictorError: A factory returned something else, or failed.
        MissingExtra: It needs an optional dependency.
    """
    scheme, _, rest = name.partition(":")
    if scheme in ("window", "onnx", "transformers"):
        rest = local_folder(rest)
    if name == "lexicon":
        from tessy.boundary.lexicon import LexiconPredictor

        return LexiconPredictor()
    if name in (SHIPPED, "lab"):
        from tessy.boundary import window

        folder = _SHIPPED_FOLDER if name == SHIPPED else lab.folder(lab.PREDICTOR)
        return window.load(folder, name=name)
    if scheme == "window" and rest:
        from tessy.boundary import window

        return window.load(Path(rest))
    if scheme == "onnx" and rest:
        from tessy.boundary import onnx

        return onnx.load(rest)
    if scheme == "transformers" and rest:
        from tessy.boundary import transformers

        return transformers.load(rest)
    if scheme in ("http", "https") and rest:
        from tessy.boundary import served

        return served.load(name)
    if scheme == "python" and rest:
        return _imported(rest)
    hint = _of_a_folder(Path(name)) or meant(scheme, (*_NAMES, *_SCHEMES)) + _HINT
    raise ConfigError(f"{name!r} is no predictor", hint=hint)


def _of_a_folder(folder: Path) -> str | None:
    """What the predictor in a folder is called, as a hint; None if there is none."""
    from tessy.boundary import onnx, window

    files = {"window": window.MODEL_FILE, "onnx": onnx.MODEL_FILE, "transformers": "config.json"}
    there = (scheme for scheme, file in files.items() if (folder / file).is_file())
    return next((f"write {scheme}:{folder}" for scheme in there), None)


def load_all(names: Mapping[Role, str]) -> dict[Role, Predictor]:
    """Load the predictors of both roles; a predictor of both is loaded once."""
    loaded = {name: load(name) for name in dict.fromkeys(names.values())}
    return {role: loaded[name] for role, name in names.items()}


def _imported(rest: str) -> Predictor:
    """The predictor that a factory of a module returns; `rest` is `MODULE:FACTORY`."""
    factory = import_factory(rest)
    try:
        predictor = factory()
    except TessyError:
        raise
    except Exception as error:  # it is the user's code: anything may happen
        raise PredictorError(f"python:{rest} made no predictor: {error!r}") from error
    if not isinstance(predictor, Predictor):
        raise PredictorError(
            f"python:{rest} made a {type(predictor).__name__}, which is no predictor",
            hint="it needs name, batched and judge(passages): see tessy.boundary.protocol",
        )
    return predictor
