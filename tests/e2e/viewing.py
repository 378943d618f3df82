"""`tessy view` in a process of its own, for tests of its pages."""

from __future__ import annotations

import asyncio
import re
import signal
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from commands import start


@dataclass
class View:
    """A server under test."""

    process: asyncio.subprocess.Process
    url: str

    async def stop(self, number: signal.Signals = signal.SIGINT) -> tuple[int | None, str]:
        """Stop it; its exit code, and what it said on standard error."""
        self.process.send_signal(number)
        async with asyncio.timeout(60):
            _, err = await self.process.communicate()
        return self.process.returncode, err.decode()


@asynccontextmanager
async def viewing(run: Path, *options: str, **more: str):
    """Serve a run's pages; its index lies beside it."""
    more.setdefault("TESSY_CACHE", str(run.parent / "cache"))
    process = await start("view", run, "--no-open", *options, **more)
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        found = re.search(r"http://\S+", line)
        assert found, (line, (await process.communicate())[1].decode())
        yield View(process, found[0])
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
