"""The pages of `tessy view` in a real browser: filters, colours, keys, live, hostile text."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import pytest
import pytest_asyncio

from browser import fresh_page
from tessy.display import visible
from tessy.method.trajectory import Failure, Outcome, Role
from tessy.runs.folder import RunFolder
from tessy.runs.journal import Journal
from tessy.runs.locks import held
from viewing import goto, looking, until, viewing
from written import FIRST, Written, write_run

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = (
    "<script>document.title='owned'</script>",
    "</pre></div><img src=x onerror=\"document.title='owned'\">",
    "<svg onload=\"document.title='owned'\"><a href=javascript:document.title='owned'>x</a>",
    "\u202egnp.exe\u202c \x1b[31mred\x1b[0m \0",
    "W" * 4000,
)


FEW = [
    Written("q0", "What is one?"),
    Written("q1", "What is two?", student="hmm, wait", teacher_tokens=90),
    Written("q2", "What is three?", failure=Failure.REPETITION),
    Written("q3", "What is four?", discarded=" forget this"),
]
STRANGE = [
    Written(f"{text[:200]}{n}", *[text] * 5, extra={text: text}) for n, text in enumerate(HOSTILE)
]
DRAFT = {
    "content": "<think>\nno",
    "spans": [
        {"role": "format", "start": 0, "end": 8, "forced": False},
        {"role": "student", "start": 8, "end": 10, "forced": False},
    ],
    "why": "score 3 of 10",
}


def long() -> Written:
    """100,000 characters in 2,000 spans, and as many stretches that were discarded."""
    sample = Written("long")
    first, *rest = sample.turns()
    words = " and so on and so forth, until it is long enough"
    teacher = rest[0]._replace(outcome=Outcome.HANDED_OVER)
    turns = [turn._replace(kept=words, discarded=" or not") for turn in (first, teacher)]
    sample.turns = lambda: [*turns * 1000, *rest]
    return sample


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def view(tmp_path_factory):
    """Pages of a run of a few samples, one of them under way."""
    run = tmp_path_factory.mktemp("few") / "run"
    await write_run(RunFolder(run), FEW, [Written("going")])
    async with viewing(run) as site:
        yield site


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def strange(tmp_path_factory):
    """Pages of a run of hostile and long samples, and of one with a rejected draft."""
    run = tmp_path_factory.mktemp("strange") / "run"
    ended = [*STRANGE, Written("tried twice", drafts=[DRAFT]), long()]
    await write_run(RunFolder(run), ended, [Written("W" * 300)])
    async with viewing(run) as site:
        yield site


async def listed(page) -> list[str]:
    return await page.locator("#ended a.sample").all_inner_texts()


async def test_the_list_and_its_filters(view, browser):
    async with looking(browser, view) as page:
        await goto(page, view.url)
        assert await listed(page) == ["q0", "q1", "q2", "q3"]
        assert await page.locator("#under-way a.sample").all_inner_texts() == ["going"]
        row = page.locator("tr", has_text="q2")
        assert await row.locator(".status").inner_text() == "✗ failed: repetition"
        await page.get_by_label("Text").fill("wait")
        await page.get_by_label("Text").press("Enter")
        await until(page, "document.querySelectorAll('#ended a.sample').length === 1")
        assert await listed(page) == ["q1"]
        await page.get_by_role("link", name="Clear").click()
        await page.locator("select[name=status]").select_option("failed")
        await page.get_by_role("button", name="Filter").click()
        await page.wait_for_url("**status=failed**")
        assert await listed(page) == ["q2"]
        await page.get_by_role("link", name="Clear").click()
        await page.get_by_label("Least teacher share").fill("80")
        await page.get_by_role("button", name="Filter").click()
        await page.wait_for_url("**share_least=80**")
        assert await listed(page) == ["q1"]
        await page.get_by_role("link", name="q1").click()
        assert "share_least=80" in page.url
        assert await page.locator("#beside a").all_inner_texts() == ["Filtered list"]


async def test_a_sample_shows_who_wrote_what(view, browser):
    """Each author's words in that author's colour and underline, and what was asked."""
    async with looking(browser, view) as page:
        await goto(page, f"{view.url}sample?sample=q0")
        assert await page.locator("h1").inner_text() == "q0"
        assert await page.locator("#asked .asked").inner_text() == "What is one?"
        looks = {}
        for role in ("student", "teacher"):
            span = page.locator(f"#trace span.{role}").first
            looks[role] = await span.evaluate(
                "e => [e.textContent, getComputedStyle(e).color,"
                " getComputedStyle(e).textDecorationStyle, getComputedStyle(e).backgroundColor]"
            )
        assert [looks[role][0] for role in looks] == ["okay, so", " x=7"]
        assert all(a != b for a, b in zip(*looks.values(), strict=True))
        for role, (_, *look) in looks.items():
            legend = page.locator(f".legend .{role}:not(.forced, .tolerated)")
            assert look == await legend.evaluate(
                "e => [getComputedStyle(e).color, getComputedStyle(e).textDecorationStyle,"
                " getComputedStyle(e).backgroundColor]"
            )
        numbers = await page.locator("#numbers").inner_text()
        assert "teacher share\n75.0%" in numbers
        assert "hand-overs\n1 in 3 turns" in numbers


async def test_what_was_discarded_is_shown_on_demand(view, browser):
    """Struck through, where it fell; by the key, by the box, and on the next page as well."""
    async with looking(browser, view) as page:
        await goto(page, f"{view.url}sample?sample=q3")
        gone = page.locator("#trace del")
        before = "<think>\nokay, so x=7\n</think>\n\nIt is 7."
        assert not await gone.is_visible()
        assert await page.locator("#trace").inner_text() == before
        await page.keyboard.press("t")
        assert await gone.is_visible()
        assert await page.locator("#trace").inner_text() == before.replace(
            "so x", "so forget this x"
        )
        line = await gone.evaluate("e => getComputedStyle(e).textDecorationLine")
        assert line == "line-through"
        await page.keyboard.press("k")
        await page.wait_for_url("**sample=q2**")
        assert await page.locator("#trace del").is_visible()
        await page.get_by_label("Show what was discarded").click()
        assert not await page.locator("#trace del").is_visible()


async def test_the_keyboard_alone_is_enough(view, browser):
    async with looking(browser, view) as page:
        await goto(page, view.url)

        async def focused():
            return await page.evaluate("document.activeElement.textContent")

        for key, expected in (
            ("j", "going"),
            ("j", "q0"),
            ("ArrowDown", "q1"),
            ("j", "q2"),
            ("k", "q1"),
        ):
            await page.keyboard.press(key)
            assert await focused() == expected
        ring = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert ring == "solid", "the focus is seen"
        await page.keyboard.press("Enter")
        await page.wait_for_selector("h1:text('q1')")
        for key, expected in (("j", "q2"), ("ArrowRight", "q3"), ("j", "q3"), ("ArrowLeft", "q2")):
            await page.wait_for_selector("main[data-ready]")
            await page.keyboard.press(key)
            await page.wait_for_selector(f"h1:text('{expected}')")
        await page.wait_for_selector("main[data-ready]")
        await page.keyboard.press("?")
        assert await page.get_by_role("dialog").is_visible()
        await page.keyboard.press("j")
        await page.keyboard.press("Escape")
        assert not await page.get_by_role("dialog").is_visible()
        assert await page.locator("h1").inner_text() == "q2"
        await page.keyboard.press("u")
        await page.wait_for_selector("#ended")
        await page.wait_for_selector("main[data-ready]")
        assert await focused() == "q2", "the list goes on where one was"
        await page.keyboard.press("/")
        await page.keyboard.type("jkt?")
        assert await page.get_by_label("Text").input_value() == "jkt?"


async def test_hostile_text_is_shown_and_does_nothing(strange, browser):
    async with looking(browser, strange) as page:
        await goto(page, strange.url)
        assert len(await listed(page)) == len(STRANGE) + 2
        for sample, text in zip(STRANGE, HOSTILE, strict=True):
            await goto(page, f"{strange.url}sample?sample={quote(sample.id)}")
            await page.keyboard.press("t")
            assert await page.title() != "owned"
            shown = await page.locator("#trace").text_content()
            assert shown.count(visible(text)[:20]) >= 4
            assert await page.locator("#trace *:not(span):not(del)").count() == 0
            assert await page.evaluate("document.scripts.length") == 1


async def test_the_policy_would_stop_a_script_that_got_in(view, browser):
    """The second line of defence, tried by putting markup into a page by hand."""
    page = await fresh_page(browser)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    await goto(page, view.url)
    await page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "document.title = 'owned'";
            document.body.append(script);
            const holder = document.createElement("div");
            holder.innerHTML = "<img src=x onerror=\\"document.title='owned'\\">";
            document.body.append(holder);
            const far = document.createElement("img");
            far.src = "http://127.0.0.2/x.png";
            document.body.append(far);
        }"""
    )
    await until(page, "document.querySelectorAll('img').length === 2")
    async with asyncio.timeout(30):
        while len([text for text in complaints if "Content Security Policy" in text]) < 3:
            await asyncio.sleep(0.02)
    assert await page.title() != "owned"
    await page.context.close()


async def test_a_phone_shows_all_without_scrolling_sideways(strange, browser):
    async with looking(browser, strange, viewport={"width": 390, "height": 844}) as page:
        samples = [f"sample?sample={quote(sample.id)}" for sample in STRANGE]
        for path in ("", "?status=running", *samples):
            await goto(page, strange.url + path)
            assert await page.evaluate("document.documentElement.scrollWidth") == 390, path


async def test_pages_read_without_scripts(view, browser):
    page = await fresh_page(browser, java_script_enabled=False)
    await page.goto(view.url)
    await page.get_by_label("Text").fill("forget OR wait")
    await page.get_by_role("button", name="Filter").click()
    assert await page.locator(".empty").inner_text() == "No sample matches."
    await page.goto(f"{view.url}sample?sample=q3")
    await page.get_by_label("Show what was discarded").click()
    assert await page.locator("#trace del").is_visible()
    assert not await page.get_by_role("button", name="Keys").is_visible()
    await page.context.close()


async def test_the_list_and_a_trace_grow_while_the_run_goes_on(tmp_path, browser):
    folder, sample = RunFolder(tmp_path / "run"), Written("q1", "What is one?")
    await write_run(folder, [Written("q0")])
    with held(folder.path):
        async with Journal(folder.shard(0)) as journal:
            await grow(folder, journal, sample, browser)


async def grow(folder, journal, sample, browser):
    async def take(turn):
        journal.note(sample.id, FIRST, turn, 2.5, 4)
        await journal.checkpoint()

    first, *_ = turns = sample.turns()
    await take(first)
    async with viewing(folder.path) as view, looking(browser, view) as page:
        await goto(page, view.url)
        await page.locator("#under-way a.sample").focus()
        grown = await fresh_page(browser)
        await goto(grown, f"{view.url}sample?sample=q1")
        await grown.evaluate("window.stays = document.querySelector('#trace span')")
        sample.turns = lambda: [first, first._replace(role=Role.TEACHER, kept=" m"), *turns[1:]]
        await take(sample.turns()[1])
        await grown.wait_for_selector("#trace .teacher:has-text(' m')")
        kept = "document.querySelector('#trace').contains(window.stays)"
        assert await grown.evaluate(kept), "what was there was left alone"
        await journal.end(sample.ending(1))
        await grown.wait_for_selector(".status.finished")
        assert await grown.locator("#asked .asked").inner_text() == "What is one?"
        assert await grown.locator("#said").inner_text() == "it has ended"
        shown = "".join(await grown.locator("#trace > span").all_text_contents())
        assert shown == "<think>\nokay, so m x=7\n</think>\n\nIt is 7."
        await until(page, "document.querySelectorAll('#ended a.sample').length === 2")
        assert await page.locator("#under-way a.sample").count() == 0
        assert await listed(page) == ["q0", "q1"]
        await until(page, "said.textContent === 'live: 2 ended, 0 under way'")
        assert await page.locator("#status-finished").text_content() == "finished (2)"
        assert await page.locator("#status-running").text_content() == "under way (0)"
        await grown.context.close()


async def test_a_page_says_when_the_server_is_gone(tmp_path, browser):
    await write_run(RunFolder(tmp_path / "run"), FEW)
    page = await fresh_page(browser)
    async with viewing(tmp_path / "run") as view:
        await goto(page, view.url)
        await until(page, "said.textContent === '4 ended'")
    await until(page, "said.textContent.startsWith('no connection')")
    assert await listed(page) == ["q0", "q1", "q2", "q3"], "what was read stays"
    await page.context.close()


async def test_rejected_drafts(strange, browser):
    async with looking(browser, strange) as page:
        await goto(page, f"{strange.url}sample?sample=tried twice")
        await page.get_by_text("Rejected: score 3 of 10").click()
        assert await page.locator("#drafts .student").inner_text() == "no"


async def test_a_long_trace_is_drawn_whole(strange, browser):
    async with looking(browser, strange) as page:
        await goto(page, f"{strange.url}sample?sample=long")
        assert await page.locator("#trace > span").count() > 2000
        await page.keyboard.press("t")
        assert await page.locator("#trace del").last.is_visible()
        assert await page.locator("#trace").evaluate("e => e.textContent.length") > 100_000
