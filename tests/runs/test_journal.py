"""*Exactly once*: however a run is stopped, every sample ends once, and nothing is lost."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
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
from tessy.runs import database
from tessy.runs.contents import pack
from tessy.runs.database import mode_for
from tessy.runs.folder import RunFolder
from tessy.runs.journal import Journal
from tessy.runs.reader import JournalReader
from tessy.runs.schema import Mark
from tessy.runs.shard_reader import ShardReader
from tessy.runs.written import Ending, Written
from texts import any_text
from written import Written as Sample
from written import journal_of, write_run

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
        journal = journal_of(folder.shard(0))
        for action, number, turn in steps:
            name = f"s{number}"
            if action == "reopen":
                await journal.__aexit__(None, None, None)
                journal = journal_of(folder.shard(0))
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
    async with journal_of(RunFolder(tmp_path).shard(0)) as journal:
        for name in ("s1", "s2"):
            journal.note(name, FIRST, turn, 1.0, 1)
        await journal.checkpoint()
        assert await journal.begun(["s1", "s2", "s3"]) == {"s1", "s2"}
        await journal.end(ending(1))
        assert await journal.begun(["s1", "s2"]) == {"s2"}
        assert (await journal.resume("s2")).turns == {FIRST: [turn]}


async def test_a_record_that_cannot_be_written_is_an_error_and_no_caller_waits_forever(tmp_path):
    bad = Ending(1, "s1", None, {"column": {1: "a key that is no text"}}, {}, 1.0, 1)
    async with journal_of(RunFolder(tmp_path).shard(0)) as journal:
        async with asyncio.timeout(20):
            with pytest.raises(TypeError, match="str"):
                await journal.end(bad)
            await journal.end(ending(2))
        assert await journal.ended(["s1", "s2"]) == {"s2"}


async def test_a_second_end_of_the_same_sample_is_an_error(tmp_path):
    async with journal_of(RunFolder(tmp_path).shard(0)) as journal:
        await journal.end(ending(1))
        with pytest.raises(JournalError, match="UNIQUE"):
            await journal.end(ending(1))
        assert await journal.ended(["s1"]) == {"s1"}
        assert await journal.reasons() == {None: 1}


async def test_many_ends_at_once_share_transactions_and_all_are_there(tmp_path):
    async with journal_of(RunFolder(tmp_path).shard(0)) as journal:
        await asyncio.gather(*(journal.end(ending(n)) for n in range(500)))
        assert len(await journal.ended([f"s{n}" for n in range(600)])) == 500


CHILD = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from runs.test_journal import ending
from tessy.runs.folder import RunFolder
from written import journal_of
async def main():
    journal = journal_of(RunFolder(Path(sys.argv[1])).shard(0))
    for number in range(100000):
        await journal.end(ending(number))
        print(number, flush=True)
asyncio.run(main())
"""


@pytest.mark.parametrize("reported", [1, 17, 60])
def test_what_was_reported_as_finished_is_there_after_kill_9(tmp_path, reported):
    tests = str(Path(__file__).parent.parent)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD.format(tests=tests), str(tmp_path)],
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


async def test_failures_are_written_again_and_stay_until_they_are(tmp_path):
    shard = RunFolder(tmp_path).shard(0)
    async with journal_of(shard) as journal:
        await journal.end(ending(1))
        await journal.end(ending(2, Failure.REPETITION))
        await journal.end(ending(3, Failure.BAD_QUESTION))
        assert not await journal.waiting(9)
        for again in (1, 2):
            await journal.write_again([Failure.REPETITION], 9)
            assert await journal.waiting(9) == {Failure.REPETITION: 1}
            assert await journal.ended(["s1", "s2", "s3"]) == {"s1", "s3"}
            assert list(await journal.positions()) == [1, 3]
            assert await journal.failures(["s1", "s2"]) == {"s2": again}
            turn = Turn(Role.STUDENT, Part.THINKING, Outcome.WENT_ON, kept="a")
            journal.note("s2", FIRST, turn, 1.0, 1)
            await journal.checkpoint()
            assert await journal.begun(["s1", "s2"]) == {"s2"}
            with ShardReader(shard) as reader:
                assert reader.counts() == (3, 0), "it is still as it was"
                assert (reader.running(), reader.unfinished("", 9)) == ([], [])
                assert (reader.waiting_ids(), len(reader.again())) == ({"s2"}, again - 1)
                assert reader.reasons()[Failure.REPETITION] == 1
            await journal.end(ending(2, Failure.REPETITION))
            assert not await journal.waiting(9)
            assert await journal.failures(["s2"]) == {"s2": again}
            assert await journal.ended(["s2"]) == {"s2"}
    async with journal_of(shard) as journal:
        await journal.write_again([Failure.REPETITION], 9)
        await journal.end(ending(2))
        assert (await journal.reasons())[None] == 2


async def test_a_sample_that_is_not_written_again_does_not_end_twice(tmp_path):
    async with journal_of(RunFolder(tmp_path).shard(0)) as journal:
        for number, failure in enumerate((None, Failure.REPETITION)):
            await journal.end(ending(number, failure))
        await journal.write_again([Failure.MARKER], 9)
        for number, failure in enumerate((None, Failure.REPETITION)):
            with pytest.raises(JournalError, match="UNIQUE"):
                await journal.end(ending(number, failure))


async def test_failures_beyond_the_last_question_that_is_used_are_not_written_again(tmp_path):
    async with journal_of(RunFolder(tmp_path).shard(0)) as journal:
        for number in range(4):
            await journal.end(ending(number, Failure.REPETITION))
        await journal.write_again([Failure.REPETITION], 2)
        assert await journal.ended(["s0", "s1", "s2", "s3"]) == {"s2", "s3"}
        assert (await journal.waiting(9)).total() == 2
        assert (await journal.waiting(1)).total() == 1


async def test_turns_that_could_not_be_written_leave_no_gap(tmp_path):
    one, two, three = (
        Turn(Role.STUDENT, Part.THINKING, Outcome.WENT_ON, kept=word) for word in "abc"
    )
    async with journal_of(RunFolder(tmp_path).shard(0)) as journal:
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
    shard = RunFolder(tmp_path).shard(0)
    shard.path.mkdir(parents=True)
    shard.journal.write_text("hello, I am no data base at all, sorry" * 50)
    with pytest.raises(JournalError, match=r"journal\.sqlite"):
        Journal(shard)
    with pytest.raises(JournalError, match="is no run"):
        JournalReader(RunFolder(tmp_path / "nothing"))


@pytest.mark.parametrize("version", [1, 2, 99])
def test_a_journal_of_another_version_is_refused(tmp_path, version):
    shard = RunFolder(tmp_path).shard(0)
    shard.path.mkdir(parents=True)
    with closing(sqlite3.connect(shard.journal)) as connection:
        connection.execute(f"pragma user_version = {version}")
    with pytest.raises(JournalError, match=f"journal {version}, not 3"):
        Journal(shard)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(JournalError, match="unable to open"):
        Journal(RunFolder(tmp_path / "nowhere").shard(0))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["end", "fail", "note", "retry", "uploaded", "reopen"]), st.integers(0, 5)
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=25)
@given(STEPS)
def test_no_number_of_a_transaction_is_used_twice(tmp_path_factory, steps):
    """What is new since any moment are the rows with larger numbers, over restarts too."""
    shard = RunFolder(tmp_path_factory.mktemp("run")).shard(0)
    turn = Turn(Role.STUDENT, Part.THINKING, Outcome.WENT_ON, kept="a")

    def rows() -> dict[tuple[str, ...], int]:
        with closing(sqlite3.connect(shard.journal)) as connection:
            return {
                (table, *map(str, key)): change
                for table, keys in KEYS.items()
                for *key, change in connection.execute(f"select {keys}, change from {table}")
            }

    async def work() -> None:
        journal, last, before, ended = journal_of(shard), 0, {}, {}

        async def reopened() -> Journal:
            await journal.__aexit__()
            again = Journal(shard)
            for number in range(6):
                await again.resume(f"s{number}")
            return again

        for step, (action, number) in enumerate(steps):
            name = f"s{number}"
            match action:
                case "reopen":
                    journal = await reopened()
                case "uploaded":  # by a node that is gone, of which the last rows are lost
                    last += 3
                    await journal.set_mark(Mark.UPLOADED, str(last))
                    journal = await reopened()
                case "retry":
                    await journal.write_again([Failure.REPETITION], 9)
                    ended = {name: failure for name, failure in ended.items() if failure is None}
                case "note" if name not in ended:
                    journal.note(name, FIRST, turn, float(step), 1)
                    await journal.checkpoint()
                case "end" | "fail" if name not in ended:
                    ended[name] = Failure.REPETITION if action == "fail" else None
                    await journal.end(ending(number, ended[name]))
            now = rows()
            for row, change in now.items():
                assert change > last or before.get(row) == change, row
            last, before = max([last, *now.values()]), now
        await journal.__aexit__()

    asyncio.run(work())


KEYS = {"samples": "position, reason", "turns": "id, batch, seconds", "attempts": "id, failed"}


@pytest.mark.parametrize("change", ["'x'", "x'00'", "9223372036854775807", "9e999"])
def test_a_number_of_a_transaction_that_is_none_is_refused(tmp_path, change):
    folder = RunFolder(tmp_path)
    asyncio.run(write_run(folder, [Sample("one")]))
    with closing(sqlite3.connect(folder.shard(0).journal)) as connection:
        connection.execute(f"update samples set change = {change}")
        connection.commit()
    with pytest.raises(JournalError, match="the number of a change"):
        Journal(folder.shard(0))


async def test_a_full_disk_is_an_error_and_loses_nothing_that_was_reported(tmp_path):
    async with journal_of(RunFolder(tmp_path).shard(0)) as journal:
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


MOUNTS = """22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /home rw shared:2 - nfs4 server:/home rw,vers=4.2
31 30 0:41 / /home/me/disk rw - xfs /dev/sdb1 rw
32 22 0:42 / /my\\040data rw - lustre mgs@tcp:/fs rw
33 22 0:43 / /mnt/bucket rw - fuse.s3fs s3fs rw
odd
"""


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("/tmp/run/journal.sqlite", "wal"),
        ("/home/me/run/journal.sqlite", "truncate"),
        ("/home/me/disk/journal.sqlite", "wal"),
        ("/homeless/journal.sqlite", "wal"),
        ("/my data/journal.sqlite", "truncate"),
        ("/mnt/bucket/journal.sqlite", "truncate"),
    ],
)
def test_on_file_systems_of_several_machines_there_is_no_wal(path, mode):
    """All users of a file in WAL mode must be on one machine."""
    assert mode_for(Path(path), MOUNTS) == mode


async def test_a_journal_without_wal_is_read_while_it_is_written(tmp_path, monkeypatch):
    """A reader that takes its time keeps no writer waiting."""
    monkeypatch.setattr("tessy.runs.journal.mode_for", lambda _: "truncate")
    shard = RunFolder(tmp_path).shard(0)
    async with journal_of(shard) as journal:
        for number in range(80):
            await journal.end(Sample(f"q{number}").ending(number))
        assert not shard.journal.with_name("journal.sqlite-wal").exists()
        with JournalReader(RunFolder(tmp_path)) as reader:
            found = reader.ended()
            assert next(found).id == "q0"
            journal.note("late", DraftKey(0, 0), Sample("late").turns()[0], 1.0, 1)
            async with asyncio.timeout(20):
                await journal.end(Sample("q80").ending(80))
                await journal.checkpoint()
            assert [each.id for each in found] == [f"q{number}" for number in range(1, 81)]
            assert reader.running() == ["late"]


async def test_a_file_that_sqlite_removes_meanwhile_is_no_fault(tmp_path, monkeypatch):
    """Another process ends a transaction while this one looks what is beside the journal."""
    await write_run(RunFolder(tmp_path), [Sample("q0")])
    beside = RunFolder(tmp_path).shard(0).journal.with_name("journal.sqlite-journal")
    beside.touch()
    look = database._names_another

    def gone(file):
        file.unlink()
        return look(file)

    monkeypatch.setattr(database, "_names_another", gone)
    with JournalReader(RunFolder(tmp_path)) as reader:
        assert [each.id for each in reader.ended()] == ["q0"]
    assert not beside.exists()
