"""Work in the pages of `tessy view`: compare, read, decide, correct; on every screen."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio

from browser import SCREENS, check_page, fresh_page
from tessy.method.trajectory import Failure
from tessy.runs.folder import RunFolder
from tessy.runs.locks import held
from tessy.runs.reviews import read_corrections, read_reviews
from viewing import goto, looking, viewing
from written import Written, journals_of, write_run

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUESTION = "Consider $f(x) = \\frac{x^2}{2}$. " * 40
TEACHER = """
\\[
\\int_0^1 x^2\\,dx
\\]

1. First **this**.

| a | b |
|---|---|
| 1 | 2 |

```python
if x > 3:
    print("so", x)
```
"""
SAMPLES = [
    Written("q0", QUESTION, student="okay, so\n", teacher=TEACHER, outcome="right"),
    Written("q1", student="hm, wait", teacher_tokens=99, outcome="wrong"),
    Written("q2", failure=Failure.REPETITION),
    Written("q3", outcome="no_answer"),
    Written("q4"),
]


@pytest_asyncio.fixture(loop_scope="session")
async def run(tmp_path):
    """A run of a few samples, one of which had not ended when it stopped."""
    await write_run(RunFolder(tmp_path / "run"), SAMPLES, [Written("q5")])
    return tmp_path / "run"


async def listed(page) -> list[str]:
    return await page.locator("#ended a.sample").all_inner_texts()


async def test_the_list_leads_with_verdicts(run, browser):
    async with viewing(run) as view, looking(browser, view) as page:
        await goto(page, view.url)
        totals = await page.locator("#totals").inner_text()
        assert "33.3% (6.1–79.2%)" in totals
        assert "✓ 1 right" in totals
        assert "✗ 1 wrong ✗ 1 no answer" in totals
        assert "1 unverified" in totals
        assert await page.locator("#state").inner_text() == "stopped"
        assert await page.locator("#under-way .status").inner_text() == "stopped"
        looks = {}
        for kind in ("right", "wrong"):
            cell = page.locator(f"tbody .verdict.{kind}").first
            looks[kind] = await cell.evaluate("e => getComputedStyle(e).color")
        for status in await page.locator("tbody .status").all():
            colour = await status.evaluate("e => getComputedStyle(e).color")
            assert colour != looks["right"], "only what is right looks right"
        assert looks["right"] != looks["wrong"]
        await page.locator("select[name=verdict]").select_option("wrong")
        await page.get_by_role("button", name="Filter").click()
        await page.wait_for_url("**verdict=wrong**")
        assert await listed(page) == ["q1"]


async def test_a_click_on_a_column_sorts_and_another_turns_round(run, browser):
    async with viewing(run) as view, looking(browser, view) as page:
        await goto(page, view.url)
        for order in ("ascending", "descending"):
            await page.get_by_role("link", name="Tokens", exact=False).first.click()
            await page.wait_for_selector(f"th[aria-sort={order}]")
        assert (await listed(page))[0] == "q1"
        await page.get_by_role("link", name="q1", exact=True).click()
        await page.wait_for_selector("h1:text('q1')")
        assert await page.locator("#beside a[rel=prev]").count() == 0, "it is the first"


async def test_a_long_question_folds_and_opens(run, browser):
    async with viewing(run) as view, looking(browser, view) as page:
        await goto(page, f"{view.url}sample?sample=q0")
        asked = page.locator("#asked .asked")
        folded = (await asked.bounding_box())["height"]
        await page.get_by_text("Show all").click()
        assert (await asked.bounding_box())["height"] > folded
        assert not await page.get_by_text("Show all").is_visible()


async def test_markdown_formulas_and_code_with_their_authors(run, browser):
    async with viewing(run) as view, looking(browser, view) as page:
        await goto(page, f"{view.url}sample?sample=q0")
        raw = await page.locator("#trace").text_content()
        assert "\\int_0^1" in raw, "raw text is what it is"
        await page.keyboard.press("m")
        await page.wait_for_url("**rendered=yes**")
        await page.wait_for_selector("main[data-ready]")
        thinking = page.locator("#part-1")
        assert await thinking.locator(".formula.display .katex").count() == 1
        assert await thinking.locator("li strong .teacher").inner_text() == "this"
        assert await thinking.locator("p .student").first.inner_text() == "okay, so"
        assert await thinking.locator("pre .code-k").first.inner_text() == "if"
        assert await thinking.locator("td").count() == 2
        await page.keyboard.press("j")
        await page.wait_for_selector("h1:text('q1')")
        assert "rendered=yes" in page.url, "it stays so"
        await page.wait_for_selector("main[data-ready]")
        await page.keyboard.press("m")
        await page.wait_for_selector("#trace")


async def test_a_formula_can_do_nothing(tmp_path, browser):
    hostile = [
        r"$\href{javascript:document.title='owned'}{x}$ $\includegraphics{http://127.0.0.2/x.png}$",
        r"$\htmlData{a=b}{x} \htmlStyle{position:fixed}{y}$ $\def\a{\a\a}\a$",
        r"$\rule{9999em}{9999em}$",
        "$<img src=x onerror=\"document.title='owned'\">$ <script>document.title='owned'</script>",
    ]
    await write_run(RunFolder(tmp_path), [Written("q0", "\n\n".join(hostile))])
    async with viewing(tmp_path) as view, looking(browser, view) as page:
        await goto(page, f"{view.url}sample?sample=q0&rendered=yes")
        assert await page.locator(".katex").count() >= 3
        assert await page.locator(".formula.broken").inner_text() == r"\def\a{\a\a}\a"
        assert await page.title() != "owned"
        assert await page.locator("#asked :is(img, a, script, iframe)").count() == 0
        assert await page.evaluate("document.documentElement.scrollWidth") == 1280


async def test_accept_reject_comment_by_key_and_by_mouse(run, browser):
    async with viewing(run) as view, looking(browser, view) as page:
        await goto(page, f"{view.url}sample?sample=q1")
        await page.keyboard.press("a")
        await page.wait_for_selector("#head .review.accepted")
        assert read_reviews(run)["q1"].decision == "accepted"
        await page.wait_for_selector("main[data-ready]")
        await page.keyboard.press("c")
        await page.keyboard.type("axjk: nice")
        await page.get_by_role("button", name="Save the comment").click()
        await page.wait_for_url("**#decided")
        review = read_reviews(run)["q1"]
        assert (review.decision, review.comment) == ("accepted", "axjk: nice")
        await page.get_by_role("button", name="Reject").click()
        await page.wait_for_selector("#head .review.rejected")
        assert await page.get_by_label("Comment").input_value() == "axjk: nice"
        await page.get_by_role("link", name="List").click()
        await page.wait_for_selector("tbody .review.rejected")
        await page.locator("select[name=review]").select_option("rejected")
        await page.get_by_role("button", name="Filter").click()
        await page.wait_for_url("**review=rejected**")
        assert await listed(page) == ["q1"]


async def test_boundaries_are_corrected_word_by_word(run, browser):
    async with viewing(run) as view, looking(browser, view) as page:
        await goto(page, f"{view.url}sample?sample=q1")
        await page.get_by_role("button", name="Correct boundaries").click()
        words = page.locator(".words [data-word]")
        await words.first.wait_for()
        assert await words.all_inner_texts() == ["hm,", "wait", "x=7"]
        await words.nth(1).click()
        assert await page.locator("#changed").inner_text() == "1 word turned"
        for key in ("ArrowRight", "ArrowRight", " ", "ArrowLeft", "ArrowLeft", " ", " "):
            await page.keyboard.press(key)
        assert await page.locator("#changed").inner_text() == "2 words turned"
        await page.get_by_role("button", name="Save the boundaries").click()
        await page.wait_for_url("**#decided")
        assert read_corrections(run)["q1"].style == ((0, 3), (9, 12))
        await page.wait_for_selector("main[data-ready]")
        await page.get_by_role("button", name="Correct boundaries").click()
        await words.first.wait_for()
        assert await page.locator(".words .student").all_inner_texts() == ["hm,", "x=7"]


async def test_what_was_not_saved_is_asked_for_before_one_leaves(run, browser):
    async with viewing(run) as view, looking(browser, view) as page:
        asked = []

        async def stay(dialog):
            asked.append(dialog.type)
            await dialog.dismiss()

        page.on("dialog", stay)
        await goto(page, f"{view.url}sample?sample=q1")
        await page.keyboard.press("c")
        await page.keyboard.type("hm")
        await page.keyboard.press("Escape")
        await page.keyboard.press("k")
        while not asked:
            await asyncio.sleep(0.01)
        assert "sample=q1" in page.url
        assert await page.get_by_label("Comment").input_value() == "hm"
        await page.get_by_role("button", name="Save the comment").click()
        await page.wait_for_url("**#decided")
        assert read_reviews(run)["q1"].comment == "hm"
        await page.wait_for_selector("main[data-ready]")
        await page.get_by_role("button", name="Correct boundaries").click()
        await page.locator(".words [data-word]").nth(1).click()
        await page.get_by_role("link", name="List").click()
        while len(asked) < 2:
            await asyncio.sleep(0.01)
        assert asked == ["beforeunload"] * 2
        assert await page.locator("#changed").inner_text() == "1 word turned"
        await page.get_by_role("button", name="Save the boundaries").click()
        await page.wait_for_url("**#decided")
        await page.get_by_role("link", name="List").click()
        await page.wait_for_selector("tbody")
        assert len(asked) == 2, "what is saved is left without a word"


async def test_one_question_of_several_runs(tmp_path, browser):
    alone = Written("q0", student="okay, so", teacher=" x=8", answer="It is 8.", outcome="wrong")
    await write_run(RunFolder(tmp_path / "alone"), [alone])
    both = [Written("q0", outcome="right"), Written("q1", outcome="right")]
    await write_run(RunFolder(tmp_path / "both"), both)
    runs = tmp_path / "alone", tmp_path / "both"
    async with viewing(*runs) as view, looking(browser, view) as page:
        await goto(page, view.url)
        assert await page.locator("a.sample").all_inner_texts() == ["alone", "both"]
        await page.get_by_label("One question").fill("q0")
        await page.get_by_role("button", name="Compare").click()
        await page.wait_for_selector(".runs-beside")
        assert await page.locator(".runs-beside ins").all_inner_texts() == ["x=7", "7."]
        gone = page.locator(".runs-beside del")
        assert not await gone.first.is_visible()
        await page.wait_for_selector("main[data-ready]")
        await page.keyboard.press("t")
        assert [text.strip() for text in await gone.all_inner_texts()] == ["x=8", "8."]
        await page.get_by_role("link", name="compare with this").click()
        await page.wait_for_url("**base=1**")
        assert await page.locator(".runs-beside ins").all_inner_texts() == ["x=8", "8."]
        await page.get_by_role("link", name="both").first.click()
        await page.wait_for_selector("h1:text('q0')")
        await page.get_by_role("link", name="Side by side").click()
        await page.wait_for_selector(".runs-beside")


async def test_the_list_of_runs_follows_them(tmp_path, browser):
    folder = RunFolder(tmp_path / "going")
    await write_run(RunFolder(tmp_path / "done"), SAMPLES)
    async with journals_of(folder) as journals:
        with held(folder.path):
            await journals.all[0].end(SAMPLES[1].ending(0))
            runs = tmp_path / "going", tmp_path / "done"
            async with viewing(*runs) as view, looking(browser, view) as page:
                await goto(page, view.url)
                row = page.locator("tr", has_text="going")
                await row.get_by_text("under way").wait_for()
                await journals.all[0].end(SAMPLES[3].ending(1))
                await row.locator("td[data-name=samples]", has_text="2").wait_for()
                (folder.path / "lock").unlink()  # as if its process had ended
                await row.get_by_text("complete").wait_for()
                assert await page.locator("[data-polls]").count() == 0, "nothing is left to ask"


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
async def test_every_page_on_every_screen_for_everybody(tmp_path, browser, width, scheme):
    """No page is wider than its screen, and axe-core finds nothing."""
    await write_run(RunFolder(tmp_path / "run"), SAMPLES, [Written("q5")])
    await write_run(RunFolder(tmp_path / "other"), SAMPLES[:1])
    pages = ["", "0/", "0/sample?sample=q0", "0/sample?sample=q0&rendered=yes", "0/?sort=tokens"]
    pages += ["0/sample?sample=q2", "0/sample?sample=q5", "compare?sample=q0", "0/?share_least=x"]
    async with viewing(tmp_path / "run", tmp_path / "other") as view:
        options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
        page = await fresh_page(browser, **options)
        for path in pages:
            await goto(page, view.url + path)
            if path.endswith("sample=q0"):
                await page.keyboard.press("t")
            await check_page(page, width)
        await page.context.close()
