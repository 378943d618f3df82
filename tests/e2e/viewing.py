"""Pages of `tessy view` for tests: served in this process, or by the command in its own."""

from __future__ import annotations

import asyncio
import re
import signal
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from browser import fresh_page
from commands import start
from tessy.report.viewer.served import ViewedRuns
from tessy.report.viewer.server import serving


@asynccontextmanager
async def viewing(*runs: Path, port: int = 0, read_only: bool = False):
    """Serve the pages of runs in this event loop; their indexes are beside the first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TESSY_CACHE", str(runs[0].parent / "cache"))
        found = ViewedRuns([(run.name, run, False) for run in runs], read_only=read_only)
        async with serving(found, port) as site:
            yield site


@asynccontextmanager
async def looking(browser, view, **more):
    """A page that makes a test fail when it complains or asks for anything elsewhere."""
    page = await fresh_page(browser, **{"viewport": {"width": 1280, "height": 900}, **more})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda request: (
            request.url.startswith(view.url.removesuffix("0/")) or complaints.append(request.url)
        ),
    )
    yield page
    assert complaints == [], complaints
    await page.context.close()


async def goto(page, url):
    await page.goto(url)
    await page.wait_for_selector("main[data-ready]")


async def until(page, expression: str):
    """Wait until something is so in a page (its policy forbids what Playwright's own way needs)."""
    async with asyncio.timeout(180):
        while not await page.evaluate(expression):
            await asyncio.sleep(0.05)


@dataclass
class View:
    """The command in a process of its own."""

    process: asyncio.subprocess.Process
    url: str

    async def stop(self, number: signal.Signals) -> tuple[int | None, str]:
        """Stop it; its exit code, and what it said on standard error."""
        self.process.send_signal(number)
        async with asyncio.timeout(60):
            _, err = await self.process.communicate()
        return self.process.returncode, err.decode()


@asynccontextmanager
async def viewing_process(run: Path, *options: str, **environment: str):
    """Run the command; its index is beside the run."""
    environment = {"TESSY_CACHE": str(run.parent / "cache"), **environment}
    process = await start("view", run, *options, **environment)
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
