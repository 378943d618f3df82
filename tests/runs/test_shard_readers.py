"""Shards by name; readers of a run with several shards; one data set of all of them."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import commands
from tessy.data.questions import shard_of
from tessy.errors import InputError, JournalError, MissingShards, RunMismatch
from tessy.method.trajectory import Failure, Role
from tessy.runs.dataset import write_dataset
from tessy.runs.folder import RunFolder
from tessy.runs.load import load
from tessy.runs.merge import merge
from tessy.runs.reader import JournalReader
from tessy.runs.schema import Mark
from tessy.runs.shards import ShardNumber, others_write
from tessy.verifiers.protocol import VerdictOutcome
from written import Written, journals_of, write_run

RUN = (
    'method = "tessy"\n[run]\ndate = 2026-01-02\nquestions = "q.jsonl"\ndigest = "d"\nshards = 4\n'
)
SAMPLES = [
    Written(
        f"q{n}",
        student=f"okay {n}, so",
        failure=[None, None, Failure.REPETITION][n % 3],
        seconds=1.0 + n,
    )
    for n in range(12)
]
UNDER_WAY = [Written(f"u{n}", student=f"hm {n}") for n in range(5)]


# --- By name ------------------------------------------------------------------------------------


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n))))
def test_a_shard_is_read_as_it_is_written(pair):
    shard = ShardNumber.parse(f" {pair[0]}/{pair[1]} ")
    assert (shard.number, shard.count) == pair
    assert ShardNumber.parse(str(shard)) == shard


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x", "'x' is not I/N"),
        ("", "is not I/N"),
        ("1", "is not I/N"),
        ("-1/4", "is not I/N"),
        ("1/4/4", "is not I/N"),
        ("1.0/4", "is not I/N"),
        ("٣/٤", "is not I/N"),
        ("9" * 5000 + "/4", "is not I/N"),
        ("4/4", "shard 4/4: there is no such shard"),
        ("0/0", "a run has 1 to 10,000 shards"),
        ("0/10001", "a run has 1 to 10,000 shards"),
    ],
)
def test_what_is_no_shard_is_said(text, says):
    with pytest.raises(InputError, match=says) as error:
        ShardNumber.parse(text)
    assert "0/" in error.value.hint


@given(st.text(max_size=20), st.integers(1, 64))
def test_exactly_once_a_question_belongs_to_one_shard_for_ever(question_id, shards):
    assert 0 <= shard_of(question_id, shards) < shards
    assert [shard_of(f"q{n}", 8) for n in range(8)] == [5, 0, 2, 1, 4, 0, 3, 2]


def test_shards_that_others_write(tmp_path):
    run = RunFolder(tmp_path)
    assert not others_write(run, 0)
    with run.shard(1).locked():
        assert others_write(run, 0)
        assert not others_write(run, 1)
    assert not others_write(run, 0)


# --- Readers ------------------------------------------------------------------------------------


async def write(folder, *, shards: int, ended=SAMPLES, under_way=UNDER_WAY) -> RunFolder:
    run = RunFolder(folder)
    await write_run(run, ended, under_way, shards=shards)
    run.settings.write_text(RUN.replace("4", str(shards)))
    return run


def everything(run: RunFolder) -> dict:
    """What a run's readers return, in order."""
    with JournalReader(run) as reader:
        return {
            "ended": list(reader.ended()),
            "failed": list(reader.ended(failed=True)),
            "records": list(reader.records()),
            "lines": [list(reader.lines(failed=failed)) for failed in (False, True)],
            "listed": list(reader.listed()),
            "reasons": reader.reasons(),
            "totals": reader.totals(),
            "ids": [reader.ids(limit) for limit in (-1, 0, 5)],
            "pages": [reader.unfinished(limit=2, offset=start) for start in range(0, 8, 2)],
            "filtered": reader.unfinished("u1", limit=9),
            "running": reader.running(),
            "samples": [reader.ended_sample(name) for name in ("q0", "q7", "u0", "none")],
            "written": [reader.written(name) for name in ("q0", "u0", "u3", "none")],
        }


samples = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=12)


@settings(max_examples=15)
@given(samples, st.integers(1, 9))
async def test_readers_find_the_same_in_any_number_of_shards(tmp_path_factory, drawn, shards):
    made = [
        Written(f"q{n}", failure=Failure.MARKER if failed else None)
        for n, (_, failed) in enumerate(drawn)
    ]
    ended = [sample for sample, (over, _) in zip(made, drawn, strict=True) if over]
    under_way = [sample for sample, (over, _) in zip(made, drawn, strict=True) if not over]
    folder = tmp_path_factory.mktemp("run")
    one = await write(folder / "one", shards=1, ended=ended, under_way=under_way)
    several = await write(folder / "several", shards=shards, ended=ended, under_way=under_way)
    assert everything(one) == everything(several)


ends = st.tuples(
    st.none() | st.sampled_from(Failure),
    st.none() | st.sampled_from(VerdictOutcome),
    st.none() | st.sampled_from(["code", "sums"]),
    st.integers(0, 9),
)


@settings(max_examples=15)
@given(st.lists(ends, max_size=9), st.integers(1, 3))
async def test_what_samples_come_to_is_what_their_records_say(tmp_path_factory, drawn, shards):
    made = [
        Written(f"q{n}", failure=failure, outcome=outcome, teacher_name=name, teacher_tokens=tokens)
        for n, (failure, outcome, name, tokens) in enumerate(drawn)
    ]
    run = await write(tmp_path_factory.mktemp("run"), shards=shards, ended=made)
    with JournalReader(run) as reader:
        found, samples = reader.totals(), list(reader.ended())
    finished = [sample.record for sample in samples if sample.failure is None]
    stats = [record["stats"] for record in finished]
    assert found.finished == len(finished)
    assert found.failed == Counter(s.failure for s in samples if s.failure is not None)
    assert found.verdicts == Counter(r["verdict"]["outcome"] for r in finished if "verdict" in r)
    teachers = [record["models"].get("teacher_name") for record in finished]
    assert found.teachers == Counter(name for name in teachers if name is not None)
    for role in Role:
        assert found.tokens.kept[role] == sum(each[f"{role}_tokens"] for each in stats)
        lost = sum(each[f"{role}_discarded_tokens"] for each in stats)
        assert found.tokens.discarded[role] == lost
    assert found.tokens.requests == sum(s.requests for s in samples if s.failure is None)
    of_failed = [sample.record["stats"] for sample in samples if sample.failure is not None]
    kinds = [f"{role}{kind}_tokens" for role in Role for kind in ("", "_discarded")]
    assert found.lost == sum(each[kind] for each in of_failed for kind in kinds)


COMMANDS = [
    ["show", "RUN"],
    ["show", "RUN", "q7", "--discarded"],
    ["show", "RUN", "u3"],
    ["report", "RUN", "--words", "--bootstrap-samples", "0", "--json", "OUT/report.json"],
    ["export", "RUN", "--to", "trl", "--out", "OUT/export", "--quiet"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
async def test_commands_say_the_same_of_a_run_of_several_shards_that_goes_on(tmp_path, command):
    """All journals are open for writing, as while the run goes on."""
    seen = []
    for shards in (1, 4):
        place = tmp_path / f"{shards}"
        run = await write(place / "run", shards=shards)
        async with journals_of(run, shards):
            places = {"RUN": str(run.path), "OUT": str(place)}
            done = await commands.tessy(
                *(places.get(word, word.replace("OUT", str(place))) for word in command)
            )
        assert done.code == 0, done.err
        files = {
            str(path.relative_to(place)): path.read_bytes().replace(bytes(place), b"HERE")
            for path in sorted(place.rglob("*"))
            if path.is_file() and "run/" not in str(path.relative_to(place))
        }
        seen.append((done.out.replace(str(place), "HERE"), files))
    assert seen[0] == seen[1]
    assert seen[0][0] or seen[0][1]


async def test_load_reads_all_shards(tmp_path):
    one, four = [await write(tmp_path / str(n), shards=n) for n in (1, 4)]
    assert list(load(one.path).records()) == list(load(four.path).records())
    assert list(load(one.path).failures()) == list(load(four.path).failures())
    assert load(one.path).counts() == load(four.path).counts()


@pytest.mark.parametrize("content", [b"", None])
async def test_a_shard_that_is_only_just_begun_holds_nothing(tmp_path, content):
    """Readers of a run that begins do not fail."""
    run = await write(tmp_path, shards=4)
    before = everything(run)
    other = run.shard(2)
    held = other.journal.read_bytes()
    shutil.rmtree(other.path)
    without = everything(run)
    assert without != before
    other.path.mkdir()
    if content is not None:
        other.journal.write_bytes(content)
    assert everything(run) == without
    other.journal.write_bytes(held)
    assert everything(run) == before


# --- Merging ------------------------------------------------------------------------------------


async def complete(folder, shards: int = 4) -> RunFolder:
    """A run all of whose shards say that they are complete."""
    run = await write(folder, shards=shards, under_way=[])
    identity = run.run_toml.identity()
    async with journals_of(run, shards) as journals:
        for journal in journals.all:
            count = sum((await journal.reasons()).values())
            await journal.set_mark(Mark.IDENTITY, identity)
            await journal.set_mark(Mark.SAMPLES, str(count))
    return run


async def test_what_a_run_lacks_is_said(tmp_path):
    whole, run = await complete(tmp_path / "whole", 2), await complete(tmp_path / "run", 4)
    with JournalReader(whole) as reader:
        assert reader.lacking() is None
    async with journals_of(run, 4) as journals:
        await journals.all[2].set_mark(Mark.SAMPLES, "9")
    with JournalReader(run) as reader:
        ended, left = reader.reasons().total(), 9 - reader._shards[2].counts()[0]
        have = "has" if left == 1 else "have"
        assert reader.lacking() == f"{left} of {ended + left} samples {have} not ended"
    shutil.rmtree(run.shard(1).path)
    with JournalReader(run) as reader:
        assert reader.lacking() == "1 of 4 shards was not started"


async def test_merged_shards_are_the_bytes_of_one(tmp_path):
    one, four = [await complete(tmp_path / str(n), n) for n in (1, 4)]
    write_dataset(one)
    made = merge(four.path)
    assert (made.finished, made.failed, made.shards, made.count) == (
        8,
        {Failure.REPETITION: 4},
        4,
        4,
    )
    assert four.dataset.read_bytes() == one.dataset.read_bytes()
    assert four.failures.read_bytes() == one.failures.read_bytes()
    done = commands.run("merge", four.path)
    assert done.out == f"12 samples = 8 finished + 4 failed, from 4 shards: {four.dataset}\n"


async def test_missing_and_incomplete_shards_are_named_and_merged_on_request(tmp_path):
    run = await complete(tmp_path)
    shutil.rmtree(run.shard(1).path)
    async with journals_of(run, 3) as journals:  # which begins shard 1 again, and marks nothing
        await journals.all[2].set_mark(Mark.SAMPLES, "7")
    run.shard(1).journal.unlink()
    done = commands.run("merge", run.path)
    assert done.code == 1
    assert "2 of 4 shards are not complete:" in done.err
    assert "shard 1 was not started" in done.err
    assert "of 7 samples have not ended" in done.err
    assert "--partial" in done.err
    assert not run.dataset.exists()
    done = commands.run("merge", run.path, "--partial")
    assert done.code == 0, done.err
    assert "from 3 of 4 shards" in done.out
    assert 0 < run.dataset.read_bytes().count(b"\n") < 8


async def test_a_merge_does_not_overwrite_what_the_shards_lost(tmp_path):
    run = await complete(tmp_path)
    merge(run.path)
    before = run.dataset.read_bytes()
    shutil.rmtree(run.shard(2).path)
    with pytest.raises(MissingShards, match="1 of 4 shards"):
        merge(run.path)
    with pytest.raises(RunMismatch, match="has 8 samples, but the journals hold"):
        merge(run.path, partial=True)
    assert run.dataset.read_bytes() == before


async def test_shards_of_another_run_are_not_merged(tmp_path):
    run = await complete(tmp_path / "run")
    run.settings.write_text(RUN.replace('"d"', '"e"'))
    with pytest.raises(RunMismatch, match="other settings or other questions"):
        merge(run.path)


def test_where_there_is_no_run_nothing_is_merged(tmp_path):
    with pytest.raises(JournalError, match="is no run: it has no shards"):
        merge(tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_a_count_of_samples_that_is_none_is_said(tmp_path):
    run = await complete(tmp_path)
    with closing(sqlite3.connect(run.shard(1).journal)) as connection:
        connection.execute("update marks set value = 'many' where name = 'samples'")
        connection.commit()
    with pytest.raises(
        JournalError, match=r"0001/journal\.sqlite: how many samples it has is 'man"
    ):
        merge(run.path)


async def test_a_run_of_more_shards_than_open_files_are_usual(tmp_path):
    """Each journal takes three open files, and 1,024 are usual."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
    try:
        first = await write(tmp_path / "run", shards=1)
        first.settings.write_text(RUN.replace("4", "60"))
        for number in range(1, 60):
            shutil.copytree(first.shard(0).path, first.shard(number).path)
            with closing(sqlite3.connect(first.shard(number).journal)) as connection:
                connection.execute("delete from samples")
                connection.commit()
        with JournalReader(first) as reader:
            assert len(list(reader.ended())) == 12
        assert len(list(Path("/proc/self/fd").iterdir())) < 100
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
