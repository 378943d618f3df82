"""Scripted model servers and fault injection: for tessy's own tests, and for yours.

    from tessy.testing import CooperativeScript, Faults, ScriptedServer, build_tokenizer

    folder = build_tokenizer(tmp_path / "student", flavour="qwen3")
    student = ScriptedServer(CooperativeScript("student"), tokenizer=folder, faults=Faults(0.2))
    async with student:
        ...  # point a client at student.url; look at student.stats afterwards

Predictors that judge these scripts' words are in `tessy.testing.predictors`.
`python -m tessy.testing` runs a server in a process of its own.
"""

from tessy.testing.engine import EngineTimes
from tessy.testing.faults import ALL_RETRYABLE, Fault, Faults
from tessy.testing.scripts import (
    CooperativeScript,
    EchoScript,
    LoopScript,
    Script,
    SilentScript,
)
from tessy.testing.server import ScriptedServer
from tessy.testing.stats import Latency, ServerStats
from tessy.testing.tokenizers import build_tokenizer

__all__ = [
    "ALL_RETRYABLE",
    "CooperativeScript",
    "EchoScript",
    "EngineTimes",
    "Fault",
    "Faults",
    "Latency",
    "LoopScript",
    "Script",
    "ScriptedServer",
    "ServerStats",
    "SilentScript",
    "build_tokenizer",
]
