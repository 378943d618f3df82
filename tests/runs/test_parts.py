"""*Restored*: a shard that is made again from its parts has the rows of the last upload."""

from __future__ import annotations

import asyncio
import gzip
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tessy.data.remote import RemotePath
from tessy.errors import JournalError
from tessy.method.trajectory import DraftKey, Failure, Outcome, Part, Role, Turn
from tessy.runs.folder import RunFolder, ShardFolder
from tessy.runs.journal import Journal
from tessy.runs.parts import (
    START,
    CopyState,
    PartName,
    chain,
    lacking,
    make_part,
    new_writer,
    note_part,
    note_writer,
    parts_of,
)
from tessy.runs.restore import PARTS, parts_at, restore
from tessy.runs.schema import Mark
from written import Written as Sample

TURN = Turn(Role.STUDENT, Part.THINKING, Outcome.CLOSED, kept="so", tokens=1)
FIRST = DraftKey(0, 0)


def rows(journal: Path) -> dict[str, list]:
    """All rows of a journal, but for marks of this copy."""
    if not journal.exists():
        return {}
    with closing(sqlite3.connect(journal)) as connection:
        found = {
            table: sorted(connection.execute(f"select * from {table}"))
            for table in ("samples", "turns", "attempts")
        }
        marks = "select * from marks where name in ('journal', 'identity', 'samples', 'parts')"
        return {**found, "marks": sorted(connection.execute(marks))}


def upload(shard: ShardFolder, there: RemotePath, writer: str) -> PartName | None:
    file = shard.path / "part.sqlite.gz"
    made = make_part(shard.journal, writer, file)
    if made is None:
        return None
    (there / PARTS / str(made.name)).put(file)
    note_part(shard.journal, made)
    return made.name


ACTIONS = ["note", "note", "end", "fail", "checkpoint", "forget"]
ACTIONS += ["upload", "lose", "restart", "unnoted"]
STEPS = st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 4)), max_size=25)


@settings(deadline=None, max_examples=20)
@given(STEPS)
@example([("note", 0), ("upload", 0), ("end", 0), ("upload", 0)])
@example([("fail", 0), ("upload", 0), ("forget", 0), ("note", 0), ("upload", 0), ("lose", 0)])
@example([("note", 0), ("upload", 0), ("fail", 0), ("forget", 0), ("note", 0), ("upload", 0)])
@example([("fail", 0), ("upload", 0), ("forget", 0), ("end", 0), ("upload", 0), ("end", 1)])
@example([("end", 0), ("upload", 0), ("end", 1), ("unnoted", 0), ("end", 2), ("upload", 0)])
@example([("end", 0), ("upload", 0), ("end", 1), ("lose", 0), ("end", 2), ("upload", 0)])
def test_restored_is_what_was_uploaded_last_whatever_happened(tmp_path_factory, steps):
    base = tmp_path_factory.mktemp("shard")
    there = RemotePath((base / "remote").as_uri())
    shard = RunFolder(base / "run").shard(3)
    reader = RunFolder(base / "reader").shard(3)  # is brought up to date now and then
    uploaded: dict[str, list] = {}

    async def work():
        nonlocal uploaded
        ended: dict[int, Failure | None] = {}
        shard.path.mkdir(parents=True)
        writer = new_writer([])
        note_writer(shard.journal, writer)
        journal = Journal(shard)
        await journal.set_mark(Mark.IDENTITY, "this run")
        for action, number in steps:
            name = f"s{number}"
            if action == "note" and number not in ended:
                await journal.resume(name)
                journal.note(name, FIRST, TURN, 1.0, 1)
                await journal.checkpoint()
            elif action in ("end", "fail") and number not in ended:
                failure = Failure.REPETITION if action == "fail" else None
                await journal.end(Sample(name, failure=failure).ending(number))
                ended[number] = failure
            elif action == "forget":
                await journal.write_again([Failure.REPETITION], 99)
                ended = {n: failure for n, failure in ended.items() if failure is None}
            elif action == "upload":
                upload(shard, there, writer)
                uploaded = rows(shard.journal)
                restore(reader, there, parts_at(there))
                assert rows(reader.journal) == uploaded
            elif action == "unnoted":  # killed between an upload and its note
                file = shard.path / "part.sqlite.gz"
                if (made := make_part(shard.journal, writer, file)) is not None:
                    (there / PARTS / str(made.name)).put(file)
                    uploaded = rows(shard.journal)
            if action in ("lose", "restart", "unnoted"):
                await journal.__aexit__(None, None, None)
                before = rows(shard.journal)
                if action == "lose":
                    shutil.rmtree(shard.path)
                parts = parts_at(there)
                restore(shard, there, parts)
                assert rows(shard.journal) == (uploaded if action == "lose" else before)
                writer = new_writer([part.writer for part in parts])
                note_writer(shard.journal, writer)
                journal = Journal(shard)
                await journal.set_mark(Mark.IDENTITY, "this run")
                ended = {
                    row[0]: row[2] and Failure(row[2]) for row in rows(shard.journal)["samples"]
                }
        await journal.__aexit__(None, None, None)

    asyncio.run(work())
    if not uploaded:
        return
    fresh = RunFolder(base / "fresh").shard(3)
    restore(fresh, there, parts_at(there))
    assert rows(fresh.journal) == uploaded
    restore(reader, there, parts_at(there))
    assert rows(reader.journal) == uploaded
    held = []
    for part in parts_at(there):
        plain = base / "plain.sqlite"
        plain.write_bytes(gzip.decompress((there / PARTS / str(part)).read(1 << 30) or b""))
        held += [
            (table, *row[:2], row[-1])
            for table, found in rows(plain).items()
            if table != "marks"
            for row in found
        ]
    assert len(held) == len(set(held)), "a row is in two parts"


def test_a_chain_is_of_the_latest_writer_and_what_it_began_from():
    a, b, c = (f"0000{n}{'abcdef01'}" for n in (1, 2, 3))
    first, second = PartName(1, a, START), PartName(2, a, a)
    stale = [PartName(3, a, a), PartName(4, a, a)]
    taken = [PartName(3, b, a), PartName(4, b, b)]
    assert chain([*stale, first, second], "x") == [first, second, *stale]
    assert chain([*stale, first, *taken, second], "x") == [first, second, *taken]
    assert chain([*stale, first, taken[0], second], "x") == [first, second, taken[0]]
    on = PartName(5, c, a)  # it began while the stale one was ahead
    assert chain([*taken, first, on, *stale, second], "x") == [first, second, *stale, on]
    assert chain([], "x") == []
    with pytest.raises(JournalError, match="x: part 1, of 00001abcdef01, is missing"):
        chain([second], "x")


def test_names_of_parts_are_read_and_others_passed_over():
    part = PartName(17, new_writer(["00004ffffffff", "garbage", ""]), START)
    assert part.epoch == 5
    assert parts_of([str(part), "x.gz", "1-2-3.sqlite.gz", ".tessy-1.part"]) == [part]


def test_what_a_copy_lacks():
    a, b = "00001aaaaaaaa", "00002bbbbbbbb"
    there = [PartName(1, a, START), PartName(2, a, a), PartName(3, b, a)]
    first, second, last = map(str, there)
    assert lacking(there, CopyState(last, b, ahead=True)) == []
    assert lacking(there, CopyState(first)) == there[1:]
    assert lacking(there, CopyState(second, a, ahead=True)) is None, "another process went on"
    assert lacking(there, CopyState(second, a)) == there[2:]
    assert lacking(there[:2], CopyState(first, a, ahead=True)) == [], "killed before it was noted"
    assert lacking(there, CopyState("of a loser", a)) is None
    assert lacking(there, CopyState(None, "00001cccccccc", ahead=True)) is None
    assert lacking([], CopyState(None, a, ahead=True)) == []


@pytest.fixture
def shard(tmp_path) -> tuple[ShardFolder, RemotePath]:
    """A shard with one sample, uploaded."""
    shard = RunFolder(tmp_path / "run").shard(0)
    shard.path.mkdir(parents=True)
    there = RemotePath((tmp_path / "remote").as_uri())

    async def write():
        async with Journal(shard) as journal:
            await journal.set_mark(Mark.IDENTITY, "this run")
            await journal.end(Sample("a").ending(0))

    asyncio.run(write())
    assert upload(shard, there, new_writer([]))
    return shard, there


def hostile(there: RemotePath, change, tmp_path: Path) -> None:
    """Change the only part of a shard."""
    (part,) = parts_at(there)
    file = there / PARTS / str(part)
    plain = tmp_path / "plain.sqlite"
    plain.write_bytes(gzip.decompress(file.read(1 << 30) or b""))
    with closing(sqlite3.connect(plain)) as connection:
        connection.executescript(change)
    file.write(gzip.compress(plain.read_bytes()))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("create view v as select 1", "holds a view 'v', which is not ours"),
        (
            "create trigger t after insert on samples begin delete from samples; end",
            "holds a trigger 't'",
        ),
        ("drop table attempts", "no table 'attempts'"),
        ("pragma user_version = 2", "another version"),
        ("update samples set change = 99", "is not of transactions 1 to 1"),
        ("update samples set change = 'x'", "is not of transactions"),
        ("update samples set id = x'00'", "is not of transactions"),
        ("update marks set value = '7' where name = 'part_since'", "does not go on where"),
        ("update marks set value = 'x' where name = 'part_until'", "can't be read"),
        ("delete from marks where name = 'part_name'", "another part than its name says"),
        ("insert into marks values ('x', x'00')", "its marks can't be read"),
    ],
)
def test_a_hostile_part_is_refused_by_name(shard, tmp_path, change, said):
    _, there = shard
    hostile(there, change, tmp_path)
    new = RunFolder(tmp_path / "new").shard(0)
    with pytest.raises(JournalError) as caught:
        restore(new, there, parts_at(there))
    assert said in str(caught.value)
    assert str(there) in str(caught.value), "the file is named by its URL"
    assert not new.journal.exists(), "nothing of it is used"


def test_a_part_of_another_shard_or_out_of_order_is_refused(shard, tmp_path):
    _, there = shard
    reader = RunFolder(tmp_path / "reader").shard(0)
    restore(reader, there, parts_at(there))
    (part,) = parts_at(there)
    later = PartName(2, part.writer, part.writer)
    file = there / PARTS / str(part)
    (there / PARTS / str(later)).write(file.read(1 << 30) or b"")
    with pytest.raises(JournalError, match="another part than its name says"):
        restore(reader, there, parts_at(there))
    assert len(rows(reader.journal)["samples"]) == 1


def test_a_part_that_is_no_archive_or_cut_short_is_refused(shard, tmp_path):
    _, there = shard
    (part,) = parts_at(there)
    file = there / PARTS / str(part)
    whole = file.read(1 << 30) or b""
    for content in (b"no archive", whole[: len(whole) // 2], gzip.compress(b"x" * 5000)):
        file.write(content)
        with pytest.raises(JournalError, match=r"000001-.*(can't be read|file is not a database)"):
            restore(RunFolder(tmp_path / "new").shard(0), there, parts_at(there))


def test_nothing_new_makes_no_part_and_a_new_mark_does(shard, tmp_path):
    own, there = shard
    file = tmp_path / "part.sqlite.gz"
    assert make_part(own.journal, "00001aaaaaaaa", file) is None
    with closing(sqlite3.connect(own.journal)) as connection:
        connection.execute("insert into marks values ('samples', '7')")
        connection.commit()
    assert upload(own, there, "00002aaaaaaaa")
    new = RunFolder(tmp_path / "new").shard(0)
    restore(new, there, parts_at(there))
    assert rows(new.journal) == rows(own.journal)


def test_two_rows_that_exclude_each_other_are_refused(shard, tmp_path):
    own, there = shard
    reader = RunFolder(tmp_path / "reader").shard(0)
    restore(reader, there, parts_at(there))
    with closing(sqlite3.connect(own.journal)) as connection:
        connection.execute("update samples set change = 2")
        connection.commit()
    assert upload(own, there, parts_at(there)[0].writer)  # the same sample, once more
    with pytest.raises(JournalError, match="UNIQUE constraint failed"):
        restore(reader, there, parts_at(there))
    assert len(rows(reader.journal)["samples"]) == 1
