"""The index: up to date with the journal, no matter what happens to either."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tessy.display import visible
from tessy.errors import InputError, ViewError
from tessy.evaluation.estimate import mean
from tessy.method.trajectory import Failure, Role
from tessy.report.figures.intervals import QuestionSums, right_share, wilson
from tessy.report.viewer.filters import Filter, ReviewFilter, Sort, Status, VerdictFilter
from tessy.report.viewer.index import Index, index_path
from tessy.report.viewer.search import PAGE, Search, terms
from tessy.report.viewer.updates import IndexState, IndexUpdater
from tessy.runs.folder import RunFolder
from tessy.runs.locks import held
from tessy.runs.reviews import Decision, Review
from written import Written, journal_of, journals_of, write_run

EVERYTHING = Filter()


@pytest.fixture
def folder(tmp_path, monkeypatch) -> RunFolder:
    monkeypatch.setenv("TESSY_CACHE", str(tmp_path / "cache"))
    return RunFolder(tmp_path / "run")


def bring_up(folder: RunFolder) -> Search:
    """Index all there is."""
    with closing(Index(folder)) as index:
        while index.add(3):
            pass
        while index.add_words(3):
            pass
        assert index.add(9) == 0
    return Search(index_path(folder))


def ids(search: Search, wanted: Filter = EVERYTHING, page: int = 1) -> list[str]:
    return [row.id for row in search.page(wanted, page).rows]


def glance(folder: RunFolder, most: int) -> None:
    """Index a part of what is new; the process then ends."""
    with closing(Index(folder)) as index:
        index.add(most)
        index.add_words(most)


def test_in_step_with_any_journals(tmp_path_factory):
    """Samples end, fail and are written again between two looks: lists are those of the journals.

    Samples that end together have the same number of a transaction, and a look may end among them.
    """
    steps = st.lists(
        st.tuples(
            st.sampled_from(["end", "fail", "all", "retry", "look", "glance"]), st.integers(0, 9)
        ),
        max_size=25,
    )

    @settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
    @given(st.integers(1, 3), steps)
    def check(shards, chosen):
        folder = RunFolder(tmp_path_factory.mktemp("run"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TESSY_CACHE", str(folder.path / "cache"))
            asyncio.run(play(folder, shards, chosen))

    async def play(folder, shards, chosen):
        ended: dict[int, Written] = {}
        again: set[int] = set()

        async def end(journals, count, numbers, failure):
            new = [number for number in numbers if number not in ended or number in again]
            again.difference_update(new)
            for number in new:
                word = f"word{count:02}x{number}"
                ended[number] = Written(f"s{number}", student=word, failure=failure)
                ended[number].seconds = float(count)
            made = [(n, ended[n]) for n in new]
            await asyncio.gather(*(journals.of(s.id).end(s.ending(n)) for n, s in made))

        async with journals_of(folder, shards) as journals:
            for count, (what, number) in enumerate(chosen):
                match what:
                    case "look":
                        bring_up(folder)
                    case "glance":
                        glance(folder, number)
                    case "retry":
                        for journal in journals.all:
                            await journal.write_again([Failure.REPETITION], 99)
                        again |= {n for n, sample in ended.items() if sample.failure}
                    case "all":
                        await end(journals, count, range(10), None)
                    case _:
                        failure = Failure.REPETITION if what == "fail" else None
                        await end(journals, count, [number], failure)
        search = bring_up(folder)
        rows = search.page(EVERYTHING, 1).rows
        assert [(row.position, row.reason, row.seconds) for row in rows] == [
            (number, ended[number].failure, ended[number].seconds) for number in sorted(ended)
        ]
        for number, sample in ended.items():
            assert ids(search, Filter(text=sample.student)) == [f"s{number}"]

    check()


async def test_a_row_says_what_the_record_says(folder):
    asked = "What is\n\n <b>7</b>?" + " and" * 100
    await write_run(folder, [Written("q", asked, student_tokens=10, teacher_tokens=30)])
    (row,) = bring_up(folder).page(EVERYTHING, 1).rows
    assert (row.id, row.reason, row.share, row.tokens, row.discarded) == ("q", None, 0.75, 40, 4)
    assert (row.hand_overs, row.seconds) == (1, 1.5)
    assert row.question.startswith("What is <b>7</b>? and and")
    assert row.question.endswith("…")


SAMPLES = [
    Written(
        f"s{n}%_'{'x' * (n % 3)}",
        student=f"wait w{n} " + ("snake_case" if n % 2 else "CAFÉ"),
        failure=[None, Failure.REPETITION, None, Failure.MARKER][n % 4],
        student_tokens=n,
        teacher_tokens=20 - n,
    )
    for n in range(20)
]


async def test_filters_want_what_they_say(folder):
    """Against looking at every sample by itself."""
    await write_run(folder, SAMPLES)
    search = bring_up(folder)

    def found(**wanted):
        return [int(name[1:].split("%")[0]) for name in ids(search, Filter(**wanted))]

    every = range(20)
    assert found(id="xx") == [n for n in every if n % 3 == 2]
    assert found(id="%_'") == list(every), "no wildcards"
    assert found(status=Status.FINISHED) == [n for n in every if n % 2 == 0]
    assert found(status=Status.FAILED) == [n for n in every if n % 2]
    assert found(status=Failure.MARKER) == [n for n in every if n % 4 == 3]
    assert found(status=Status.RUNNING) == []
    assert found(share_least=25, share_most=75) == list(range(5, 16))
    assert found(tokens_least=20, tokens_most=20) == list(every)
    assert found(tokens_least=21) == []
    assert found(text="cafe") == [n for n in every if n % 2 == 0]
    assert found(text="snake_case") == [n for n in every if n % 2]
    assert found(text="w1") == [1, *range(10, 20)], "words by their beginning"
    assert found(text="W1 snake", share_least=0, share_most=50) == [11, 13, 15, 17, 19]
    assert found(text="perhaps") == [], "what was discarded is not searched"
    assert found(text="think") == [], "nor are the markers"


STRANGE = ['a" OR b*', "NEAR(a b)", "-a ^b", "a:b", "e\u0301", "\0a", "…", '"']


@given(st.text(min_size=1, max_size=30) | st.sampled_from(STRANGE))
def test_any_text_can_be_looked_for(tmp_path_factory, text):
    """Nothing in it is an operator of the search."""
    if not terms(text):
        with pytest.raises(InputError, match="there is no word in it"):
            Search(tmp_path_factory.getbasetemp() / "none").page(Filter(text=text), 1)
        return
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("create virtual table words using fts5 (text, detail = none)")
        connection.execute("insert into words values (?)", (text,))
        match = " ".join(f'"{term}"*' for term in terms(text))
        found = connection.execute("select count(*) from words where words match ?", (match,))
        assert found.fetchone() == (1,)


async def test_pages_and_neighbours(folder):
    names = [f"s{n}" for n in range(PAGE + 7)]
    await write_run(folder, [Written(name, student=f"w{n % 2}") for n, name in enumerate(names)])
    search = bring_up(folder)
    assert search.page(EVERYTHING, 1).total == PAGE + 7
    assert ids(search) + ids(search, page=2) == names
    assert ids(search, page=3) == []
    first, last = (search.neighbours(EVERYTHING, name) for name in (names[0], names[-1]))
    assert (first.previous, first.next, first.page) == (None, names[1], 1)
    assert (last.previous, last.next, last.page) == (names[-2], None, 2)
    odd = search.neighbours(Filter(text="w1"), names[PAGE + 1])
    assert (odd.previous, odd.next, odd.page) == (names[PAGE - 1], names[PAGE + 3], 1)
    lost = search.neighbours(EVERYTHING, "no such")
    assert (lost.previous, lost.next) == (None, None)


def judged(n: int) -> Written:
    """A sample of many kinds: by verdict, failure, share, length, calls."""
    failures = {3: Failure.REPETITION, 5: Failure.REJECTED, 6: Failure.BAD_QUESTION}
    failure = failures.get(n % 7)
    outcome = [None, "right", "wrong", "right", "no_answer", "error"][n % 6]
    if failure is not None:  # rejected samples of older versions have no verdict
        outcome = "no_answer" if failure is Failure.REJECTED and n % 2 else None
    tokens = {"student_tokens": n % 5, "teacher_tokens": n % 4}
    return Written(f"s{n:02}", failure=failure, outcome=outcome, seconds=n % 3, **tokens)


def verdict_of(sample: Written) -> str | None:
    """The verdict under which a sample is listed."""
    usual = {None: "unverified", Failure.REJECTED: "wrong"}.get(sample.failure)
    return sample.outcome or usual


JUDGED = [judged(n) for n in range(PAGE + 20)]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", [None, *Sort])
async def test_every_order_is_one_walk_over_all_samples(folder, sort, descending):
    """Pages in order and the links from sample to sample lead to the same samples, each once."""
    await write_run(folder, JUDGED)
    search, wanted = bring_up(folder), Filter(sort=sort, descending=descending)
    listed = ids(search, wanted) + ids(search, wanted, 2)
    assert sorted(listed) == [sample.id for sample in JUDGED]
    for at in (0, 1, 17, PAGE - 1, PAGE, len(listed) - 1):
        beside = search.neighbours(wanted, listed[at])
        assert beside.previous == (listed[at - 1] if at else None)
        assert beside.next == (listed[at + 1] if at + 1 < len(listed) else None)
        assert beside.page == at // PAGE + 1
    rows = {row.id: row for page in (1, 2) for row in search.page(EVERYTHING, page).rows}
    if sort in (Sort.TOKENS, Sort.DISCARDED, Sort.TOKENS_A_CALL, Sort.SECONDS_A_CALL):
        values = [getattr(rows[name], sort) for name in listed]
        assert values == sorted(values, reverse=descending)
    if sort is Sort.VERDICT and not descending:
        assert rows[listed[0]].outcome == "wrong", "what needs a look comes first"


async def test_verdicts_are_listed_filtered_and_added_up(folder):
    await write_run(folder, JUDGED)
    search = bring_up(folder)
    by_verdict = {
        verdict: [sample.id for sample in JUDGED if verdict_of(sample) == verdict]
        for verdict in VerdictFilter
    }
    totals = search.totals(EVERYTHING)
    for verdict, expected in by_verdict.items():
        wanted = Filter(verdict=verdict)
        assert ids(search, wanted) == expected
        assert getattr(totals, verdict) == len(expected) == search.totals(wanted).samples
    assert totals.samples == len(JUDGED)
    assert totals.failed == sum(sample.failure is not None for sample in JUDGED)
    assert totals.bad == sum(sample.failure is Failure.BAD_QUESTION for sample in JUDGED) > 0
    finished = [sample for sample in JUDGED if sample.failure is None]
    assert totals.requests == 3 * len(finished)
    assert totals.tokens == sum(s.student_tokens + s.teacher_tokens for s in finished)
    assert totals.teacher == sum(s.teacher_tokens for s in finished)
    failed = [s.ending(0).record["stats"] for s in JUDGED if s.failure is not None]
    kinds = [f"{role}{kind}_tokens" for role in Role for kind in ("", "_discarded")]
    assert totals.lost == sum(stats[kind] for stats in failed for kind in kinds) > 0
    right = len(by_verdict[VerdictFilter.RIGHT])
    wrong = sum(verdict_of(sample) in ("wrong", "no_answer") for sample in JUDGED)
    assert totals.accuracy == wilson(right, right + wrong), "as `tessy report` counts"
    assert search.totals(Filter(id="no such")).accuracy is None


async def test_several_samples_of_a_question_are_not_counted_as_independent(folder):
    """The same interval as in `tessy eval` and `tessy report`."""
    rights = [4, 3, 4, 2, 0, 2, 4, 4]
    named = [(f"q{n}#{m}", m < right) for n, right in enumerate(rights) for m in range(4)]
    await write_run(
        folder, [Written(name, outcome="right" if right else "wrong") for name, right in named]
    )
    bring_up(folder)
    found = Search(index_path(folder), several=lambda: 4).totals(EVERYTHING).accuracy
    wide, narrow = wilson(23 / 4, 8), wilson(23, 32)
    assert found == right_share(QuestionSums.over(rights, [4] * 8))
    assert mean([right / 4 for right in rights], [4] * 8).low == pytest.approx(found.low)
    assert wide.low < found.low < narrow.low < narrow.high < found.high < wide.high


@pytest.mark.parametrize("several", [1, 4])
@pytest.mark.parametrize(("evaluation", "verified"), [(False, 3), (True, 4)])
async def test_in_an_evaluation_what_the_model_failed_is_wrong(
    folder, several, evaluation, verified
):
    ends = ["right", "wrong", Failure.THINKING_LIMIT, Failure.MODEL_ERROR, "error", "right"]
    for number, end in enumerate(ends):
        failed = isinstance(end, Failure)
        end_of = {"failure": end} if failed else {"outcome": end}
        ends[number] = Written(f"q{number}", **end_of)
    await write_run(folder, ends)
    bring_up(folder)
    search = Search(index_path(folder), several=lambda: several, evaluation=lambda: evaluation)
    found = search.totals(EVERYTHING)
    assert (found.unanswered, found.accuracy.value) == (1, pytest.approx(2 / verified))


async def test_what_a_verifier_of_a_stranger_says_is_no_verdict(folder):
    await write_run(folder, [Written("q", outcome="splendid")])
    (row,) = bring_up(folder).page(EVERYTHING, 1).rows
    assert row.outcome is None


async def test_reviews_filter_a_list(folder):
    await write_run(folder, [Written(name) for name in ("a", "b", "c", "d")])
    bring_up(folder)
    reviews = {
        "a": Review(id="a", text="", decision=Decision.ACCEPTED),
        "b": Review(id="b", text="", decision=Decision.REJECTED, comment="too long"),
        "c": Review(id="c", text="", comment="hm"),
    }
    search = Search(index_path(folder), lambda: reviews)
    found = {kind: ids(search, Filter(review=kind)) for kind in ReviewFilter}
    assert found == {
        "accepted": ["a"],
        "rejected": ["b"],
        "commented": ["b", "c"],
        "open": ["c", "d"],
    }


async def test_a_run_that_no_process_writes_has_stopped(folder, monkeypatch):
    await write_run(folder, [Written("q0")], [Written("q1")])
    updater = IndexUpdater(folder)
    with held(folder.path):
        await updater.start()
        assert (updater.state.written, updater.state.stopped) == (True, False)
    async with asyncio.timeout(60):
        while not updater.state.stopped:
            await updater.change(updater.state, 1)
    with held(folder.shard(0).path):  # `--shard`
        while updater.state.stopped:
            await updater.change(updater.state, 1)
    await updater.close()
    with held(folder.shard(0).path):
        (folder.shard(0).path / "lock").write_text("99999999")  # of a process that is gone
        assert not folder.is_written(), "an old signature: the lock was not even tried"
    assert not IndexState(ended=2, total=2).stopped
    assert IndexState(ended=2, total=3).stopped
    assert not IndexState(ended=2, total=3, written=True).stopped
    assert IndexState(ended=2, shards_left=1).stopped
    assert IndexState(ended=2, total=2, waiting=1).stopped
    monkeypatch.setattr("tessy.runs.folder.mode_for", lambda path: "truncate")
    assert folder.is_written(), "on a shared file system: a journal changed just now"
    os.utime(folder.shard(0).journal, (0, 0))
    assert not folder.is_written()
    copy = IndexUpdater(folder, remote=True)
    await copy.start()
    assert not copy.state.stopped, "the locks of a run at a URL are elsewhere"
    await copy.close()


@pytest.mark.parametrize(("shards", "then"), [(1, 1), (1, 3), (3, 1), (3, 2)])
async def test_another_run_in_the_same_folder_is_noticed(folder, shards, then):
    old = [Written(f"q{n}", student="old") for n in range(9)]
    await write_run(folder, old, shards=shards)
    bring_up(folder)
    shutil.rmtree(folder.path)
    await write_run(folder, [Written("q0"), Written("q1", student="new")], shards=then)
    search = bring_up(folder)
    assert ids(search) == ["q0", "q1"]
    assert ids(search, Filter(text="old")) == []
    assert ids(search, Filter(text="new")) == ["q1"]


async def test_a_shard_that_starts_while_the_index_is_open_is_read(folder):
    samples = [Written(f"q{n}") for n in range(6)]
    async with journals_of(folder) as journals:
        await journals.all[0].end(samples[0].ending(0))
        with closing(Index(folder)) as index:
            assert index.add(9) == 1
            version = index.journals.version()
            async with journal_of(folder.shard(1)) as other:
                await other.end(samples[1].ending(1))
                assert index.journals.version() != version
                assert index.add(9) == 1
                assert index.journals.counts() == (2, 0)


@pytest.mark.parametrize("content", [b"garbage" * 1000, b""])
async def test_an_index_that_is_none_is_made_again(folder, content):
    await write_run(folder, [Written("q")])
    path = index_path(folder)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert ids(bring_up(folder)) == ["q"]


async def test_an_index_of_another_version_is_made_again(folder):
    await write_run(folder, [Written("q")])
    bring_up(folder)
    with closing(sqlite3.connect(index_path(folder))) as connection:
        connection.execute("drop table samples")
        connection.execute("pragma user_version = 99")
    assert ids(bring_up(folder)) == ["q"]


async def test_indexes_of_runs_that_are_gone_are_removed(folder, tmp_path):
    await write_run(folder, [Written("q")])
    other = RunFolder(tmp_path / "other")
    await write_run(other, [Written("q")])
    bring_up(folder)
    bring_up(other)
    assert index_path(folder).exists()
    shutil.rmtree(folder.path)
    bring_up(other)
    assert not index_path(folder).exists()
    assert index_path(other).exists()


async def test_an_index_that_cannot_be_kept_is_said_with_what_to_do(folder, tmp_path):
    await write_run(folder, [Written("q")])
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(ViewError, match="can't be kept") as caught:
        Index(folder)
    assert "TESSY_CACHE" in (caught.value.hint or "")


async def test_two_at_once_count_nothing_twice(folder):
    """Two views of one run keep one index."""
    await write_run(folder, [Written(f"s{n}") for n in range(9)])
    with closing(Index(folder)) as one, closing(Index(folder)) as other:
        one.journals.counts(), other.journals.counts()
        assert one.add(9) == 9
        assert one.add_words(9) == 9
        assert other.add(9) == 0
        assert other.add_words(9) == 0
        assert one.counts() == other.counts() == (9, 0)
    assert len(ids(Search(index_path(folder)), Filter(text="okay"))) == 9


async def test_the_journal_is_only_read(folder):
    await write_run(folder, [Written("q")])
    journal = folder.shard(0).journal
    before = journal.read_bytes()
    with closing(Index(folder)) as index:
        index.add(9)
        (reader,) = index.journals.readers().values()
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._connection.execute("delete from samples")
    assert journal.read_bytes() == before


def test_the_order_of_a_text_cannot_be_disguised():
    assert visible("a\u202eb\u2066c\x1b\0") == "a\ufffdb\ufffdc␛␀"
