"""Commands that read data sets read a run from its journals: all shards, while it is active."""

from __future__ import annotations

import pytest

from commands import tessy
from tessy.data.rows import rows
from tessy.errors import DataError
from tessy.method.trajectory import Failure
from tessy.runs.dataset import write_dataset
from tessy.runs.folder import RunFolder
from tessy.runs.records import lacking_in, rows_of
from tessy.runs.schema import Mark
from tessy.training.dataset import digest_of, read_rows
from tessy.verifiers.responses import read_responses
from written import Written, journals_of, write_run

SAMPLES = [
    Written(f"q{n}", failure=Failure.REPETITION if n == 2 else None, extra={"answer": n})
    for n in range(7)
]


async def test_the_records_of_all_shards_are_rows_in_the_order_of_the_questions(tmp_path):
    run = RunFolder(tmp_path / "run")
    await write_run(run, SAMPLES, [Written("late")], shards=3)
    assert not run.dataset.exists()
    found = [row for _, row in rows_of(run.path, what="samples")]
    assert [row["id"] for row in found] == [f"q{n}" for n in range(7) if n != 2]
    assert [row for _, row in read_rows(run.path)] == found
    assert [each.id for each in read_responses(run.path)] == [row["id"] for row in found]


async def test_they_are_the_rows_of_its_data_set(tmp_path):
    """A training that was begun with one goes on with the other."""
    run = RunFolder(tmp_path / "run")
    await write_run(run, SAMPLES, shards=2)
    write_dataset(run)
    from_journals, from_file = rows_of(run.path, what="x"), rows(run.dataset, what="x")
    assert [row for _, row in from_journals] == [row for _, row in from_file]
    assert digest_of(run.path) == digest_of(run.dataset)


async def test_verify_names_what_the_run_itself_rejected(tmp_path):
    run = RunFolder(tmp_path / "run")
    rejected = Written("wrong", failure=Failure.REJECTED)
    await write_run(run, [*SAMPLES, rejected])
    done = await tessy("verify", run.path, "--with", "exact")
    said = "not verified: 2 failed samples of the run, 1 of them rejected by its own verifier"
    assert said in done.out


async def test_verify_leaves_out_what_a_run_left_unverified(tmp_path):
    run = RunFolder(tmp_path / "run")
    await write_run(run, [*SAMPLES, Written("free")])
    done = await tessy("verify", run.path, "--with", "exact")
    assert done.code == 0, done.err
    assert "skipped: 1, which can't be verified and are not in the table" in done.out
    write_dataset(run)
    refused = await tessy("verify", run.dataset, "--with", "exact")
    assert "1 of 7 can't be verified; nothing was started" in refused.err
    await write_run(RunFolder(tmp_path / "none"), [Written("free")])
    none = await tessy("verify", tmp_path / "none", "--with", "exact")
    assert "1 of 1 can't be verified; nothing was started" in none.err


async def test_verify_says_that_a_run_is_not_complete(tmp_path):
    run = RunFolder(tmp_path / "run")
    await write_run(run, SAMPLES)
    whole = await tessy("verify", run.path, "--with", "exact")
    assert "not complete" not in whole.out
    async with journals_of(run) as journals:
        await journals.all[0].set_mark(Mark.SAMPLES, "9")
    part = await tessy("verify", run.path, "--with", "exact")
    assert f"{run.path} is not complete: 2 of 9 samples have not ended\n" in part.out


async def test_a_data_set_that_is_older_than_its_run_is_said_to_be_so(tmp_path):
    run = RunFolder(tmp_path / "run")
    await write_run(run, SAMPLES[:4])
    write_dataset(run)
    assert lacking_in(run.dataset) is None
    async with journals_of(run) as journals:  # and then it was killed
        for position in range(4, len(SAMPLES)):
            await journals.all[0].end(SAMPLES[position].ending(position))
    behind = f"3 of 6 samples that {run.path} has are missing"
    assert lacking_in(run.dataset) == behind
    assert lacking_in(run.path) is None
    verified = await tessy("verify", run.dataset, "--with", "exact")
    assert f"{run.dataset} is not complete: {behind}\n" in verified.out
    exported = await tessy("export", run.dataset, "--to", "trl", "--out", tmp_path / "data")
    assert f"dataset.jsonl is not complete: {behind}" in exported.err
    run.dataset.write_bytes(run.dataset.read_bytes().partition(b"\n")[0])
    assert lacking_in(run.dataset) is None, "somebody left out what is missing"


async def test_a_run_without_its_data_set_is_verified_too(tmp_path):
    run = RunFolder(tmp_path / "run")
    await write_run(run, SAMPLES)
    (run.path / "run.toml").write_text("")
    done = await tessy("verify", run.path, "--with", "exact", "--out", tmp_path / "verdicts.jsonl")
    assert done.code == 0, done.err
    assert "not verified: 1 failed sample of the run\n" in done.out
    write_dataset(run)
    refused = await tessy("verify", run.path, "--with", "exact", "--out", run.dataset)
    assert refused.code == 2
    assert f"--out {run.dataset}" in refused.err


async def test_a_data_set_is_read_as_ever(tmp_path):
    run = RunFolder(tmp_path / "run")
    await write_run(run, SAMPLES, shards=2)
    write_dataset(run)
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "dataset.jsonl").write_bytes(run.dataset.read_bytes())
    assert len(list(rows_of(alone, what="samples"))) == 6
    with pytest.raises(DataError, match="no such file"):
        list(rows_of(tmp_path / "none.jsonl", what="samples"))
