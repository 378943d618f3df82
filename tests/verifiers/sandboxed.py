"""Running programs in sandboxes, for their tests."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

from tessy.verifiers.sandbox import ProgramTest, SandboxLibraries, SandboxSession


async def one(sandbox, program, stdin=""):
    (run,) = await sandbox.run(program, [ProgramTest(stdin)])
    return run


class KeptSandboxes:
    """As `Sandbox`, but each sandbox goes on to the next program: hundreds for a few starts."""

    def __init__(self, sessions):
        self._idle = asyncio.Queue()
        for session in sessions:
            self._idle.put_nowait(session)

    async def run(self, program, tests):
        session = await self._idle.get()
        try:
            return await session.run(program, tests)
        finally:
            self._idle.put_nowait(session)


@asynccontextmanager
async def keeping(settings):
    async with AsyncExitStack() as stack:
        sessions = [SandboxSession(settings, SandboxLibraries()) for _ in range(settings.at_once)]
        for session in sessions:
            await stack.enter_async_context(aclosing(session))
        yield KeptSandboxes(sessions)
