"""A data set that somebody changed: it is noticed, kept, and never taken for what was written."""

from __future__ import annotations

import asyncio
import os
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands import tessy
from tessy import lab
from tessy.errors import DataError, JournalError, RunMismatch
from tessy.runs.dataset import write_dataset, write_part
from tessy.runs.edits import is_changed, write_lines
from tessy.runs.folder import RunFolder
from tessy.runs.records import rows_of
from tessy.runs.rows import write_ordered
from written import Written, write_run

SAMPLES = [Written(f"q{n}") for n in range(4)]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A run whose data set is as it was written."""
    run = RunFolder(tmp_path_factory.mktemp("run"))
    asyncio.run(write_run(run, SAMPLES, shards=2))
    assert write_dataset(run) is None
    return run


@pytest.fixture
def run(written, tmp_path):
    """A copy, whose files have other times."""
    shutil.copytree(written.path, tmp_path / "run", copy_function=shutil.copyfile)
    return RunFolder(tmp_path / "run")


@given(data=st.data())
def test_every_change_of_the_text_is_noticed(written, tmp_path_factory, data):
    whole = written.dataset.read_bytes()
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 3)))
    made = whole[:start] + data.draw(st.binary(max_size=3)) + whole[end:]
    copy = RunFolder(tmp_path_factory.mktemp("copy"))
    shutil.copytree(written.path, copy.path, copy_function=shutil.copyfile, dirs_exist_ok=True)
    copy.dataset.write_bytes(made)
    assert is_changed(copy) == (made != whole)


def test_a_copy_a_missing_one_and_a_rewritten_one_are_no_change(run):
    assert not is_changed(run)
    os.utime(run.dataset, ns=(1, 1))
    assert not is_changed(run)
    run.dataset.unlink()
    assert not is_changed(run)
    assert write_dataset(run) is None
    assert not is_changed(run)
    run.versions.unlink()  # as a run of an older version
    run.dataset.write_text("mine\n")
    assert not is_changed(run)


@pytest.mark.parametrize("content", [b"", b"{", b"[[1]]", b"[null]", b"3", b'[["a", "b", "c"]]'])
def test_broken_versions_are_none(run, content):
    run.versions.write_bytes(content)
    assert write_dataset(run) is None
    assert not is_changed(run)


def test_a_crash_between_the_versions_and_the_data_set_is_no_change(run):
    """The new version is known before it has its name, and the old one still is."""
    old = run.dataset.read_bytes()
    write_lines(run, [b"new\n"])
    assert not is_changed(run)
    run.dataset.write_bytes(old)
    assert not is_changed(run)


@pytest.mark.parametrize("command", ["export", "sft", "verify"])
async def test_commands_that_would_not_see_the_changes_say_so(run, tmp_path, command):
    changed = run.dataset.read_bytes().splitlines(keepends=True)[1:]
    run.dataset.write_bytes(b"".join(changed))
    model = lab.folder("student")
    options = {
        "export": ["--to", "trl", "--out", tmp_path / "out"],
        "sft": ["--model", model, "--out", tmp_path / "out"],
        "verify": ["--with", "exact"],
    }[command]
    done = await tessy(command, run.path, *options)
    assert done.code == 2
    assert f"{run.dataset} was changed since it was written" in done.err
    assert f"to use the changed file, name it: {run.dataset}" in done.err
    assert run.dataset.read_bytes() == b"".join(changed)
    assert not [*(tmp_path / "out").glob("*.*")]
    assert [row["id"] for _, row in rows_of(run.dataset, what="x")] == ["q1", "q2", "q3"]


def written_again(run, rows):
    return write_dataset(run) if rows is None else write_ordered(run, rows)[0]


@pytest.mark.parametrize("rows", [None, 2])
def test_what_was_changed_is_kept_when_it_is_written_again(run, rows):
    for number, text in enumerate(("mine\n", "mine again\n"), 1):
        if rows is None or number == 1:
            run.dataset.write_text(text)
            kept = written_again(run, rows)
            assert kept == run.path / f"dataset.edited-{number}.jsonl"
            assert kept.read_text() == text
    assert written_again(run, rows) is None
    assert len(list(rows_of(run.path, what="x"))) == 4


def test_lines_that_somebody_added_are_no_samples_that_were_lost(run):
    run.refuse_lost_journal(4)
    with run.dataset.open("ab") as file:
        file.write(run.dataset.read_bytes().splitlines()[0] + b"\n")
    run.refuse_lost_journal(4)
    kept = write_dataset(run)
    assert kept is not None
    assert len(kept.read_bytes().splitlines()) == 5
    assert len(run.dataset.read_bytes().splitlines()) == 4
    with pytest.raises(RunMismatch, match="has 4 samples, but the journals hold 3"):
        run.refuse_lost_journal(3)
    with run.dataset.open("ab") as file:
        file.write(b"{}\n")
    shutil.rmtree(run.path / "shards")
    with pytest.raises(RunMismatch, match="has 5 samples, but no journal is there"):
        run.refuse_lost_journal()


def test_a_journal_that_cannot_be_read_moves_nothing(run):
    run.dataset.write_text("mine\n")

    def broken():
        yield b"{}\n"
        raise JournalError("it can't be read")

    with pytest.raises(JournalError):
        write_lines(run, broken())
    assert run.dataset.read_text() == "mine\n"
    assert is_changed(run)


def test_the_part_of_a_shard_is_kept_too(run):
    shard = run.shard(1)
    assert write_part(shard) is None
    shard.dataset.write_text("mine\n")
    kept = write_part(shard)
    assert kept is not None
    assert kept.read_text() == "mine\n"
    run.dataset.write_text("mine\n")
    with pytest.raises(DataError, match="was changed"):
        next(rows_of(run.path, what="x"))
