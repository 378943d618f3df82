"""Pages of hostile text: it is shown, and never obeyed."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.data import record
from tessy.data.questions import Question
from tessy.display import visible
from tessy.method.trajectory import Failure, Trajectory
from tessy.report.viewer.compare import compared
from tessy.report.viewer.files import FILES
from tessy.report.viewer.filters import Filter
from tessy.report.viewer.indexed import IndexRow, searchable
from tessy.report.viewer.pages import render
from tessy.report.viewer.sample import SampleView, ended, unfinished
from tessy.report.viewer.search import Neighbours, SampleList
from tessy.report.viewer.totals import SampleTotals
from tessy.report.viewer.updates import IndexState
from tessy.runs.contents import pack, unpack
from tessy.runs.reviews import Decision, Review
from tessy.runs.shard_reader import EndedSample, UnfinishedSample
from tessy.runs.written import Written as WrittenBefore
from written import FIRST, Written

HOSTILE = [
    "<script>alert(1)</script>",
    "</pre></div></textarea><img src=x onerror=alert(1)>",
    "'\" autofocus onfocus=alert(1) x='",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt; &amp; &#60;i&#62;",
    "javascript:alert(1)",
    "\u202eevil\u202c \x1b[31m \0 \r\n",
    "x" * 5000,
    "<!-- ",
    "]]>",
    "\u2028\ufeff",
]
text = st.sampled_from(HOSTILE) | st.text(max_size=40)
OWN_ADDRESSES = {
    *("", "./", "../", "0/", "1/", "sample", "0/sample", "1/sample", "compare", "../compare"),
    *(f"{root}{name}" for root in ("", "../") for name in FILES),
    *("review", "boundaries", "#main"),
}
VOID = {"meta", "link", "input", "br", "hr"}


class ReadPage(HTMLParser):
    """What a browser would make of a page: elements, their attributes, the text in each."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[tuple[str, str | None]] = []
        self.texts: Counter[str] = Counter()
        self.said: dict[str, str] = {}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append((tag, dict(attrs).get("id")))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for _, name in self.open:
            if name:
                self.said[name] = self.said.get(name, "") + data

    def handle_comment(self, data):
        raise AssertionError("a comment")


def shown_run(name: str, number: int = 0) -> SimpleNamespace:
    """What pages ask of a run."""
    return SimpleNamespace(
        name=name,
        number=number,
        method=name,
        models={name: name},
        evaluated=None,
        verifier=None,
        updater=SimpleNamespace(state=STATE),
        totals=lambda: TOTALS,
    )


STATE = IndexState(ended=2, running=1, listed=2, searched=1, total=9, journal=7)
TOTALS = SampleTotals(
    samples=9, failed=1, right=4, wrong=2, error=1, unverified=1, tokens=9, teacher=5, requests=4
)


def found_sample(sample: Written, *, running: bool = False) -> SampleView:
    ending = sample.ending(0)
    if running:
        written = WrittenBefore({FIRST: sample.turns()[:1]}, {}, 1.0, 2)
        return unfinished(sample.id, written)
    trace = unpack(pack(ending.trace))
    return ended(EndedSample(ending.id, ending.failure, ending.record, trace, 1.5, 3))


def sample_page(sample: Written, *, running: bool = False) -> str:
    return render(
        "sample",
        run=shown_run(sample.id),
        several=True,
        wanted=Filter(text=sample.question),
        sample=found_sample(sample, running=running),
        stopped=False,
        beside=Neighbours(sample.id, sample.id, 2),
        review=Review(id=sample.id, text="", comment=sample.question),
        correction=None,
        form_token="x",
    )


def compare_page(sample: Written) -> str:
    view = found_sample(sample)
    other = replace(view, pieces=view.pieces[:-1])
    runs = [shown_run(sample.id), shown_run(sample.question, 1)]
    return render(
        "compare",
        runs=runs,
        missing=[],
        other=[runs[1]],
        asked=view.messages,
        sample_id=sample.id,
        base=runs[0],
        beside=Neighbours(sample.id, sample.id, 2),
        columns=[
            (runs[0], view, [p for p in view.pieces if not p.discarded]),
            (runs[1], other, list(compared(other.pieces, view.content))),
        ],
        chosen=[0, 1],
    )


def runs_page(sample: Written) -> str:
    return render("runs", runs=[shown_run(sample.id), shown_run(sample.question)], polls=True)


def test_of_a_run_that_was_not_read_yet_nothing_is_said():
    run = shown_run("x")
    run.updater.state, run.totals = IndexState(), SampleTotals
    page = render("runs", runs=[run], polls=True)
    assert "being read" in page
    for said in (">complete", "not verified", ">0<"):
        assert said not in page


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({}, "not begun, 2 to do"),
        ({"ended": 1}, "stopped, 1 to do"),
        ({"running": 1}, "stopped, 2 to do"),
        ({"ended": 2}, "complete"),
        ({"ended": 2, "waiting": 1}, "stopped, 1 failed to be written again"),
        ({"written": True}, "under way"),
    ],
)
def test_the_list_of_runs_says_how_far_each_is(state, said):
    run = shown_run("x")
    run.updater.state = IndexState(total=2, journal=7, **state)
    page = render("runs", runs=[run], polls=True)
    assert re.findall(r"<td><span class=\"status \w+\">([^<]*)</span></td>", page) == [said]


def test_the_summary_counts_tokens_of_failures_that_were_written_again():
    state = replace(STATE, replaced_tokens=4870)
    asked = {"run": shown_run("x"), "method": "tessy", "wanted": Filter(), "reviews": {}}
    listed = {"found": SampleList((), TOTALS), "under_way": [], "statuses": {}, "totals": TOTALS}
    page = render("samples", state=state, page=1, pages=1, **asked, **listed)
    assert "; 4,870 in failures written again</dd>" in page


def list_page(sample: Written) -> str:
    ending = sample.ending(0)
    row = IndexRow.of(0, ending.id, ending.failure, 1.5, 3, ending.record)
    return render(
        "samples",
        run=shown_run(sample.id),
        method=sample.question,
        state=replace(STATE, trouble=sample.question),
        wanted=Filter(id=sample.id, text=sample.question),
        page=2,
        pages=3,
        found=SampleList((row,), TOTALS),
        under_way=[UnfinishedSample(sample.id, 1.5, 3)],
        statuses={"finished": 1, "repetition": 1},
        totals=TOTALS,
        reviews={sample.id: Review(id=sample.id, text="", decision=Decision.ACCEPTED)},
    )


def error_page(message: str, hint: str | None) -> str:
    return render("error", run=shown_run(message), message=message, hint=hint)


@st.composite
def written(draw, words=text):
    sample = Written(*(draw(words) for _ in range(6)))
    sample.extra = {"column " + draw(words): draw(words)}
    draft = {"content": draw(words), "why": draw(words), "reason": draw(st.none() | words)}
    end = len(draft["content"])
    draft["spans"] = [{"role": "teacher", "start": 0, "end": end, "forced": False}] if end else []
    sample.drafts = [draft]
    return replace(sample, failure=draw(st.sampled_from([None, Failure.REPETITION])))


def tame(sample: Written) -> Written:
    """The same sample, but for what it says; what is empty stays so."""
    names = ("id", "question", "student", "teacher", "discarded", "answer")
    texts = {
        name: "".join("a" if c.strip() else c for c in getattr(sample, name)) for name in names
    }
    drafts = [{**draft, "content": "a" * len(draft["content"])} for draft in sample.drafts]
    return replace(sample, **texts, extra={"column": "a"}, drafts=drafts)


PAGES = (
    sample_page,
    list_page,
    runs_page,
    compare_page,
    lambda it: sample_page(it, running=True),
)


@given(written())
def test_a_page_has_the_same_elements_whatever_is_said_in_it(sample):
    for page in PAGES:
        hostile, harmless = ReadPage(page(sample)), ReadPage(page(tame(sample)))
        assert hostile.elements == harmless.elements
        assert hostile.open == harmless.open


@given(written())
def test_all_text_is_there_as_it_is(sample):
    found = ReadPage(sample_page(sample)).said
    thinking = f"<think>\n{sample.student}{sample.discarded if sample.discarded.strip() else ''}"
    thinking += f"{sample.teacher}\n</think>\n\n"
    whole = visible(thinking + ("" if sample.failure else sample.answer))
    assert found["trace"] == whole
    assert visible(sample.question) in found["asked"]
    assert visible(sample.id) in found["head"]
    assert visible(sample.drafts[0]["content"]) in found["drafts"]
    assert visible(sample.drafts[0]["why"]) in found["drafts"]


@given(text)
def test_a_list_says_the_method(method):
    assert ReadPage(list_page(Written("q0", question=method))).said["method"] == (
        f"method {visible(method)}"
    )


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_is_loaded_from_elsewhere_and_nothing_runs(page, hostile):
    sample = Written(*[hostile] * 6, extra={hostile: hostile})
    found = ReadPage(page(sample))
    for tag, name, value in found.attributes:
        assert not name.startswith("on")
        assert name != "style"
        if name in ("href", "src", "action"):
            assert value.split("?")[0] in OWN_ADDRESSES, (tag, name, value)
    assert [tag for tag, _ in found.elements].count("script") == 1


@given(text)
def test_what_is_wrong_is_said_without_harm(message):
    page = ReadPage(error_page(message, message))
    assert visible(message) in page.said["main"]
    assert page.elements == ReadPage(error_page("a", "a" if message else None)).elements


def test_no_character_reaches_a_page_that_would_be_obeyed():
    everything = "".join(map(chr, range(0x20))) + "\x7f\x85\u202a\u202e\u2066\u2069"
    page = sample_page(Written(*[everything] * 6))
    assert not {*page} & ({*everything} - {"\n", "\t"})


NAMED_ALIKE = {"answer": "4", "detail": None, "content": 7, "reason": "a test", "where": "here"}


def test_columns_of_a_question_may_be_called_as_fields_of_a_failure():
    question = Question(0, "q", ({"role": "user", "content": "2 + 2?"},), NAMED_ALIKE)
    names = {"student": "small", "teacher": "large"}
    made = record.finished(
        "q", question, Trajectory(), method="tessy", models=names, seed=0, verdict=None
    )
    assert "2 + 2?" in searchable(made)
    entry = EndedSample("q", None, made, record.trace(Trajectory()), 1.0, 1)
    found = ended(entry)
    assert dict(found.columns).keys() == NAMED_ALIKE.keys()
    assert found.detail == ""
