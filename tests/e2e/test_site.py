"""The documentation as a site, which `make docs` builds: on every screen, for everybody."""

from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from browser import SCREENS, check_page, fresh_page

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(not Path("site").exists(), reason="the site is not built: make docs"),
]


@pytest.fixture(scope="module")
def address():
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory="site")) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(("width", "scheme"), [SCREENS[0], SCREENS[-1]])
async def test_every_page_of_the_site_fits_its_screen_and_everybody_can_use_it(
    browser, address, width, scheme
):
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    page = await fresh_page(browser, **options)
    elsewhere: list[str] = []
    page.on("request", lambda r: r.url.startswith(address) or elsewhere.append(r.url))
    for path in sorted(Path("site").glob("*.html")):
        await page.goto(f"{address}/{path.name}")
        await page.locator(".md-search__input").wait_for(state="attached")
        await check_page(page, width)
    assert elsewhere == [], "nothing is fetched from elsewhere"
    await page.context.close()
