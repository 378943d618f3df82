"""A real browser, headless: `browser` is a fixture (registered in conftest.py)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = ("--no-sandbox", "--disable-background-networking", "--disable-dev-shm-usage")


@pytest.fixture
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
