"""tessy: SFT data for reasoning models, written by a student and a teacher together.

import tessy

result = tessy.synthesize(
    "questions.jsonl",
    out="runs/first",
    student__model="http://localhost:8000/v1#Qwen/Qwen3-8B",
    teacher__model="http://localhost:8001/v1#openai/gpt-oss-120b",
)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tessy._version import __version__

__all__ = [
    "Config",
    "Failure",
    "Judgement",
    "Passage",
    "Predictor",
    "Role",
    "RunResult",
    "TessyError",
    "__version__",
    "asynthesize",
    "synthesize",
]

_HOMES = {
    "Config": "tessy.config",
    "Failure": "tessy.method.trajectory",
    "Judgement": "tessy.boundary.protocol",
    "Passage": "tessy.boundary.protocol",
    "Predictor": "tessy.boundary.protocol",
    "Role": "tessy.method.trajectory",
    "RunResult": "tessy.runs.counters",
    "TessyError": "tessy.errors",
    "asynthesize": "tessy.synthesis.run",
    "synthesize": "tessy.synthesis.run",
}

if TYPE_CHECKING:
    from tessy.boundary.protocol import Predictor
    from tessy.config import Config
    from tessy.errors import TessyError
    from tessy.method.judgement import Judgement, Passage
    from tessy.method.trajectory import Failure, Role
    from tessy.runs.counters import RunResult
    from tessy.synthesis.run import asynthesize, synthesize


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for, so that `tessy --help` is instant."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
