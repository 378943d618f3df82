"""The page in a browser: what models wrote is shown and not obeyed."""

from __future__ import annotations

import re

import pytest
import pytest_asyncio

from browser import SCREENS, check_page
from made_runs import STUDENT, TEACHER, Made, answer, last, turn, write_run
from tessy.method.trajectory import Failure
from tessy.report.figures.intervals import Bootstrap
from tessy.report.job import ReportSettings, make_report, write_report

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "</style></p></pre><svg onload=alert(1)> {{ 7 * 7 }} \u202eevil\u202c \x1b[2J \x00 "
    "<a href='javascript:alert(1)'>x</a> `|` **b** "
)


def hostile_samples() -> list[Made]:
    word = "w" * 3000
    turns = [
        turn(STUDENT, f"okay {HOSTILE}", 5, f" gone {HOSTILE}", 3),
        turn(TEACHER, f" 7 {HOSTILE} {word}", 5, " so", 1),
        last(STUDENT, f" {HOSTILE}", 5),
        answer(f"{HOSTILE}", 2),
    ]
    failed = turns[:2]
    return [
        Made(f"<b>{HOSTILE}</b>", turns, prompt=HOSTILE),
        Made("q1", turns, prompt=HOSTILE),
        Made("q2", turns, prompt="plain"),
        Made(f"<i>{HOSTILE}", failed, prompt=HOSTILE, failure=Failure.REPETITION, detail=HOSTILE),
    ]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    run = write_run(folder / "<u>run", hostile_samples(), method="tessy")
    other = write_run(folder / "other", hostile_samples(), method="<s>x")
    report = make_report(ReportSettings([run, other], bootstrap=Bootstrap(20)))
    write_report(report, {"html": folder / "report.html"})
    return folder / "report.html"


@pytest_asyncio.fixture(loop_scope="session")
async def shown(browser, page):
    """The page in Chromium, and what it asked the network for or complained about."""
    opened = await browser.new_page()
    events: list[str] = []
    opened.on("console", lambda message: events.append(message.text))
    opened.on("dialog", lambda dialog: events.append("dialog"))
    opened.on("request", lambda request: events.append(request.url))
    await opened.goto(page.as_uri())
    yield opened, events
    await opened.close()


async def test_hostile_text_is_shown_and_not_obeyed(shown, page):
    opened, events = shown
    assert events == [page.as_uri()], "the page itself, and nothing else"
    assert await opened.title() == "Report: tessy (<u>run)"
    count = "selector => document.querySelectorAll(selector).length"
    for selector in ("script", "img", "a[href^=javascript]", "main u", "main i", "main b"):
        assert await opened.evaluate(count, selector) == 0, selector
    text = await opened.evaluate("document.body.textContent")
    assert "<script>document.title='owned'</script>" in text
    assert "{{ 7 * 7 }}" in text
    assert "␛[2J ␀" in text
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", page.read_text("utf-8"))


async def test_the_page_s_own_style_is_allowed_and_no_other(shown):
    opened, events = shown
    colours = await opened.evaluate(
        "['student', 'teacher'].map(who => getComputedStyle("
        "document.querySelector(`.legend .${who}`)).backgroundColor)"
    )
    assert len({*colours, "rgba(0, 0, 0, 0)"}) == 3
    await opened.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\" id=late>x</p>')"
    )
    late = await opened.evaluate("getComputedStyle(document.getElementById('late')).color")
    assert late != "rgb(255, 0, 0)"
    assert any("Content Security Policy" in event for event in events)


async def test_what_was_discarded_can_be_hidden(shown):
    opened, _ = shown
    await opened.click("#traces summary")
    seen = "document.querySelector('#traces .trace s.discarded').checkVisibility()"
    assert await opened.evaluate(seen)
    await opened.click("#discarded")
    assert not await opened.evaluate(seen)


async def test_authors_differ_by_more_than_colour(shown):
    opened, _ = shown
    styles = await opened.evaluate(
        "['student', 'teacher'].map(who => getComputedStyle("
        "document.querySelector(`.legend .${who}`)).textDecorationStyle)"
    )
    assert styles == ["dotted", "solid"]


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
async def test_it_fits_every_screen_and_everybody_can_use_it(shown, width, scheme):
    opened, _ = shown
    await opened.set_viewport_size({"width": width, "height": 900})
    await opened.emulate_media(color_scheme=scheme)
    await opened.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    await check_page(opened, width)
