"""What each address of the viewer answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
from aiohttp import web

from tessy.display import visible
from tessy.errors import InputError, TessyError
from tessy.method.words import units
from tessy.report.viewer import files
from tessy.report.viewer.access import AccessControl, Handler
from tessy.report.viewer.compare import compared
from tessy.report.viewer.filters import Filter, Status, page_number
from tessy.report.viewer.pages import render
from tessy.report.viewer.sample import SampleView, read_sample
from tessy.report.viewer.search import PAGE
from tessy.report.viewer.served import ViewedRun, ViewedRuns
from tessy.report.viewer.writing import correction_of, review_of
from tessy.runs import reviews
from tessy.runs.reader import JournalReader
from tessy.runs.shard_reader import UnfinishedSample

_ABOVE = 10
"""Samples under way that are shown above the first page of a list."""
_BESIDE = 3
"""Runs that are shown side by side, unless the address names some."""
_EVENT_EVERY_S = 0.5
_HEARTBEAT_S = 15.0


class Handlers:
    """What each address answers. Everything that reads from disk does so in a thread.

    Args:
        runs: Those that are shown.
        access: Has the tokens.
    """

    def __init__(self, runs: ViewedRuns, access: AccessControl) -> None:
        self._runs = runs
        self._access = access

    def _run(self, request: web.Request) -> ViewedRun:
        number = int(request.match_info["run"])
        if number >= len(self._runs):
            raise web.HTTPNotFound(text="there is no such run\n")
        return self._runs[number]

    async def open(self, request: web.Request) -> web.StreamResponse:
        """To the runs, with the ticket; once."""
        if not self._access.use_ticket(request.match_info["ticket"]):
            raise web.HTTPForbidden(text="this address worked once: see the one in the terminal\n")
        raise web.HTTPSeeOther(f"/{self._access.token}/")

    async def home(self, request: web.Request) -> web.StreamResponse:
        """To the runs, from an address without the last slash."""
        raise web.HTTPSeeOther(f"/{self._access.token}/")

    async def runs(self, request: web.Request) -> web.StreamResponse:
        """The runs, with those that have begun; to the only one, if no more can."""
        await self._runs.look()
        if self._runs.single:
            raise web.HTTPSeeOther(f"/{self._access.token}/0/")
        polls = any(run.updater.state.changes for run in self._runs)
        return await asyncio.to_thread(_page, "runs", runs=self._runs, polls=polls)

    async def compare(self, request: web.Request) -> web.StreamResponse:
        """A sample of several runs, side by side."""
        return await asyncio.to_thread(self._compare, request)

    async def samples(self, request: web.Request) -> web.StreamResponse:
        """The list of a run."""
        wanted, page = Filter.parse(request.query), page_number(request.query)
        return await asyncio.to_thread(self._samples, self._run(request), wanted, page)

    async def sample(self, request: web.Request) -> web.StreamResponse:
        """A sample; its id is `sample`, since `id` is a filter of the list around it."""
        wanted, sample_id = Filter.parse(request.query), request.query.get("sample", "")
        return await asyncio.to_thread(self._sample, self._run(request), wanted, sample_id)

    async def words(self, request: web.Request) -> web.StreamResponse:
        """The words of a sample's thinking and which are style, as JSON."""
        run, sample_id = self._run(request), request.query.get("sample", "")
        return await asyncio.to_thread(_words, run, sample_id)

    async def decide(self, what: str, request: web.Request) -> web.StreamResponse:
        """Keep a review or corrected boundaries, and go back to the sample."""
        run, form = self._run(request), await request.post()
        self._access.check_form(request, form.get("form_token"))
        if not run.writable:
            raise web.HTTPForbidden(text="this run is shown read-only\n")
        await asyncio.to_thread(self._decide, what, run, request.query.get("sample", ""), form)
        raise web.HTTPSeeOther(f"sample?{request.rel_url.raw_query_string}#decided")

    async def events(self, request: web.Request) -> web.StreamResponse:
        """How far the run and the index are, whenever that changes."""
        updater = self._run(request).updater
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        known = None
        while not updater.closed:
            state = await updater.change(known, _HEARTBEAT_S)
            line = ": still here" if state == known else f"data: {orjson.dumps(state).decode()}"
            try:
                await response.write(f"{line}\n\n".encode())
            except ConnectionError:  # the page is closed
                break
            known = state
            await asyncio.sleep(_EVENT_EVERY_S)
        return response

    async def file(self, request: web.Request) -> web.StreamResponse:
        """A file that pages load."""
        name = request.match_info["file"]
        body = await asyncio.to_thread(files.content, name)
        charset = None if name.endswith(".woff2") else "utf-8"
        return web.Response(body=body, content_type=files.FILES[name], charset=charset)

    @web.middleware
    async def errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Make a page of an error."""
        try:
            return await handler(request)
        except TessyError as error:
            run = self._run(request) if "run" in request.match_info else None
            gone = run is not None and not run.folder.started_shards()
            status = 410 if gone else 400 if isinstance(error, InputError) else 500
            return _page("error", status, run=run, message=str(error), hint=error.hint)

    def _samples(self, run: ViewedRun, wanted: Filter, page: int) -> web.Response:
        found = run.page(wanted, page)
        pages = max(1, -(-found.total // PAGE))
        if page > pages and wanted.status is not Status.RUNNING:
            found, page = run.page(wanted, pages), pages
        under_way = _under_way(run, wanted, page)
        if wanted.status is Status.RUNNING:
            pages = page + (len(under_way) == PAGE)
        return _page(
            "samples",
            run=run,
            several=not self._runs.single,
            method=run.method,
            state=run.updater.state,
            wanted=wanted,
            page=page,
            pages=pages,
            found=found,
            under_way=under_way,
            statuses=run.search.statuses(),
            totals=run.totals(),
            reviews=run.reviews(),
        )

    def _sample(self, run: ViewedRun, wanted: Filter, sample_id: str) -> web.Response:
        sample = read_sample(run.folder, sample_id)
        if sample is None:
            return _missing(run, f"there is no sample {sample_id!r} in this run, or not yet")
        return _page(
            "sample",
            run=run,
            several=not self._runs.single,
            wanted=wanted,
            sample=sample,
            stopped=sample.running and run.updater.state.stopped,
            beside=run.search.neighbours(wanted, sample_id),
            review=run.reviews().get(sample_id),
            correction=reviews.read_corrections(run.folder.path).get(sample_id),
            form_token=self._access.form_token if run.writable else None,
        )

    def _decide(self, what: str, run: ViewedRun, sample_id: str, form: Any) -> None:
        sample = read_sample(run.folder, sample_id)
        if sample is None:
            raise InputError(f"there is no sample {sample_id!r} in this run")
        decided = review_of if what == "review" else correction_of
        reviews.add(run.folder.path, decided(sample, form))

    def _compare(self, request: web.Request) -> web.Response:
        sample_id = request.query.get("sample", "")
        there = [(run, _of_question(run, sample_id)) for run in self._chosen(request)]
        shown = [(run, sample) for run, sample in there if sample is not None]
        if not shown:
            return _missing(None, f"no run has a sample {sample_id!r}, or not yet")
        number = _number(request.query.get("base", "")) if "base" in request.query else None
        base = next((pair for pair in shown if pair[0].number == number), shown[0])
        other = [run for run, sample in shown if _asks_another(sample, base[1])]
        shown = [pair for pair in shown if pair[0] not in other]
        if not request.query.getall("run", []):
            shown = shown[:_BESIDE]
            shown = shown if base in shown else [base, *shown[: _BESIDE - 1]]
        return _page(
            "compare",
            runs=self._runs,
            missing=[run for run, sample in there if sample is None],
            other=other,
            sample_id=base[1].id,
            base=base[0],
            asked=base[1].messages,
            beside=base[0].search.neighbours(Filter(), base[1].id),
            columns=[(run, sample, _beside(sample, base[1])) for run, sample in shown],
            chosen=[run.number for run, _ in shown],
        )

    def _chosen(self, request: web.Request) -> list[ViewedRun]:
        numbers = [_number(value) for value in request.query.getall("run", [])]
        return [run for run in self._runs if not numbers or run.number in numbers]


def _words(run: ViewedRun, sample_id: str) -> web.Response:
    sample = read_sample(run.folder, sample_id)
    if sample is None:
        raise InputError(f"there is no sample {sample_id!r} in this run")
    correction = reviews.read_corrections(run.folder.path).get(sample_id)
    style = sample.style
    if correction is not None and correction.text == sample.digest:
        style = list(correction.style)
    return web.Response(
        body=orjson.dumps(
            {
                "text": visible(sample.thinking),
                "words": [
                    (word.word_start, word.word_end)
                    for word in units(sample.thinking)
                    if word.word_start < word.word_end
                ],
                "style": style,
                "written": sample.style,
            }
        ),
        content_type="application/json",
    )


def _number(value: str) -> int:
    if not value.isdecimal():
        raise InputError(f"{value!r} is no number of a run", hint="0 is the first")
    return int(value)


def _of_question(run: ViewedRun, sample_id: str) -> SampleView | None:
    """The sample with an id; else the first of its question, of which a run may have several."""
    question = sample_id.rpartition("#")[0] or sample_id
    names = dict.fromkeys((sample_id, question, f"{question}#0"))
    found = (read_sample(run.folder, name) for name in names)
    return next((sample for sample in found if sample is not None), None)


def _asks_another(sample: SampleView, base: SampleView) -> bool:
    """Whether two samples of one id have different questions; ids may be numbers of rows."""
    return bool(sample.messages and base.messages) and list(sample.messages) != list(base.messages)


def _beside(sample: SampleView, base: SampleView) -> list[Any]:
    """The pieces of a response; where it differs from another one, if it is not that one."""
    if sample is base:
        return [piece for piece in sample.pieces if not piece.discarded]
    return list(compared(sample.pieces, base.content))


def _under_way(run: ViewedRun, wanted: Filter, page: int) -> Sequence[UnfinishedSample]:
    if wanted.needs_end:
        return ()
    with JournalReader(run.folder) as reader:
        if wanted.status is Status.RUNNING:
            return reader.unfinished(wanted.id, limit=PAGE, offset=(page - 1) * PAGE)
        if wanted.status is None and page == 1:
            return reader.unfinished(wanted.id, limit=_ABOVE)
    return ()


def _missing(run: ViewedRun | None, message: str) -> web.Response:
    return _page("error", 404, run=run, message=message, hint=None)


def _page(name: str, status: int = 200, **values: Any) -> web.Response:
    return web.Response(text=render(name, **values), status=status, content_type="text/html")
