"""A real browser, headless: `browser` is a fixture (registered in conftest.py).

It is started once, in the session's event loop; so modules that use it have
`pytestmark = pytest.mark.asyncio(loop_scope="session")`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import pytest_asyncio

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_MS = 180_000
AXE = Path(__file__).parent / "axe" / "axe.min.js"
SCREENS = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]
"""Widths in pixels and colour schemes in which every page is tested."""
OPTIONS = ("--no-sandbox", "--disable-background-networking", "--disable-dev-shm-usage")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser():
    """Chromium: the system's, else the one that `playwright install chromium` fetched."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        found = next(filter(None, map(shutil.which, NAMES)), playwright.chromium.executable_path)
        if not Path(found).exists():
            pytest.skip("no browser: apt-get install chromium, or playwright install chromium")
        launched = await playwright.chromium.launch(executable_path=found, args=OPTIONS)
        yield launched
        await launched.close()


async def fresh_page(browser, **more):
    """A page in a context of its own, with patience for a busy machine.

    Args:
        browser: The fixture's.
        more: Options of the context, such as `viewport`.
    """
    context = await browser.new_context(**more)
    context.set_default_timeout(PATIENCE_MS)
    return await context.new_page()


async def check_page(page, width: int) -> None:
    """A page is no wider than its screen, and axe-core finds nothing in it.

    Args:
        page: The page, as it is now.
        width: Its screen's, in pixels.
    """
    assert await page.evaluate("document.documentElement.scrollWidth") <= width, page.url
    await page.evaluate(AXE.read_text("utf-8"))
    found = await page.evaluate("axe.run().then(result => result.violations)")
    told = [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found]
    assert told == [], page.url
