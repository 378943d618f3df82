"""tessy: SFT data for reasoning models, written by a student and a teacher together.

    import tessy

    result = tessy.synthesize(
        "questions.jsonl",
        out="runs/first",
        student__model="http://localhost:8000/v1#Qwen/Qwen3-8B",
        student__format="qwen3",  # or student__tokenizer="Qwen/Qwen3-8B": its own chat template
        teacher__model="http://localhost:8001/v1#openai/gpt-oss-120b",
        teacher__format="gpt-oss",
    )
    tessy.verify("runs/first", "math")
    tessy.export("runs/first", to="trl", out="data/first")

`synthesize`, `evaluate`, `select`, `verify` and `export` are the functions of the commands; `load`
opens a run's folder for reading.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tessy._version import __version__
from tessy.errors import (
    BadResponse,
    ConfigError,
    DataError,
    HubError,
    InputError,
    JournalError,
    LocalModelError,
    MissingExtra,
    ModelError,
    NotAStream,
    Outage,
    PredictorError,
    Refused,
    RemoteError,
    RunLocked,
    RunMismatch,
    SandboxError,
    ServeError,
    ServerFailure,
    TessyError,
    TimedOut,
    TrainingError,
    Unreachable,
    ViewError,
)

if TYPE_CHECKING:
    from tessy.boundary.protocol import Predictor
    from tessy.config import Config
    from tessy.evaluation.evaluate import evaluate
    from tessy.exporting.job import export
    from tessy.method.judgement import Judgement, Passage
    from tessy.method.trajectory import Failure, Role
    from tessy.runs.counters import RunResult
    from tessy.runs.load import load
    from tessy.runs.merge import merge
    from tessy.selection.job import select
    from tessy.synthesis.run import asynthesize, synthesize
    from tessy.verifiers.verify import verify

__all__ = [
    "BadResponse",
    "Config",
    "ConfigError",
    "DataError",
    "Failure",
    "HubError",
    "InputError",
    "JournalError",
    "Judgement",
    "LocalModelError",
    "MissingExtra",
    "ModelError",
    "NotAStream",
    "Outage",
    "Passage",
    "Predictor",
    "PredictorError",
    "Refused",
    "RemoteError",
    "Role",
    "RunLocked",
    "RunMismatch",
    "RunResult",
    "SandboxError",
    "ServeError",
    "ServerFailure",
    "TessyError",
    "TimedOut",
    "TrainingError",
    "Unreachable",
    "ViewError",
    "__version__",
    "asynthesize",
    "evaluate",
    "export",
    "load",
    "merge",
    "select",
    "synthesize",
    "verify",
]

_LAZY = {
    "evaluate": "tessy.evaluation.evaluate",
    "export": "tessy.exporting.job",
    "verify": "tessy.verifiers.verify",
    "Judgement": "tessy.method.judgement",
    "Passage": "tessy.method.judgement",
    "Predictor": "tessy.boundary.protocol",
    "Config": "tessy.config",
    "Failure": "tessy.method.trajectory",
    "Role": "tessy.method.trajectory",
    "RunResult": "tessy.runs.counters",
    "load": "tessy.runs.load",
    "merge": "tessy.runs.merge",
    "select": "tessy.selection.job",
    "asynthesize": "tessy.synthesis.run",
    "synthesize": "tessy.synthesis.run",
}
"""Where the names are that are imported when they are first used, so that `--help` is instant."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
