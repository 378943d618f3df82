"""Sandboxes that are kept: for checks by libraries whose import takes longer than a check.

Each check is a fork of a process that has imported the library, with limits of its own. So one that
hangs, crashes or changes the library's state harms no other check. It also has a main thread of its
own, which libraries with signal alarms need.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tessy.errors import MissingExtra
from tessy.verifiers.limits import VerifierSettings
from tessy.verifiers.sandbox import End, ProgramTest, SandboxLibraries, SandboxSession


class CheckFailed(Exception):
    """A check gave no result: it took too long, or raised."""


class CheckWorkers:
    """Runs checks, each a small program that reads JSON and prints JSON.

    Args:
        settings: Isolation, limits of a check, and how many at once.
        libraries: The library that checks need.
        program: The check.
    """

    def __init__(
        self, settings: VerifierSettings, libraries: SandboxLibraries, program: str
    ) -> None:
        self._settings = settings
        self._libraries = libraries
        self._program = program
        self._slots = asyncio.Semaphore(settings.at_once)
        self._idle: list[SandboxSession] = []

    async def check(self, request: Mapping[str, Any]) -> Any:
        """Run the check.

        Args:
            request: What it reads, as JSON.

        Returns:
            What it printed, from JSON.

        Raises:
            CheckFailed: It took too long or raised; the message is one line.
        """
        async with self._slots:
            session = (
                self._idle.pop() if self._idle else SandboxSession(self._settings, self._libraries)
            )
            is_whole = False
            try:
                (run,) = await session.run(self._program, [ProgramTest(json.dumps(request))])
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
        """Close the sandboxes that are kept."""
        while self._idle:
            await self._idle.pop().aclose()


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
        raise MissingExtra(
            f"verifier {wanted_for} needs {package}", hint=f"pip install 'tessy[{extra}]'"
        )
    paths = sysconfig.get_paths()
    own = Path(spec.origin).resolve().parent.parent
    folders = dict.fromkeys(
        [own, *(Path(paths[kind]).resolve() for kind in ("purelib", "platlib"))]
    )
    return tuple(folder for folder in folders if folder.is_dir())
