"""Parquet parts of a shard: each finished sample once, in the order of ends, full ones for good."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tessy.errors import JournalError
from tessy.method.trajectory import Failure
from tessy.runs.folder import RunFolder, ShardFolder
from tessy.runs.journal import Journal
from tessy.runs.rows import full_parts, part_files, write_parts
from tessy.runs.schema import Mark
from written import Written as Sample

STEPS = st.lists(
    st.tuples(st.sampled_from(["end", "end", "group", "fail", "write", "stop", "crash"]),
              st.integers(1, 4)),
    max_size=16,
)  # fmt: skip


def found(shard: ShardFolder) -> list[list[str]]:
    return [pq.read_table(path)["id"].to_pylist() for path in part_files(shard)]


@settings(deadline=None, max_examples=15)
@given(STEPS)
@example(
    [("group", 4), ("write", 3), ("end", 1), ("crash", 2), ("stop", 2), ("end", 1), ("stop", 2)]
)
def test_each_finished_sample_is_in_one_part_and_full_ones_stay(tmp_path_factory, steps):
    shard = RunFolder(tmp_path_factory.mktemp("run")).shard(0)
    shard.path.mkdir(parents=True)
    ended: list[str] = []
    full: dict[str, bytes] = {}

    async def work():
        count = 0
        async with Journal(shard) as journal:
            await journal.set_mark(Mark.IDENTITY, "this run")
            for action, number in steps:
                if action in ("end", "group", "fail"):
                    size = number if action == "group" else 1
                    failure = Failure.REPETITION if action == "fail" else None
                    names = [f"s{count + n}" for n in range(size)]
                    places = range(count, count + size)
                    made = zip(names, places, strict=True)
                    await asyncio.gather(  # in one transaction, or two
                        *(journal.end(Sample(n, failure=failure).ending(p)) for n, p in made)
                    )
                    count += size
                    ended.extend(names if failure is None else ())
                    continue
                mark = "select value from marks where name = 'parts'"
                with closing(sqlite3.connect(shard.journal)) as connection:
                    before = connection.execute(mark).fetchone()
                    write_parts(shard, number, rest=action == "stop")
                    if action == "crash":  # before the mark was written
                        connection.execute("delete from marks where name = 'parts'")
                        if before:
                            connection.execute("insert into marks values ('parts', ?)", before)
                        connection.commit()
                        write_parts(shard, number)
                for path in part_files(shard)[: full_parts(shard.journal)]:
                    assert full.setdefault(path.name, path.read_bytes()) == path.read_bytes()

    asyncio.run(work())
    if shard.journal.exists():
        write_parts(shard, 3, rest=True)
    assert [name for part in found(shard) for name in part] == ended


def test_a_mark_that_is_garbage_is_named(tmp_path):
    shard = RunFolder(tmp_path).shard(0)
    shard.path.mkdir(parents=True)

    async def work():
        async with Journal(shard) as journal:
            await journal.end(Sample("a").ending(0))

    asyncio.run(work())
    with closing(sqlite3.connect(shard.journal)) as connection:
        connection.execute("insert into marks values ('parts', '1 x')")
        connection.commit()
    with pytest.raises(JournalError, match="the mark 'parts' can't be read"):
        write_parts(shard, 3)
