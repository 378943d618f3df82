"""Processes that are kept: for checks by slow libraries, and for reading long answers.

Each check is a fork of a process that has imported what it needs, with limits of its own. So one
that hangs, crashes or changes a library's state harms no other check. It also has a main thread of
its own, which libraries with signal alarms need.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sysconfig
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tessy.errors import MissingExtra, install_hint
from tessy.verifiers.limits import ProgramLimits, VerifierSettings
from tessy.verifiers.sandbox import End, ProgramTest, SandboxLibraries, SandboxSession

SHORT = 4000
"""Characters of an answer that is read at once."""
READING_LIMITS = ProgramLimits(cpu_s=10, memory_mb=1024)
_PRELOAD = """\
import sys, types
{name} = sys.modules["{name}"] = types.ModuleType("{name}")
exec(compile({source!r}, "{name}.py", "exec"), {name}.__dict__)
{name}.prepare()
"""
_CHECK = """\
import json, os, sys
import {module}
ask = json.load(sys.stdin)
print(json.dumps({module}.{name}(**ask)), flush=True)
os._exit(0)  # taking a library apart takes longer than a check
"""


class CheckFailed(Exception):
    """A check gave no result: it took too long, or raised."""


class CheckWorkers:
    """Runs checks, each a call of a function with values that JSON has.

    Args:
        settings: Isolation, limits of a check, and how many at once.
        libraries: What checks need.
        module: The function's module, which `libraries` load.
        name: The function's name.
    """

    def __init__(
        self, settings: VerifierSettings, libraries: SandboxLibraries, module: str, name: str
    ) -> None:
        self._settings = settings
        self._libraries = libraries
        self._program = _CHECK.format(module=module, name=name)
        self._slots = asyncio.Semaphore(settings.at_once)
        self._idle: list[SandboxSession] = []

    async def check(self, **given: Any) -> Any:
        """Run the check.

        Args:
            given: The function's arguments.

        Returns:
            What it returned, as JSON has it.

        Raises:
            CheckFailed: It took too long or raised; the message is one line.
        """
        async with self._slots:
            session = (
                self._idle.pop() if self._idle else SandboxSession(self._settings, self._libraries)
            )
            is_whole = False
            try:
                (run,) = await session.run(self._program, [ProgramTest(json.dumps(given))])
                is_whole = run.end not in (End.LOST, End.FILES)
            finally:
                if is_whole:
                    self._idle.append(session)
                else:
                    await session.aclose()
        if run.is_clean:
            return json.loads(run.output)
        if run.end in (End.CPU, End.WALL):
            raise CheckFailed(f"no result within {self._settings.limits.cpu_s} s")
        lines = run.errors.strip().splitlines()
        raise CheckFailed(lines[-1] if lines else f"ended by {run.end.value} {run.code}")

    async def aclose(self) -> None:
        """End the processes that are kept."""
        while self._idle:
            await self._idle.pop().aclose()


class AnswerReader:
    """Calls a pure function on answers: here on short ones, in a process on long ones.

    Such functions take time in proportion to an answer's length: a few milliseconds for a short
    one. A long one would hold up everything else; one that takes too long is an error of this
    answer.

    Args:
        read: A function of a module of tessy that needs nothing but Python. It takes `answer`, and
            more as JSON has it, and returns what JSON has.
        settings: How many long answers are read at once.
    """

    def __init__(self, read: Callable[..., Any], settings: VerifierSettings) -> None:
        self._read = read
        # No sandbox: nothing of an answer is run.
        settings = replace(settings, unsafe_no_sandbox=True, limits=READING_LIMITS)
        libraries = SandboxLibraries((Path(__file__).parents[2],), f"import {read.__module__}")
        self._workers = CheckWorkers(settings, libraries, read.__module__, read.__qualname__)

    async def __call__(self, answer: str, **given: Any) -> Any:
        """Call the function.

        Raises:
            CheckFailed: It took too long, or too much memory.
        """
        if len(answer) <= SHORT:
            return self._read(answer, **given)
        return await self._workers.check(answer=answer, **given)

    async def aclose(self) -> None:
        """End the processes that read."""
        await self._workers.aclose()


def preload_of(file: str) -> str:
    """Code that loads a file of this room as a module of its own, and calls its `prepare`.

    For sandboxes, which have no tessy.
    """
    path = Path(__file__).with_name(file)
    return _PRELOAD.format(name=path.stem, source=path.read_text("utf-8"))


def packages_of(module: str, wanted_for: str, extra: str) -> tuple[Path, ...]:
    """The folders of an installed package and of what it needs.

    Args:
        module: The module to import.
        wanted_for: The verifier that needs it, for the message.
        extra: The extra of tessy that installs it.

    Raises:
        MissingExtra: It is not installed.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        package = module.replace("_", "-")
        raise MissingExtra(f"verifier {wanted_for} needs {package}", hint=install_hint(extra))
    paths = sysconfig.get_paths()
    own = Path(spec.origin).resolve().parent.parent
    folders = dict.fromkeys(
        [own, *(Path(paths[kind]).resolve() for kind in ("purelib", "platlib"))]
    )
    return tuple(folder for folder in folders if folder.is_dir())
