"""`tessy view`: which requests are answered, what a browser is told, and how it begins and ends."""

from __future__ import annotations

import asyncio
import html
import json
import re
import shutil
import signal
import socket
import sqlite3
from urllib.parse import quote, urljoin, urlsplit

import aiohttp
import pytest
from yarl import URL

from commands import run as tessy
from tessy.method.trajectory import Failure
from tessy.report.viewer.files import FILES
from tessy.runs.folder import RunFolder
from tessy.runs.reviews import REVIEWS, read_corrections, read_reviews
from viewing import viewing, viewing_process
from written import Written, write_run

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; img-src 'self'; font-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
PATHS = ("", "sample?sample=q0", "events", *(f"../{name}" for name in FILES))
"""Of a run; the files are those of all runs."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two samples that ended and one under way."""
    folder = RunFolder(tmp_path_factory.mktemp("view") / "run")
    asyncio.run(write_run(folder, [Written("q0"), Written("q1")], [Written("q2")]))
    return folder.path


@pytest.fixture
async def view(run):
    """Its pages."""
    async with viewing(run) as site:
        yield site


@pytest.fixture
async def client():
    async with aiohttp.ClientSession() as session:
        yield session


async def status(client, url, **more) -> int:
    async with client.get(url, allow_redirects=False, **more) as answer:
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, (url, name)
        return answer.status


async def test_every_address_wants_the_token(view, client):
    base = urlsplit(view.url)
    token = base.path.split("/")[1]
    assert len(token) > 30
    for path in PATHS:
        assert await status(client, urljoin(view.url, path)) == 200
        for wrong in ("", "x/", token[:-1] + "/", token + "x/", "é/"):
            refused = urljoin(f"http://{base.netloc}/{wrong}0/", path)
            assert await status(client, refused) == 403, refused
    assert await status(client, urljoin(view.url, "../")) == 303, "the only run"
    assert await status(client, urljoin(view.url, "..").rstrip("/")) == 303
    assert await status(client, urljoin(view.url, "../1/")) == 404, "no such run"
    assert await status(client, view.url + "no-such-file") == 403
    assert await status(client, urljoin(view.url, "../../view.css")) == 403


async def test_a_page_elsewhere_cannot_ask(view, client):
    """Neither under a name of its own that points here, nor from its own origin."""
    port = urlsplit(view.url).port
    for host in (
        f"evil.example:{port}",
        "evil.example",
        "127.0.0.1.evil.example",
        "",
        "[::1",
        "a@b",
    ):
        assert await status(client, view.url, headers={"Host": host}) == 403, host
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", "localhost:9000"):
        assert await status(client, view.url, headers={"Host": host}) == 200, host
    own = f"http://127.0.0.1:{port}"
    assert await status(client, view.url, headers={"Origin": own}) == 200
    for origin in (
        "http://evil.example",
        "null",
        f"https://127.0.0.1:{port}",
        "http://127.0.0.1:1",
    ):
        assert await status(client, view.url, headers={"Origin": origin}) == 403, origin


async def test_no_other_method_and_only_on_the_loopback(view, client):
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        async with client.request(method, view.url) as answer:
            assert answer.status in (403, 405)
    async with client.head(view.url) as answer:
        assert answer.status == 200
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", urlsplit(view.url).port), 5)


async def test_looking_changes_nothing_in_the_run(run, client):
    def contents():
        return {
            path.relative_to(run): path.read_bytes()
            for path in run.rglob("*")
            if path.is_file() and not path.name.endswith(("-wal", "-shm"))
        }

    before = contents()
    assert before
    async with viewing(run) as view:
        for path in ("", "?text=okay", "sample?sample=q0", "sample?sample=q2"):
            assert await status(client, view.url + path) == 200
    assert contents() == before


@pytest.mark.parametrize(
    ("path", "code", "said"),
    [
        ("?status=done", 400, "status 'done' is not known"),
        ("?share_least=a%3Cb%3E", 400, "share_least = 'a<b>': not a percentage"),
        ("?text=%3F%3F", 400, "text = '??': there is no word in it"),
        ("?page=0", 400, "page must be 1 or more"),
        ("sample?sample=no%20such", 404, "there is no sample 'no such' in this run, or not yet"),
        ("sample", 404, "there is no sample ''"),
    ],
)
async def test_what_cannot_be_shown_is_said(view, client, path, code, said):
    async with client.get(view.url + path) as answer:
        assert answer.status == code
        page = await answer.text()
    assert quote(said, safe="") in quote(html.unescape(page), safe="")
    assert "<b>" not in page


# --- What readers decide --------------------------------------------------------------------------


async def form_of(client, view, sample="q0") -> dict[str, str]:
    """The hidden fields of a sample's forms."""
    async with client.get(f"{view.url}sample?sample={sample}") as answer:
        page = await answer.text()
    return dict(re.findall(r'name="(form_token|text)" value="([^"]*)"', page))


async def send(client, view, form, what="review", sample="q0", **headers):
    own = {"Origin": f"http://{urlsplit(view.url).netloc}"}
    url = f"{view.url}{what}?sample={sample}"
    more = {"headers": {**own, **headers}, "allow_redirects": False}
    async with client.post(url, data=form, **more) as answer:
        return answer.status, await answer.text()


@pytest.fixture
async def own(tmp_path):
    """Pages of a run of its own, to decide about; and the run's folder."""
    folder = RunFolder(tmp_path / "run")
    await write_run(folder, [Written("q0"), Written("q1")], [Written("q2")])
    async with viewing(folder.path) as site:
        yield site, folder.path


async def test_a_decision_is_kept_and_shown(own, client):
    view, run = own
    form = await form_of(client, view)
    for decision, comment in (("accepted", "good"), ("rejected", ""), ("", "<b>hm")):
        said = {**form, "decision": decision, "comment": comment}
        assert (await send(client, view, said))[0] == 303
        review = read_reviews(run)["q0"]
        assert (review.decision or "", review.comment) == (decision, comment)
    form = await form_of(client, view)
    style = {**form, "style": "[[0, 5]]", "whole": "yes"}
    assert (await send(client, view, style, "boundaries"))[0] == 303
    correction = read_corrections(run)["q0"]
    assert (correction.style, correction.whole) == (((0, 5),), True)
    async with client.get(view.url + "?review=commented") as answer:
        page = await answer.text()
    assert "sample=q0" in page
    assert "sample=q1" not in page


async def test_only_a_form_of_our_own_decides(own, client):
    view, run = own
    form = {**await form_of(client, view), "decision": "accepted"}
    for wrong in ({}, {**form, "form_token": ""}, {**form, "form_token": "é"}):
        assert (await send(client, view, wrong))[0] == 403
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        assert (await send(client, view, form, Origin=origin))[0] == 403
    async with client.post(f"{view.url}review?sample=q0", data=form) as answer:
        assert answer.status == 403, "no page sent it"
    elsewhere = view.url.replace("/0/", "x/0/")
    async with client.post(f"{elsewhere}review?sample=q0", data=form) as answer:
        assert answer.status == 403
    assert not (run / REVIEWS).exists()


@pytest.mark.parametrize(
    ("what", "change", "sample", "said"),
    [
        ("review", {"decision": "good"}, "q0", "decision 'good' is not known"),
        ("review", {"text": "0"}, "q0", "written again"),
        ("review", {"comment": "x" * 10_001}, "q0", "longer than 10,000"),
        ("review", {}, "none", "there is no sample 'none'"),
        ("review", {}, "q2", "has not ended"),
        ("boundaries", {"style": "[[5, 3]]"}, "q0", "not in order"),
        ("boundaries", {"style": "[[0, 5], [4, 8]]"}, "q0", "not in order"),
        ("boundaries", {"style": "[[0, 5000]]"}, "q0", "outside the thinking"),
        ("boundaries", {"style": "[[0]]"}, "q0", "no list of pairs"),
        ("boundaries", {"style": "no"}, "q0", "no list of pairs"),
        ("boundaries", {}, "q0", "no list of pairs"),
    ],
)
async def test_what_makes_no_sense_is_not_kept(own, client, what, change, sample, said):
    view, run = own
    form = {**await form_of(client, view), **change}
    code, page = await send(client, view, form, what, sample)
    assert code == 400
    assert said in html.unescape(page)
    assert not (run / REVIEWS).exists()
    assert not (run / "boundaries.jsonl").exists()


async def test_read_only_shows_reviews_and_takes_none(tmp_path, client):
    folder = RunFolder(tmp_path / "run")
    await write_run(folder, [Written("q0")])
    async with viewing(folder.path) as view:
        form = {**await form_of(client, view), "decision": "accepted", "comment": "my own"}
        await send(client, view, form)
    async with viewing(folder.path, read_only=True) as view:
        async with client.get(f"{view.url}sample?sample=q0") as answer:
            page = await answer.text()
        assert "my own" in page
        assert "<form id=" not in page
        assert (await send(client, view, form))[0] == 403


async def test_a_broken_file_of_reviews_is_said(own, client):
    view, run = own
    (run / REVIEWS).write_text("nonsense\n")
    async with client.get(view.url) as answer:
        assert answer.status == 500
        assert "reviews.jsonl, line 1" in await answer.text()


async def test_rejected_samples_are_wrong_in_the_summary_the_list_and_the_filter(tmp_path, client):
    rejected = Failure.REJECTED
    samples = [
        Written("q0", outcome="right"),
        Written("q1", outcome="wrong"),
        Written("q2", failure=rejected, outcome="no_answer"),
        Written("q3", failure=rejected),  # of an older version
        Written("q4", failure=Failure.REPETITION),
    ]
    await write_run(RunFolder(tmp_path), samples)
    async with viewing(tmp_path) as view:
        page = await text_of(client, view.url)
        assert "✗ 2 wrong" in page
        assert "✗ 1 no answer" in page
        for verdict, ids in (("wrong", ["q1", "q3"]), ("no_answer", ["q2"]), ("right", ["q0"])):
            page = await text_of(client, f"{view.url}?verdict={verdict}")
            assert re.findall(r'data-sample="([^"]*)"', page) == ids
            assert re.search(rf'<option value="{verdict}"[^>]* selected>', page)
        page = await text_of(client, f"{view.url}sample?sample=q3")
        assert 'class="verdict wrong"' in page
        assert "It failed, so no export has it." in page
        assert 'value="accepted"' not in page.split('id="review"')[1].split("</form>")[0]
        page = await text_of(client, f"{view.url}sample?sample=q0")
        assert "no export has it" not in page
        assert 'value="accepted"' in page.split('id="review"')[1].split("</form>")[0]


async def text_of(client, url):
    async with client.get(url) as answer:
        return await answer.text()


# --- Several runs ---------------------------------------------------------------------------------


async def test_a_folder_of_runs_is_an_index(tmp_path, client):
    for name in ("a", "b/c"):
        await write_run(RunFolder(tmp_path / "runs" / name), [Written("q0", outcome="right")])
    (tmp_path / "runs" / "empty").mkdir()
    async with viewing(tmp_path / "runs") as view:
        assert await run_names(client, view) == ["a", "b/c"]
        async with client.get(view.url + "1/sample?sample=q0") as answer:
            assert answer.status == 200
        async with client.get(view.url + "compare?sample=q0&run=1&run=0&base=1") as answer:
            assert answer.status == 200
        for path, code in (
            ("compare?sample=none", 404),
            ("compare?sample=q0&run=x", 400),
            ("2/", 404),
        ):
            async with client.get(view.url + path) as answer:
                assert answer.status == code, path


async def test_only_samples_of_the_same_question_are_side_by_side(tmp_path, client):
    """Questions without ids have the number of their row, so two files share ids."""
    asked = {"a": "What is 1+1?", "b": "Who wrote Faust?", "c": "What is 1+1?"}
    for name, question in asked.items():
        run = RunFolder(tmp_path / "runs" / name)
        await write_run(run, [Written("000000", question=question, answer=f"answer-{name}")])
    async with viewing(tmp_path / "runs") as view:
        page = await text_of(client, view.url + "compare?sample=000000")
        assert "answer-a" in page
        assert "answer-c" in page
        assert "answer-b" not in page
        assert "b (another question with this id)" in page
        page = await text_of(client, view.url + "compare?sample=000000&base=1")
        assert "Who wrote Faust?" in page
        assert "answer-b" in page
        assert "answer-a" not in page
        assert "What is 1+1?" not in page


async def test_what_an_evaluated_model_wrote_is_no_students_text(tmp_path, client):
    for name in ("alone", "both"):
        await write_run(RunFolder(tmp_path / name), [Written("q0")])
    evaluation = 'method = "student-only"\non_wrong = "keep_judged"\nverify = "exact"\n'
    (tmp_path / "alone" / "run.toml").write_text(evaluation)
    async with viewing(tmp_path / "alone", tmp_path / "both") as view:
        page = await text_of(client, view.url + "compare?sample=q0&run=0")
        assert '<span class="plain">okay, so</span>' in page
        page = await text_of(client, view.url + "compare?sample=q0&run=1&base=1")
        assert '<span class="student">okay, so</span>' in page
        page = await text_of(client, view.url + "1/sample?sample=q0")
        assert "compare?sample=q0&amp;base=1" in page


async def test_the_run_of_a_canary_is_listed_beside_its_run(tmp_path, client):
    for path in ("runs/a", "runs/a/canary"):
        await write_run(RunFolder(tmp_path / path), [Written("q0")])
    async with viewing(tmp_path / "runs") as view:
        page = await text_of(client, view.url)
    assert "2 runs" in page
    assert ">a/canary</a>" in page


async def test_a_run_that_begins_later_in_a_folder_of_runs_is_listed(tmp_path, client):
    runs = tmp_path / "runs"
    await write_run(RunFolder(runs / "b"), [Written("q0")])
    async with viewing(runs) as view:
        assert await run_names(client, view) == ["b"], "a list: more may begin"
        await write_run(RunFolder(runs / "a"), [Written("q1")])
        (shard := runs / "c" / "shards" / "0000").mkdir(parents=True)
        (shard / "journal.sqlite").write_bytes(b"")  # as it begins
        assert await run_names(client, view) == ["b", "a"], "numbers of runs stay"
        assert await status(client, view.url + "1/sample?sample=q1") == 200
        shutil.rmtree(runs)
        assert await run_names(client, view) == ["b", "a"]


async def run_names(client, view):
    async with client.get(view.url) as answer:
        return re.findall(r'data-sample="\d">([^<]*)</a>', await answer.text())


async def test_a_run_that_was_deleted_is_gone(tmp_path, client):
    run = tmp_path / "run"
    run.mkdir()
    await write_run(RunFolder(run), [Written("q0")])
    async with viewing(run) as view:
        assert await status(client, view.url) == 200
        shutil.rmtree(run)
        for path in ("", "sample?sample=q0"):
            assert await status(client, view.url + path) == 410


async def test_a_list_says_how_its_samples_are_written(tmp_path, client):
    await write_run(RunFolder(tmp_path), [Written("q0")])
    said = {
        None: [],
        "": ["method ?"],
        'method = "teacher-only"\nanswer_by = "student"\n': ["method teacher-only"],
        'method = "tessy"\nanswer_by = "teacher"\n': ["method tessy, answer_by teacher"],
        "method = [": [],
    }
    async with viewing(tmp_path) as view:
        for settings, expected in said.items():
            if settings is not None:
                (tmp_path / "run.toml").write_text(settings)
            async with client.get(view.url) as answer:
                page = await answer.text()
            assert answer.status == 200
            assert "q0" in page
            assert re.findall(r'<span id="method">([^<]*)</span>', page) == expected


async def test_an_evaluation_is_shown_as_one_of_its_model(tmp_path, client):
    """Whatever its model is for a run: nobody has a share of what one model wrote."""
    evaluation = 'method = "student-only"\non_wrong = "keep_judged"\nverify = "exact"\n'
    for name in ("one", "two"):
        await write_run(RunFolder(tmp_path / name), [Written("q0", outcome="right")])
    (tmp_path / "one" / "run.toml").write_text(f'{evaluation}[student]\nmodel = "lab:teacher"\n')
    (tmp_path / "two" / "run.toml").write_text('method = "student-only"\non_wrong = "fail"\n')
    async with viewing(tmp_path) as view:
        pages = []
        for path in ("0/", "0/sample?sample=q0", "1/", "1/sample?sample=q0", ""):
            async with client.get(view.url + path) as answer:
                pages.append(await answer.text())
    samples, sample, others, other, runs = pages  # the last has the figures of what was read
    assert re.findall(r"<td>(evaluation|student-only)</td>", runs) == ["evaluation", "student-only"]
    assert '<span class="quiet">evaluated</span> lab:teacher' in runs
    assert runs.count("<svg") == 1, "only the other run has a teacher share"
    assert '<span id="method">evaluation of lab:teacher</span>' in samples
    assert '<span id="method">method student-only</span>' in others
    assert "<dt>evaluation of</dt><dd>lab:teacher</dd>" in sample
    for page, said in ((samples, 0), (others, 1), (sample, 0), (other, 1)):
        assert ("<dt>teacher share" in page.lower()) == bool(said)


async def test_an_id_may_be_anything(tmp_path, client):
    ids = ["../../etc", "a/b?c#d&e=f", "ü 漢字", "%00", "'; drop table samples;--", "\0"]
    folder = RunFolder(tmp_path / "run")
    await write_run(folder, [Written(name, student=f"s{n}") for n, name in enumerate(ids)])
    async with viewing(folder.path) as view:
        async with client.get(view.url) as answer:
            links = re.findall(r'href="(sample\?[^"]*)"', await answer.text())
        assert len(links) == len(ids)
        for n, link in enumerate(links):
            async with client.get(URL(view.url + html.unescape(link), encoded=True)) as answer:
                assert answer.status == 200, link
                assert f">s{n}</span>" in await answer.text()


async def test_events_say_how_far_the_run_is(view, client):
    async with client.get(view.url + "events") as answer:
        assert answer.content_type == "text/event-stream"
        async with asyncio.timeout(60):
            while True:
                line = await answer.content.readline()
                if line.startswith(b"data: "):
                    state = json.loads(line.removeprefix(b"data: "))
                    if state["searched"] == 2:
                        break
    assert {key: state[key] for key in ("ended", "running", "listed", "trouble")} == {
        "ended": 2,
        "running": 1,
        "listed": 2,
        "trouble": None,
    }


# --- The command, in a process of its own -------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_it_ends_at_once_and_cleanly_while_a_page_is_open(run, client, number):
    async with (
        viewing_process(run, "--no-open") as view,
        client.get(view.url + "events") as answer,
    ):
        await answer.content.readline()
        code, err = await view.stop(number)
        assert (await answer.content.read()).count(b"Traceback") == 0
    assert code == 0
    assert err.splitlines() == ["Ctrl-C stops it; the address contains a key: don't share it"]


async def test_the_browser_is_started_with_a_ticket_that_works_once(run, client, tmp_path):
    """The arguments of a process can be seen by everybody on the machine."""
    browser, told = tmp_path / "browser", tmp_path / "told"
    browser.write_text(f'#!/bin/sh\necho "$1" > {told}.part && mv {told}.part {told}\n')
    browser.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with viewing_process(run, "--port", str(port), BROWSER=f"{browser} %s") as view:
        assert urlsplit(view.url).port == port
        async with asyncio.timeout(60):
            while not told.exists():
                await asyncio.sleep(0.02)
        ticket = told.read_text().strip()
        assert urlsplit(view.url).path.split("/")[1] not in ticket
        async with client.get(ticket) as answer:
            assert (answer.status, str(answer.url)) == (200, view.url)
        assert await status(client, ticket) == 403
        assert await status(client, re.sub(r"/open/.*", "/open/x", ticket)) == 403


# --- Mistakes -----------------------------------------------------------------------------------


def test_what_is_no_run_is_said(tmp_path):
    done = tessy("view", tmp_path / "nothing", "--no-open")
    assert done.code == 1
    assert done.err.startswith(f"error: {tmp_path / 'nothing'} is no run")
    journal = RunFolder(tmp_path).shard(0).journal
    journal.parent.mkdir(parents=True)
    journal.write_bytes(b"no database at all" * 100)
    done = tessy("view", tmp_path, "--no-open", TESSY_CACHE=str(tmp_path / "cache"))
    assert done.code == 1
    assert "Traceback" not in done.err
    assert str(journal) in done.err


def test_a_port_that_is_taken_is_said(run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        cache = str(run.parent / "cache")
        done = tessy("view", run, "--no-open", "--port", port, TESSY_CACHE=cache)
    assert done.code == 1
    assert f"port {port} can't be used" in done.err
    assert "hint: leave --port out" in done.err


def test_without_a_place_for_the_index_it_says_what_to_do(run, tmp_path):
    (tmp_path / "file").write_text("")
    done = tessy("view", run, "--no-open", TESSY_CACHE=str(tmp_path / "file"))
    assert done.code == 1
    assert "can't be kept" in done.err
    assert "TESSY_CACHE=FOLDER" in done.err


async def test_a_complete_run_says_that_its_limit_left_questions_out(tmp_path, client):
    run = RunFolder(tmp_path)
    await write_run(run, [Written("q0")])
    for left_out, said in (
        ("0", "complete</span>"),
        ("580", "complete; 580 more questions left out"),
    ):
        with sqlite3.connect(run.shard(0).journal) as connection:
            connection.execute("insert or replace into marks values ('left_out', ?)", (left_out,))
        async with viewing(tmp_path) as view:
            assert said in await text_of(client, view.url)


@pytest.mark.parametrize("sample", ["q0#1", "a&b=c", "100%", "a+b", "ä ö", "a?b/c"])
async def test_after_a_decision_the_same_sample_is_shown(tmp_path, client, sample):
    await write_run(RunFolder(tmp_path), [Written(sample), Written("q0"), Written("a")])
    async with viewing(tmp_path) as view:
        at = URL(f"{view.url}sample?sample={quote(sample, safe='')}", encoded=True)
        page = await text_of(client, at)
        form = dict(re.findall(r'name="(form_token|text)" value="([^"]*)"', page))
        action = html.unescape(re.search(r'action="(review\?[^"]*)"', page)[1])
        url = URL(urljoin(view.url, action), encoded=True)
        own = {"Origin": f"http://{urlsplit(view.url).netloc}"}
        form |= {"decision": "accepted"}
        async with client.post(url, data=form, headers=own) as answer:
            assert answer.status == 200
            assert answer.url.query["sample"] == sample
            assert "✓ accepted" in await answer.text()
    assert list(read_reviews(tmp_path)) == [sample]


async def test_a_run_of_which_no_sample_was_begun_says_so(tmp_path, client):
    """As when a server was missing."""
    run = RunFolder(tmp_path)
    await write_run(run, [])
    with sqlite3.connect(run.shard(0).journal) as connection:
        connection.execute("insert or replace into marks values ('samples', '2')")
    async with viewing(tmp_path) as view:
        assert "not begun, 2 to do</span>" in await text_of(client, view.url)


async def test_a_run_with_a_shard_that_was_not_started_is_not_complete(tmp_path, client):
    run = RunFolder(tmp_path)
    await write_run(run, [Written(f"q{number}") for number in range(6)], shards=2)
    for shard in range(2):
        with sqlite3.connect(run.shard(shard).journal) as connection:
            (ended,) = connection.execute("select count(*) from samples").fetchone()
            connection.execute("insert into marks values ('samples', ?)", (str(ended),))
    for shards, said in ((2, "complete</span>"), (3, "stopped, 1 shard not started</span>")):
        run.settings.write_text(f"[run]\nshards = {shards}\n")
        async with viewing(tmp_path) as view:
            assert said in await text_of(client, view.url)


async def test_runs_with_other_numbers_of_samples_are_side_by_side(tmp_path, client):
    one, two = (RunFolder(tmp_path / "runs" / name) for name in "ab")
    await write_run(one, [Written("q", answer="the-only-one")])
    several = [Written(f"q#{n}", answer=f"one-of-several-{n}") for n in range(2)]
    await write_run(two, [*several, Written("p#0", question="Who?")])
    async with viewing(tmp_path / "runs") as view:
        for query, answer in (("q", "several-0"), ("q%230&base=1", "several-0"), ("q%231", "-1")):
            page = await text_of(client, URL(f"{view.url}compare?sample={query}", encoded=True))
            assert "the-only-one" in page
            assert answer in page
            assert "not there" not in page
            links = re.findall(r'href="(\d/sample\?[^"]*)"', page)
            assert len(links) == 2
            for link in links:
                url = URL(urljoin(view.url, html.unescape(link)), encoded=True)
                async with client.get(url) as shown:
                    assert shown.status == 200
        page = await text_of(client, URL(f"{view.url}compare?sample=p%230", encoded=True))
        assert "a (not there)" in page


async def test_a_page_after_the_last_is_the_last(tmp_path, client):
    await write_run(RunFolder(tmp_path), [Written("q0")])
    async with viewing(tmp_path) as view:
        page = await text_of(client, view.url + "?page=99")
    assert 'data-sample="q0"' in page
    assert "Page 99" not in page
