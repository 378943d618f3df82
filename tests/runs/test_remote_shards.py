"""A shard at a URL has one writer, and loses nothing that was uploaded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from remote_files import failing
from runs.test_parts import rows
from tessy.data.remote import RemotePath
from tessy.errors import RemoteError, RunLocked
from tessy.method.trajectory import Failure
from tessy.runs import lease
from tessy.runs.folder import RunFolder, ShardFolder
from tessy.runs.journal import Journal
from tessy.runs.keeper import ShardKeeper
from tessy.runs.lease import FILE, LeaseText, LeaseWatch, ShardLease, read_lease, wait_for_lease
from tessy.runs.parts import chain
from tessy.runs.restore import parts_at, restore
from tessy.runs.schema import Mark
from written import Written as Sample

URL = "failing://b/run/shards/0000"
THERE = RemotePath(URL)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(lease, "BEAT_S", 0.01)
    monkeypatch.setattr(lease, "PATIENCE_S", 0.1)
    monkeypatch.setattr("tessy.data.remote._FIRST_WAIT_S", 0.0)


@pytest.fixture
def system() -> Iterator:
    with failing() as found:
        yield found


def shard_of(tmp_path, name: str) -> ShardFolder:
    shard = RunFolder(tmp_path / name).shard(0)
    shard.path.mkdir(parents=True, exist_ok=True)
    return shard


async def write(shard: ShardFolder, *numbers: int, failure: Failure | None = None) -> None:
    async with Journal(shard) as journal:
        await journal.set_mark(Mark.IDENTITY, "this run")
        for number in numbers:
            await journal.end(Sample(f"s{number}", failure=failure).ending(number))


def keeper(shard: ShardFolder, said: list[str] | None = None, **more) -> ShardKeeper:
    more.setdefault("every_s", 3600.0)
    return ShardKeeper(shard, THERE, say=(said if said is not None else []).append, **more)


def ids(tmp_path) -> list[str]:
    """What a reader finds."""
    shard = shard_of(tmp_path, "reader")
    restore(shard, THERE, parts_at(THERE))
    return [row[1] for row in rows(shard.journal).get("samples", [])]


# --- The lease ----------------------------------------------------------------------------------


def test_a_shard_is_free_when_the_number_stood_still_by_this_clock():
    watch = LeaseWatch((), patience_s=30)
    assert watch.is_free(None, 0)
    assert not watch.is_free(LeaseText("a", 7), 1_000_000)  # whatever the other's clock says
    assert not watch.is_free(LeaseText("a", 7), 1_000_029)
    assert not watch.is_free(LeaseText("a", 8), 1_000_029.5)
    assert not watch.is_free(LeaseText("a", 8), 1_000_059)
    assert not watch.is_free(LeaseText("b", 8), 1_000_060)  # a third one was faster
    assert watch.is_free(LeaseText("b", 8), 1_000_090)
    assert LeaseWatch(("a",)).is_free(LeaseText("a", 1), 0), "this machine's own, killed"


def test_what_is_no_lease_is_none():
    for content in (
        None,
        b"",
        b"[]",
        b"{}",
        b'{"writer": 1}',
        b"\xff",
        b'{"writer":"a","count":"x"}',
    ):
        assert LeaseText.parse(content) is None
    assert LeaseText.parse(LeaseText("a", 3).as_json()) == LeaseText("a", 3)


def test_a_newcomer_says_what_it_waits_for_and_takes_over(system):
    ShardLease(THERE, "00001aaaaaaaa").take()
    said, now = [], [0.0]

    def sleep(seconds: float) -> None:
        now[0] += 10
        if now[0] <= 50:
            ShardLease(THERE, "00001aaaaaaaa", _count=int(now[0])).take()

    watch = LeaseWatch((), patience_s=30)
    found = wait_for_lease(THERE, watch, said.append, clock=lambda: now[0], sleep=sleep)
    assert found == LeaseText("00001aaaaaaaa", 51)
    assert now[0] == 80
    assert len(said) == 1
    assert URL in said[0]
    assert "00001aaaaaaaa" in said[0]
    with pytest.raises(RunLocked):
        wait_for_lease(THERE, LeaseWatch(), None)


def test_a_writer_that_finds_another_has_lost(system):
    mine, other = ShardLease(THERE, "00001aaaaaaaa"), ShardLease(THERE, "00002bbbbbbbb")
    mine.take()
    mine.beat()
    other.take()
    with pytest.raises(RunLocked, match="taken by another process"):
        mine.beat()
    assert read_lease(THERE) == LeaseText("00002bbbbbbbb", 1)
    mine.release()
    assert read_lease(THERE) is not None, "only its own is removed"
    other.release()
    assert read_lease(THERE) is None
    with pytest.raises(RunLocked):
        mine.check()  # for good


# --- The keeper ---------------------------------------------------------------------------------


async def test_what_was_written_is_uploaded_at_the_end_and_the_shard_is_free(system, tmp_path):
    shard = shard_of(tmp_path, "a")
    async with keeper(shard):
        await write(shard, 1, 2)
        assert ids(tmp_path) == []
    assert ids(tmp_path) == ["s1", "s2"]
    assert read_lease(THERE) is None
    async with keeper(shard):
        await write(shard, 3)
    assert len(parts_at(THERE)) == 2
    assert ids(tmp_path) == ["s1", "s2", "s3"]
    async with keeper(shard):
        pass
    assert len(parts_at(THERE)) == 2, "nothing new"


async def test_it_is_uploaded_while_it_is_written(system, tmp_path):
    shard = shard_of(tmp_path, "a")
    async with keeper(shard, every_s=0.02), asyncio.timeout(20):
        await write(shard, 1)
        while not parts_at(THERE):
            await asyncio.sleep(0.01)
        assert ids(tmp_path) == ["s1"]


async def test_another_machine_goes_on_from_what_was_uploaded(system, tmp_path):
    first, second = shard_of(tmp_path, "a"), shard_of(tmp_path, "b")
    async with keeper(first):
        await write(first, 1, 2)
    said: list[str] = []
    async with keeper(second, said):
        assert rows(second.journal)["samples"] == rows(first.journal)["samples"]
        await write(second, 3)
    await write(first, 9)  # not uploaded, and the second went on
    async with keeper(first, said):
        assert [row[1] for row in rows(first.journal)["samples"]] == ["s1", "s2", "s3"]
    assert "another process went on with this shard" in said[0]


async def test_a_copy_that_holds_more_than_was_uploaded_is_kept(system, tmp_path):
    shard = shard_of(tmp_path, "a")
    async with keeper(shard):
        await write(shard, 1)
    await write(shard, 2)  # killed before it was uploaded
    ShardLease(THERE, "00001aaaaaaaa").release()
    async with keeper(shard):
        pass
    assert ids(tmp_path) == ["s1", "s2"]


async def test_a_writer_that_was_taken_over_stops_and_uploads_nothing_more(system, tmp_path):
    stale, new = shard_of(tmp_path, "a"), shard_of(tmp_path, "b")

    async def hang() -> None:
        async with keeper(stale) as first:
            await write(stale, 1)
            await first._upload()
            first._tasks[0].cancel()  # it hangs: its number stands still
            async with keeper(new) as second:
                await write(new, 2)
                await write(stale, 3)
                await second._upload()
                await first._upload()
                with pytest.raises(RunLocked):
                    first.check()

    with pytest.raises(RunLocked, match="taken by another process"):
        await asyncio.wait_for(hang(), 20)
    assert ids(tmp_path) == ["s1", "s2"]
    assert {part.epoch for part in parts_at(THERE)} == {1, 2}


async def test_parts_that_a_loser_uploaded_in_a_race_are_never_used(system, tmp_path, monkeypatch):
    stale, new = shard_of(tmp_path, "a"), shard_of(tmp_path, "b")
    first = keeper(stale)
    await first.__aenter__()
    await write(stale, 1)
    await first._upload()
    first._tasks[0].cancel()
    async with keeper(new) as second:
        await write(stale, 3)
        with monkeypatch.context() as patch:  # it looked a moment before the other came
            patch.setattr(ShardLease, "check", lambda _: None)
            await first._upload()
        assert ids(tmp_path) == ["s1", "s3"], "as yet nothing says that it lost"
        await write(new, 2)
        await second._upload()
    await first._stop()
    assert len(parts_at(THERE)) == 3
    assert len(chain(parts_at(THERE), URL)) == 2
    assert ids(tmp_path) == ["s1", "s2"], "also for who had read them"


async def test_uploads_that_fail_are_counted_said_and_made_up_for(system, tmp_path):
    shard, said = shard_of(tmp_path, "a"), []
    system.left = {"/parts/": 2}
    async with keeper(shard, said) as kept:
        await write(shard, 1)
        for _ in range(2):
            await kept._upload(attempts=1)
        assert (kept.failed, kept.pending) == (2, True)
        await write(shard, 2)
    assert not kept.pending
    assert ids(tmp_path) == ["s1", "s2"]
    assert (
        "upload 2 failed, and is tried again: failing://b/run/shards/0000/parts/000001" in said[1]
    )


async def test_a_last_upload_that_fails_keeps_all_here_and_the_lease(system, tmp_path):
    shard = shard_of(tmp_path, "a")
    system.left = {"/parts/": -1}
    async with keeper(shard) as kept:
        await write(shard, 1)
    assert kept.pending
    assert read_lease(THERE) is not None, "others wait, for it did not end well"
    system.left = {}
    async with keeper(shard):  # the same machine need not wait
        pass
    assert ids(tmp_path) == ["s1"]


async def test_who_waits_can_be_stopped(system, tmp_path):
    ShardLease(THERE, "00001aaaaaaaa").take()
    said: list[str] = []
    kept = keeper(shard_of(tmp_path, "a"), said, watch=LeaseWatch(patience_s=3600))
    waiting = asyncio.create_task(kept.__aenter__())
    async with asyncio.timeout(20):
        while not said:
            await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.get_running_loop().shutdown_default_executor()
    assert read_lease(THERE) == LeaseText("00001aaaaaaaa", 1)


async def test_no_rights_is_an_error_before_any_work(system, tmp_path):
    system.left, system.error = {FILE: -1}, PermissionError("Access Denied")
    with pytest.raises(RemoteError, match=r"writer.json: no rights: Access Denied"):
        async with keeper(shard_of(tmp_path, "a")):
            pytest.fail("it began")


async def test_a_journal_of_bad_lines_only_is_uploaded_once_the_run_has_begun(system, tmp_path):
    shard = shard_of(tmp_path, "a")
    async with keeper(shard):
        await write(shard, 0, failure=Failure.BAD_QUESTION)
    assert parts_at(THERE) == []
    async with keeper(shard, everything=True):
        pass
    assert ids(tmp_path) == ["s0"]
