"""The docs' pictures of a run's report and view.

`python docs/pictures.py RUN OUT [AGAINST …]`. Those in docs/ are of `make demo`:
`python docs/pictures.py runs/demo/together docs runs/demo/student`. It needs the `report` extra,
the development group (playwright) and a Chromium.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

TESSY = [sys.executable, "-m", "tessy"]
WIDE = {"width": 1280, "height": 900}
SAMPLE = {"width": 1280, "height": 800}
SECTIONS = ("similarity", "style")


def main(run: Path, out: Path, *, against: list[Path]) -> None:
    """Write the report again, and take pictures of it and of one sample in the view."""
    options = [word for other in against for word in ("--against", str(other))]
    subprocess.run([*TESSY, "report", str(run), *options, "--quiet"], check=True)
    with sync_playwright() as playwright, _view(run) as url:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        _report(browser, run / "report.html", out)
        _sample(browser, url, run, out)
        browser.close()


@contextmanager
def _view(run: Path) -> Iterator[str]:
    """`tessy view`, and its address."""
    process = subprocess.Popen(
        [*TESSY, "view", str(run), "--no-open"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        yield found[0]
    finally:
        process.terminate()
        process.wait()


def _report(browser: Browser, page: Path, out: Path) -> None:
    shown = browser.new_page(viewport=WIDE)
    shown.goto(page.resolve().as_uri())
    for section in SECTIONS:
        shown.locator(f"#{section}").screenshot(path=out / f"report-{section}.png")


def _sample(browser: Browser, url: str, run: Path, out: Path) -> None:
    """The list, and the sample with most hand-overs, with what was discarded."""
    shown = browser.new_page(viewport=WIDE)
    shown.goto(url)
    shown.screenshot(path=out / "view-list.png")
    records = map(json.loads, (run / "dataset.jsonl").read_text("utf-8").splitlines())
    most = max(records, key=lambda record: record["stats"]["hand_overs"])["id"]
    shown.get_by_role("link", name=most, exact=True).click()
    shown.wait_for_url(f"**{most}**")
    shown.get_by_label("Show what was discarded").check()
    shown.screenshot(path=out / "view-sample.png", clip={"x": 0, "y": 0, **SAMPLE})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), against=[Path(each) for each in sys.argv[3:]])
