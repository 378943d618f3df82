"""Sandboxes that are kept: for checks by libraries whose import takes longer than a check.

Each check is a fork of a process that has the library already, with limits of its own, so one
that hangs, crashes or changes what it should not harms nobody else; it also has a main thread of
its own, as libraries with signal alarms need.
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
from tessy.verifiers.cases import End, Trial
from tessy.verifiers.limits import Settings
from tessy.verifiers.sandbox import Place, Session


class CheckFailed(Exception):
    """A check gave no result: it took too long, or raised."""


class Workers:
    """Runs checks, each a small program that reads JSON and prints JSON.

    Args:
        settings: Isolation, limits of a check, and how many at once.
        place: The library that checks need.
        program: The check.
    """

    def __init__(self, settings: Settings, place: Place, program: str) -> None:
        self._settings = settings
        self._place = place
        self._program = program
        self._slots = asyncio.Semaphore(settings.at_once)
        self._idle: list[Session] = []

    async def check(self, request: Mapping[str, Any]) -> Any:
        """Run the check.

        Args:
            request: What it reads.

        Returns:
            What it printed.

        Raises:
            CheckFailed: It took too long or raised; the message says so in a line.
        """
        async with self._slots:
            session = self._idle.pop() if self._idle else Session(self._settings, self._place)
            is_whole = False
            try:
                (run,) = await session.run(self._program, [Trial(stdin=json.dumps(request))])
                is_whole = run.end is not End.LOST
            finally:
                if is_whole:
                    self._idle.append(session)
                else:
                    await session.aclose()
        if run.is_clean:
            return json.loads(run.output)
        lines = run.errors.strip().splitlines()
        is_late = run.end in (End.CPU, End.WALL)
        raise CheckFailed(
            f"no result within {self._settings.limits.cpu_s} s"
            if is_late
            else (lines[-1] if lines else f"ended by {run.end.value} {run.code}")
        )

    async def aclose(self) -> None:
        """Close the sandboxes that are kept."""
        while self._idle:
            await self._idle.pop().aclose()


def packages_of(module: str, wanted_for: str, package: str) -> tuple[Path, ...]:
    """The folders that an installed package and what it needs are in.

    Args:
        module: What is imported.
        wanted_for: The verifier that needs it, for the message.
        package: What it is called on PyPI.

    Raises:
        MissingExtra: It is not installed.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise MissingExtra(f"verifier {wanted_for} needs {package}", hint=f"pip install {package}")
    paths = sysconfig.get_paths()
    own = Path(spec.origin).resolve().parent.parent
    folders = dict.fromkeys(
        [own, *(Path(paths[kind]).resolve() for kind in ("purelib", "platlib"))]
    )
    return tuple(folder for folder in folders if folder.is_dir())
