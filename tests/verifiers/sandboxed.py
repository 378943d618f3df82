"""Running programs in sandboxes, for their tests."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

from tessy.verifiers.sandbox import ProgramTest, SandboxLibraries, SandboxPair, SandboxSession


async def one(sandbox, program, stdin=""):
    (run,) = await sandbox.run(program, [ProgramTest(stdin)])
    return run


class KeptSandboxes:
    """As `Sandbox`, but each sandbox goes on to the next program: hundreds for a few starts."""

    def __init__(self, settings, stack):
        self._settings = settings
        self._stack = stack
        self._idle = {}
        self._slots = asyncio.Semaphore(settings.at_once)

    async def run(self, program, tests):
        kind = SandboxPair if tests[0].code is not None else SandboxSession
        async with self._slots:
            idle = self._idle.setdefault(kind, [])
            kept = idle.pop() if idle else await self._started(kind)
            try:
                return await kept.run(program, tests)
            finally:
                idle.append(kept)

    async def _started(self, kind):
        libraries = [SandboxLibraries()] if kind is SandboxSession else []
        return await self._stack.enter_async_context(aclosing(kind(self._settings, *libraries)))


@asynccontextmanager
async def keeping(settings):
    async with AsyncExitStack() as stack:
        yield KeptSandboxes(settings, stack)
