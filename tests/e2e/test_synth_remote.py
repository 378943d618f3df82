"""Runs at URLs, as users meet them: `--out URL`, and all commands that read such a run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import tomllib
from pathlib import Path

import fsspec
import pytest

import tessy as package
from commands import run as command
from commands import start, tessy
from remote_files import failing
from scripted import FIXED, lines, two_servers, until, write_questions
from tessy.runs.folder import RunFolder
from tessy.runs.reader import JournalReader
from tessy.runs.remote import reading
from tessy.testing import Latency

RUN = "memory://bucket/run"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TESSY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("tessy.data.remote._FIRST_WAIT_S", 0.0)
    return tmp_path / "cache"


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


def names(memory) -> list[str]:
    return sorted(path.removeprefix("/bucket/run/") for path in memory.find("/bucket/run"))


def ids(content: bytes) -> list[str]:
    return [json.loads(line)["id"] for line in content.splitlines()]


async def test_a_run_at_a_url_is_one_of_a_folder(tmp_path, memory, cache):
    questions = write_questions(tmp_path / "q.jsonl", 8)
    memory.pipe_file("/bucket/q.jsonl", questions.read_bytes())
    async with two_servers(None) as (servers, options):
        here = await tessy("synth", questions, "--out", tmp_path / "run", *options)
        assert here.code == 0, here.err
        options = [*options, "--shards", "3"]
        done = await tessy("synth", "memory://bucket/q.jsonl", "--out", RUN, *options)
        assert done.code == 0, done.err
        assert f"{RUN}/dataset.jsonl" in done.err
        assert "is lost with it" in done.err
        assert (
            memory.cat_file("/bucket/run/dataset.jsonl")
            == (tmp_path / "run/dataset.jsonl").read_bytes()
        )
        run = tomllib.loads(memory.cat_file("/bucket/run/run.toml").decode())["run"]
        assert (run["questions"], run["shards"]) == ("memory://bucket/q.jsonl", 3)
        there = names(memory)
        assert not [name for name in there if name.endswith("writer.json")], "a clean end"
        assert sum("/parts/" in name for name in there) == 3, "each journal once"
        asked = servers["student"].stats.requests
        shutil.rmtree(cache)  # another machine
        again = await tessy("synth", questions, "--out", RUN, *options)
        assert again.code == 0, again.err
        assert servers["student"].stats.requests == asked
        assert names(memory) == there, "nothing was uploaded again"
        other = await tessy("synth", questions, "--out", RUN, *options, "--seed", "7")
        assert other.code == 2
        assert f"{RUN} holds a run with other settings" in other.err, "not its copy"
        assert "seed: 0 then, 7 now" in other.err
    readers_read_it(tmp_path, memory)


def readers_read_it(tmp_path: Path, memory) -> None:
    shown = command("show", RUN)
    assert shown.out.splitlines()[0] == "q0  finished"
    assert command("show", RUN, "q3").code == 0
    assert command("merge", RUN).out.endswith(f"from 3 shards: {RUN}/dataset.jsonl\n")
    reported = command("report", RUN, "--words", "--json", "memory://bucket/report.json")
    assert reported.code == 0, reported.err
    assert memory.exists("/bucket/run/report.html")
    assert memory.exists("/bucket/report.json")
    exported = command("export", RUN, "--to", "trl", "--out", "memory://bucket/trl")
    assert exported.code == 0, exported.err
    assert len(memory.cat_file("/bucket/trl/train.jsonl").splitlines()) == 8
    twice = command("export", RUN, "--to", "trl", "--out", "memory://bucket/trl")
    assert "holds an export already" in twice.err
    loaded = package.load(RUN)
    assert [record["id"] for record in loaded.records()] == [f"q{n}" for n in range(8)]
    verdicts = ("--out", "memory://bucket/verdicts.jsonl")
    verified = command("verify", RUN, "--with", "exact:id", "--skip-bad", *verdicts)
    assert "responses" in verified.out, verified.err
    assert memory.exists("/bucket/verdicts.jsonl")


async def test_shards_of_two_machines_are_merged(tmp_path, memory, cache, monkeypatch):
    questions = write_questions(tmp_path / "q.jsonl", 10)
    async with two_servers(None) as (_, options):
        options += FIXED
        await tessy("synth", questions, "--out", tmp_path / "run", *options)
        for shard in range(2):
            monkeypatch.setenv("TESSY_CACHE", str(cache / str(shard)))
            early = await asyncio.to_thread(command, "merge", RUN)
            assert early.code != 0
            said = "is no run" if shard == 0 else "shard 1 was not started"
            assert said in early.err
            more = ("--shard", f"{shard}/2", "--workers", "2")
            done = await tessy("synth", questions, "--out", RUN, *options, *more)
            assert done.code == 0, done.err
            assert "workers = 2 is not used" in done.err
    assert command("merge", RUN).code == 0
    expected = (tmp_path / "run/dataset.jsonl").read_bytes()
    assert memory.cat_file("/bucket/run/dataset.jsonl") == expected
    parts = [ids(memory.cat_file(f"/bucket/run/shards/000{n}/dataset.jsonl")) for n in range(2)]
    assert sorted(parts[0] + parts[1]) == sorted(f"q{n}" for n in range(10))


async def test_a_killed_run_goes_on_on_another_machine(tmp_path, cache, monkeypatch):
    monkeypatch.setattr("tessy.runs.lease.PATIENCE_S", 1.0)  # of the second start
    questions = write_questions(tmp_path / "q.jsonl", 12)
    url = (tmp_path / "remote/run").as_uri()
    slow = Latency(first_token_s=0.02, token_s=0.001)
    async with two_servers(None, latency=slow) as (_, options):
        args = ["synth", questions, "--out", url, *options, "--concurrency", "3", "--shards", "2"]
        args += ["--upload-s", "1", "--workers", "2"]
        process = await start(*args, TESSY_CACHE=str(cache / "a"))

        def uploaded() -> bool:
            with contextlib.suppress(package.TessyError, OSError):
                return bool(list(package.load(url).records()))
            return False

        await until(uploaded)
        process.kill()
        await process.wait()
        before = {record["id"] for record in package.load(url).records()}
        done = await tessy(*args, TESSY_CACHE=str(cache / "b"))
        assert done.code == 0, done.err
    records = lines(tmp_path / "remote/run/dataset.jsonl")
    assert [record["id"] for record in records] == [f"q{n}" for n in range(12)]
    assert before <= {record["id"] for record in records}


async def test_a_last_upload_that_fails_is_an_error_and_loses_nothing(tmp_path):
    questions = write_questions(tmp_path / "q.jsonl", 4)
    async with two_servers(None) as (servers, options):
        with failing() as system:
            system.left = {"/parts/": -1}
            out = "failing://bucket/run"
            done = await tessy("synth", questions, "--out", out, *options)
            assert done.code == 1
            assert "the last upload failed" in done.err
            assert "nothing is lost" in done.err
            assert "the network is gone" in done.err
            asked = servers["student"].stats.requests
            system.left = {}
            again = await tessy("synth", questions, "--out", out, *options)
            assert again.code == 0, again.err
            assert servers["student"].stats.requests == asked
            assert len(list(package.load(out).records())) == 4


async def test_a_bucket_without_rights_is_refused_before_any_call(tmp_path):
    questions = write_questions(tmp_path / "q.jsonl", 4)
    async with two_servers(None) as (servers, options):
        with failing(PermissionError("Access Denied")) as system:
            system.left = {"run": -1}
            done = await tessy("synth", questions, "--out", "failing://bucket/run", *options)
        assert done.code == 1
        assert "no rights: Access Denied" in done.err
        assert servers["student"].stats.requests == 0
        unknown = await tessy("synth", questions, "--out", "s33://bucket/run", *options)
        assert unknown.code == 1
        assert "there is no protocol 's33'" in unknown.err


async def test_parts_of_so_many_rows_are_written_once_and_as_they_fill(tmp_path, memory, cache):
    import pyarrow.parquet as pq

    questions = write_questions(tmp_path / "q.jsonl", 11)
    async with two_servers(None) as (_, options):
        options = [*options, "--rows-per-file", "3"]
        some = await tessy("synth", questions, "--out", RUN, *options, "--limit", "7")
        assert some.code == 0, some.err
        first = {n: memory.cat_file(f"/bucket/run/shards/0000/{n}") for n in part_names(memory)}
        assert [pq.read_metadata(fsspec.open(f"{RUN}/shards/0000/{n}").open()).num_rows
                for n in first] == [3, 3, 1]  # fmt: skip
        assert "dataset.jsonl" not in names(memory)
        assert command("merge", RUN).code == 0
        same = await tessy("synth", questions, "--out", RUN, *options, "--limit", "7")
        assert same.code == 0, same.err
        assert "dataset.jsonl" in names(memory), "nothing ended since"
        shutil.rmtree(cache)
        rest = await tessy("synth", questions, "--out", RUN, *options)
        assert rest.code == 0, rest.err
    assert "dataset.jsonl" not in names(memory), "it is out of date"
    full = list(first)[:2]
    assert {n: memory.cat_file(f"/bucket/run/shards/0000/{n}") for n in full} == {
        n: first[n] for n in full
    }
    found = [row["id"] for n in part_names(memory) for row in rows_of(memory, n)]
    assert sorted(found) == sorted(f"q{n}" for n in range(11))
    assert set(found[:7]) == {f"q{n}" for n in range(7)}, "in the order in which they ended"
    folder = RunFolder(reading(RUN))
    merged = command("merge", folder.path, "--rows-per-file", "4")
    assert merged.code == 0, merged.err
    files = sorted(folder.path.glob("dataset-*.parquet"))
    assert [pq.read_metadata(file).num_rows for file in files] == [4, 4, 3]
    from tessy.data.rows import rows

    records = [row for _, row in rows(str(folder.path), what="rows")]
    assert records == list(package.load(folder.path).records())


def part_names(memory) -> list[str]:
    return [n.rpartition("/")[2] for n in names(memory) if n.startswith("shards/0000/part-")]


def rows_of(memory, name: str) -> list[dict]:
    import pyarrow.parquet as pq

    with memory.open(f"/bucket/run/shards/0000/{name}") as file:
        return pq.read_table(file).to_pylist()


async def test_merging_again_leaves_nothing_of_the_last_time(tmp_path, memory, cache):
    """Or rows would be there twice for a reader of all files."""
    questions = write_questions(tmp_path / "q.jsonl", 7)
    async with two_servers(None) as (_, options):
        done = await tessy("synth", questions, "--out", RUN, *options)
        assert done.code == 0, done.err
    for rows, files in (("2", 4), ("5", 2)):
        assert command("merge", RUN, "--rows-per-file", rows).code == 0
        there = [name for name in names(memory) if name.startswith("dataset")]
        assert there == [f"dataset-{n:05}.parquet" for n in range(files)]
    assert command("merge", RUN).code == 0
    assert [name for name in names(memory) if name.startswith("dataset")] == ["dataset.jsonl"]


async def test_a_run_that_is_removed_from_its_url_is_no_success(tmp_path, cache):
    """The machine goes, and nothing is left: it must be said while there is a copy."""
    questions = write_questions(tmp_path / "q.jsonl", 30)
    there = tmp_path / "there"
    command = ["synth", questions, "--out", there.as_uri(), "--upload-s", "1"]
    slow = Latency(first_token_s=0.01, token_s=0.003)
    async with two_servers(None, latency=slow, words=100) as (_, options):
        running = asyncio.create_task(tessy(*command, "--concurrency", "2", *options))
        await until(lambda: list(there.glob("shards/0000/parts/*")) or running.done())
        shutil.rmtree(there)
        done = await running
    assert done.code == 1, done.err
    assert "what was uploaded was removed during the run" in done.err
    (kept,) = (cache / "runs").glob("*/there")
    assert f"nothing is lost, it is in {kept}" in done.err
    with JournalReader(RunFolder(kept)) as reader:
        assert len(list(reader.records())) == 30


async def test_the_summary_names_the_parts(tmp_path):
    questions = write_questions(tmp_path / "q.jsonl", 3)
    run = tmp_path / "run"
    async with two_servers(None) as (_, options):
        command = ["synth", questions, "--out", run, *options, "--rows-per-file", "2"]
        done = await tessy(*command, COLUMNS="400")
    assert f"{run}/shards/*/part-*.parquet (not in order: tessy merge)" in done.err
    assert not (run / "dataset.jsonl").exists()
