"""A folder that is moved, replaced or deleted while its run goes on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tessy.errors import JournalError
from tessy.method.trajectory import DraftKey
from tessy.runs.folder import RunFolder
from tessy.runs.journal import Journal
from tessy.runs.reader import JournalReader
from written import Written, journal_of, write_run

FIRST = DraftKey(0, 0)


async def move(how: str, run: Path) -> Path:
    """Move a run's folder; returns where it is, or would be."""
    moved = run.with_name("moved")
    match how:
        case "moved":
            run.rename(moved)
        case "replaced":
            run.rename(moved)
            await write_run(RunFolder(run), [Written("of another run")])
        case "deleted":
            shutil.rmtree(run)
    return moved


@pytest.mark.parametrize("how", ["moved", "replaced", "deleted"])
@pytest.mark.parametrize("writes", ["end", "note", "nothing"])
async def test_the_journal_notices(tmp_path, how, writes):
    run = RunFolder(tmp_path / "run")
    journal = journal_of(run.shard(0))
    await journal.end(Written("one").ending(0))
    moved = await move(how, run.path)
    if writes == "end":
        with pytest.raises(JournalError, match="moved, replaced or deleted") as error:
            await journal.end(Written("two").ending(1))
        assert "new path as --out" in error.value.hint
        assert "if it was deleted, the same command begins again" in error.value.hint
    elif writes == "note":
        journal.note("two", FIRST, Written("two").turns()[0], 1.0, 1)
    with pytest.raises(JournalError, match="moved, replaced or deleted"):
        await journal.checkpoint()
    with pytest.raises(JournalError, match="moved, replaced or deleted"):
        await journal.__aexit__()
    if how != "deleted":
        with JournalReader(RunFolder(moved)) as reader:
            assert [each.id for each in reader.ended()] == ["one"]
    if how == "replaced":  # SQLite must not take the other run's files for its own
        with JournalReader(run) as reader:
            assert [each.id for each in reader.ended()] == ["of another run"]
    else:
        assert not run.path.exists()


async def test_a_link_left_in_its_place_is_the_same_folder(tmp_path):
    run = RunFolder(tmp_path / "run")
    async with journal_of(run.shard(0)) as journal:
        run.path.rename(tmp_path / "moved")
        run.path.symlink_to("moved")
        await journal.end(Written("one").ending(0))
    with JournalReader(RunFolder(tmp_path / "moved")) as reader:
        assert [each.id for each in reader.ended()] == ["one"]


def test_a_journal_that_has_to_be_there_is_not_created(tmp_path):
    shard = RunFolder(tmp_path).shard(0)
    shard.path.mkdir(parents=True)
    with pytest.raises(JournalError, match="moved, replaced or deleted"):
        Journal(shard, create=False)
    assert list(shard.path.iterdir()) == []
