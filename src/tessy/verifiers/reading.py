"""Reading long answers in a process of its own, under a time limit.

Readers are linear in the length of an answer, so a short one is read where it is: in a few
milliseconds, and never more than some tens of them. A long one would hold up everything else, so it
is read elsewhere; one that takes too long is an error of this answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tessy.verifiers.limits import ProgramLimits, VerifierSettings
from tessy.verifiers.sandbox import SandboxLibraries
from tessy.verifiers.workers import CheckWorkers

SHORT = 4000
"""Characters of an answer that is read at once."""
LIMITS = ProgramLimits(cpu_s=10, memory_mb=1024)
_PROGRAM = """\
import json, os, sys
import {module}
ask = json.load(sys.stdin)
print(json.dumps({module}.{name}(**ask)), flush=True)
os._exit(0)
"""


class AnswerReader:
    """Calls a pure function on answers: here on short ones, in a process on long ones.

    Args:
        read: A function of a module of tessy that needs nothing but Python. It takes `answer`, and
            more as JSON has it, and returns what JSON has.
        settings: How many long answers are read at once.
    """

    def __init__(self, read: Callable[..., Any], settings: VerifierSettings | None = None) -> None:
        self._read = read
        self._settings = settings or VerifierSettings()
        self._workers: CheckWorkers | None = None

    async def __call__(self, answer: str, **given: Any) -> Any:
        """Call the function.

        Raises:
            CheckFailed: It took too long, or too much memory.
        """
        if len(answer) <= SHORT:
            return self._read(answer, **given)
        if self._workers is None:
            self._workers = self._started()
        return await self._workers.check({"answer": answer, **given})

    def _started(self) -> CheckWorkers:
        module, name = self._read.__module__, self._read.__qualname__
        # No sandbox: nothing of an answer is run.
        settings = replace(self._settings, unsafe_no_sandbox=True, limits=LIMITS)
        libraries = SandboxLibraries((Path(__file__).parents[2],), f"import {module}")
        return CheckWorkers(settings, libraries, _PROGRAM.format(module=module, name=name))

    async def aclose(self) -> None:
        """End the processes that read."""
        if self._workers is not None:
            await self._workers.aclose()
