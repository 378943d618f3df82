"""*Exactly once*: however a run is stopped, every sample ends once, and nothing is lost."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tessy.errors import JournalError
from tessy.method.trajectory import (
    DraftKey,
    Failure,
    Outcome,
    Part,
    Rejection,
    Role,
    Turn,
    UndecidedSpan,
)
from tessy.runs.folder import RunFolder
from tessy.runs.journal import Ending, Journal, Written, pack
from tessy.runs.reader import JournalReader
from texts import any_text
from written import Written as Sample

sizes = st.integers(0, 99)
turns = st.builds(
    Turn,
    role=st.sampled_from(Role),
    part=st.sampled_from(Part),
    outcome=st.sampled_from(Outcome),
    kept=any_text,
    pending=any_text,
    discarded=any_text,
    forced=st.booleans(),
    tokens=st.integers(0, 99),
    pending_tokens=st.integers(0, 99),
    discarded_tokens=st.integers(0, 99),
    ids=st.none() | st.lists(st.integers(0, 2**20), max_size=9).map(tuple),
    asked=st.integers(0, 99),
    confidence=st.none() | st.floats(0, 1),
    tolerated=st.lists(st.tuples(sizes, sizes), max_size=2).map(tuple),
    waits=st.none()
    | st.builds(UndecidedSpan, sizes, sizes, sizes, st.booleans(), st.none() | sizes),
)
keys = st.builds(DraftKey, st.integers(0, 3), st.integers(0, 3))
rejections = st.builds(Rejection, any_text, st.none() | st.sampled_from(Failure))
FIRST = DraftKey(0, 0)


@given(st.dictionaries(keys, st.lists(turns, min_size=1, max_size=3), max_size=3), st.data())
def test_replay_turns_and_rejections_come_back_as_they_were(by_draft, data):
    rejected = {key: data.draw(rejections) for key in by_draft if data.draw(st.booleans())}
    entries = [[*key, *turn] for key, found in by_draft.items() for turn in found]
    entries += [[*key, *rejection] for key, rejection in rejected.items()]
    written = Written()
    written.add(pack(entries))
    assert (written.turns, written.rejections) == (by_draft, rejected)


def ending(number: int, failure: Failure | None = None) -> Ending:
    return Sample(f"s{number}", question="é🤔" * number or "?", failure=failure).ending(number)


ADVANCE = st.lists(
    st.tuples(
        st.sampled_from(["note", "note", "end", "fail", "checkpoint", "reopen"]),
        st.integers(0, 5),
        turns,
    ),
    max_size=30,
)


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ADVANCE)
def test_exactly_once_over_any_order_of_notes_ends_and_restarts(tmp_path_factory, steps):
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    noted: dict[str, list[Turn]] = {}
    ended: dict[str, Failure | None] = {}

    async def work():
        journal = Journal(folder.journal)
        for action, number, turn in steps:
            name = f"s{number}"
            if action == "reopen":
                await journal.__aexit__(None, None, None)
                journal = Journal(folder.journal)
                for unfinished in noted:
                    found = await journal.resume(unfinished)
                    assert found.turns == {FIRST: noted[unfinished]}
            elif action == "checkpoint":
                await journal.checkpoint()
            elif name in ended:
                continue
            elif action == "note":
                journal.note(name, FIRST, turn, 1.0, 1)
                noted.setdefault(name, []).append(turn)
            else:
                failure = Failure.REPETITION if action == "fail" else None
                await journal.end(ending(number, failure))
                ended[name] = failure
                noted.pop(name, None)
        await journal.__aexit__(None, None, None)

    asyncio.run(work())
    with JournalReader(folder) as reader:
        assert {entry.id: entry.failure for entry in reader.ended()} == ended
        assert set(reader.running()) == {name for name, found in noted.items() if found}
        for name, found in noted.items():
            assert reader.written(name).turns == {FIRST: found}
        assert [e.id for e in reader.ended()] == sorted(ended)


async def test_the_turns_of_a_sample_go_when_it_ends(tmp_path):
    turn = Turn(Role.STUDENT, Part.THINKING, Outcome.WENT_ON, kept="a")
    async with Journal(tmp_path / "journal.sqlite") as journal:
        for name in ("s1", "s2"):
            journal.note(name, FIRST, turn, 1.0, 1)
        await journal.checkpoint()
        assert await journal.unfinished() == {"s1", "s2"}
        await journal.end(ending(1))
        assert await journal.unfinished() == {"s2"}
        assert (await journal.resume("s2")).turns == {FIRST: [turn]}


async def test_a_record_that_cannot_be_written_is_an_error_and_no_caller_waits_forever(tmp_path):
    bad = Ending(1, "s1", None, {"column": {1: "a key that is no text"}}, {}, 1.0, 1)
    async with Journal(tmp_path / "journal.sqlite") as journal:
        async with asyncio.timeout(20):
            with pytest.raises(TypeError, match="str"):
                await journal.end(bad)
            await journal.end(ending(2))
        assert await journal.ended() == {"s2": None}


async def test_a_second_end_of_the_same_sample_is_an_error(tmp_path):
    async with Journal(tmp_path / "journal.sqlite") as journal:
        await journal.end(ending(1))
        with pytest.raises(JournalError, match="UNIQUE"):
            await journal.end(ending(1))
        assert await journal.ended() == {"s1": None}


async def test_many_ends_at_once_share_transactions_and_all_are_there(tmp_path):
    async with Journal(tmp_path / "journal.sqlite") as journal:
        await asyncio.gather(*(journal.end(ending(n)) for n in range(500)))
        assert len(await journal.ended()) == 500


CHILD = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from runs.test_journal import ending
from tessy.runs.journal import Journal
async def main():
    journal = Journal(Path(sys.argv[1]))
    for number in range(100000):
        await journal.end(ending(number))
        print(number, flush=True)
asyncio.run(main())
"""


@pytest.mark.parametrize("reported", [1, 17, 60])
def test_what_was_reported_as_finished_is_there_after_kill_9(tmp_path, reported):
    path = tmp_path / "journal.sqlite"
    tests = str(Path(__file__).parent.parent)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD.format(tests=tests), str(path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    last = -1
    for line in child.stdout:
        last = int(line)
        if last >= reported:
            break
    child.kill()
    rest = child.stdout.read().split()
    child.wait()
    last = int(rest[-1]) if rest else last
    with JournalReader(RunFolder(tmp_path)) as reader:
        found = [entry.id for entry in reader.ended()]
    assert len(found) >= last + 1
    assert found == [f"s{n}" for n in range(len(found))]


async def test_failures_can_be_forgotten_but_bad_lines_stay(tmp_path):
    async with Journal(tmp_path / "journal.sqlite") as journal:
        await journal.end(ending(1))
        await journal.end(ending(2, Failure.REPETITION))
        await journal.end(ending(3, Failure.BAD_QUESTION))
        await journal.forget(["s2"])
        assert set(await journal.ended()) == {"s1", "s3"}
        assert await journal.failures() == {"s2": 1}
        await journal.end(ending(2, Failure.REPETITION))
        await journal.forget(["s2"])
        assert await journal.failures() == {"s2": 2}


async def test_turns_that_could_not_be_written_leave_no_gap(tmp_path):
    one, two, three = (
        Turn(Role.STUDENT, Part.THINKING, Outcome.WENT_ON, kept=word) for word in "abc"
    )
    async with Journal(tmp_path / "journal.sqlite") as journal:
        journal.note("s", FIRST, one, 1.0, 1)
        await journal.checkpoint()
        await journal._ask("pragma query_only = on")
        journal.note("s", FIRST, two, 2.0, 2)
        journal.note("over", FIRST, two, 2.0, 2)
        with pytest.raises(JournalError):
            await journal.checkpoint()
        await journal._ask("pragma query_only = off")
        journal.note("s", FIRST, three, 3.0, 3)
    with JournalReader(RunFolder(tmp_path)) as reader:
        assert reader.written("s").turns == {FIRST: [one, two, three]}


def test_a_file_that_is_not_a_journal_is_named(tmp_path):
    (tmp_path / "journal.sqlite").write_text("hello, I am no data base at all, sorry" * 50)
    with pytest.raises(JournalError, match=r"journal\.sqlite"):
        Journal(tmp_path / "journal.sqlite")
    with pytest.raises(JournalError, match="is no run"):
        JournalReader(RunFolder(tmp_path / "nothing"))


@pytest.mark.parametrize("version", [1, 99])
def test_a_journal_of_another_version_is_refused(tmp_path, version):
    path = tmp_path / "journal.sqlite"
    connection = sqlite3.connect(path)
    connection.execute(f"pragma user_version = {version}")
    connection.close()
    with pytest.raises(JournalError, match=f"journal {version}, not 2"):
        Journal(path)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(JournalError, match="unable to open"):
        Journal(tmp_path / "nowhere" / "journal.sqlite")


async def test_exactly_once_two_processes_may_write_to_one_journal(tmp_path):
    """Each writes its own samples; their transactions wait for each other."""
    path = tmp_path / "journal.sqlite"
    async with Journal(path) as one, Journal(path) as other:
        await asyncio.gather(
            *(one.end(ending(n)) for n in range(0, 200, 2)),
            *(other.end(ending(n)) for n in range(1, 200, 2)),
        )
        assert set(await one.ended()) == {f"s{n}" for n in range(200)}
        with pytest.raises(JournalError, match="UNIQUE"):
            await other.end(ending(2))


async def test_a_full_disk_is_an_error_and_loses_nothing_that_was_reported(tmp_path):
    path = tmp_path / "journal.sqlite"
    async with Journal(path) as journal:
        await journal.end(ending(1))
        await journal._ask("pragma max_page_count = 12")  # SQLite then says that the disk is full

        async def write_on():
            for number in range(2, 10_000):
                await journal.end(ending(number))

        with pytest.raises(JournalError, match="full"):
            await write_on()
    with JournalReader(RunFolder(tmp_path)) as reader:
        found = [entry.id for entry in reader.ended()]
    assert found == [f"s{n}" for n in range(1, len(found) + 1)]
