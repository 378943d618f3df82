"""`--workers N`: several processes share a run, and every question still ends exactly once."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from commands import start, tessy
from scripted import faulty, lines, two_servers, until, write_questions
from tessy.runs.folder import RunFolder, ShardFolder
from tessy.runs.reader import JournalReader
from tessy.runs.schema import EmptyJournal
from tessy.testing import Latency

SLOW = Latency(first_token_s=0.005, token_s=0.001)


def children(pid: int) -> list[int]:
    """The workers of a process."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
            command = (entry.parent / "cmdline").read_text()
        except OSError:
            continue
        if int(fields[1]) == pid and "tessy.synthesis.workers" in command:
            found.append(int(entry.parent.name))
    return found


def under_way(run: Path) -> list[str]:
    """Samples that have begun and not ended."""
    try:
        with JournalReader(RunFolder(run)) as reader:
            return reader.running()
    except EmptyJournal:  # it begins
        return []


def batches(shard: ShardFolder) -> int:
    """How often turns of a sample have been written."""
    with closing(sqlite3.connect(shard.journal)) as journal:
        return int(journal.execute("select count(*) from turns").fetchone()[0])


async def workers_of(process) -> list[int]:
    async with asyncio.timeout(60):
        while len(found := children(process.pid)) < 2:
            await asyncio.sleep(0.02)
    return found


@pytest.mark.parametrize("mode", ["stream", "chunks"])
async def test_the_same_data_with_two_workers_and_a_fifth_of_all_calls_failing(
    tmp_path, tokenizers, mode
):
    questions = write_questions(tmp_path / "q.jsonl", 20)
    async with two_servers(tokenizers) as (_, options):
        more = ["--mode", mode, "--student-chunk", "6", "--teacher-chunk", "10"]
        done = await tessy("synth", questions, "--out", tmp_path / "one", *options, *more)
        assert done.code == 0, done.err
    async with two_servers(tokenizers, faults=faulty(0.2)) as (servers, options):
        more += ["--workers", "2"]
        done = await tessy("synth", questions, "--out", tmp_path / "two", *options, *more)
        assert done.code == 0, done.err
        assert servers["student"].stats.faults
    assert "20 = 20 finished + 0 failed" in done.err
    assert "faults met" in done.err
    one, two = ((tmp_path / run / "dataset.jsonl").read_bytes() for run in ("one", "two"))
    assert one == two


async def test_exactly_once_when_workers_are_killed(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 12)
    command = ["synth", questions, "--concurrency", "4", "--out"]
    async with two_servers(tokenizers, latency=SLOW, words=150) as (servers, options):
        done = await tessy(*command, tmp_path / "calm", *options)
        assert done.code == 0, done.err
        before = servers["teacher"].stats.requests
        process = await start(*command, tmp_path / "killed", *options, "--workers", "2")
        first, _ = await workers_of(process)
        await until(lambda: servers["teacher"].stats.requests > before + 20)
        os.kill(first, signal.SIGKILL)
        _, err = await asyncio.wait_for(process.communicate(), 100)
        assert process.returncode == 0, err.decode()
    calm, killed = ((tmp_path / run / "dataset.jsonl").read_bytes() for run in ("calm", "killed"))
    assert calm == killed


async def test_replay_workers_and_run_killed_together_go_on_from_their_turns(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 4)
    small = ["--mode", "chunks", "--student-chunk", "6", "--teacher-chunk", "10"]
    command = ["synth", questions, "--concurrency", "4", *small, "--out"]
    async with two_servers(tokenizers, latency=SLOW, words=300) as (_, options):
        done = await tessy(*command, tmp_path / "calm", *options)
        assert done.code == 0, done.err
        process = await start(*command, tmp_path / "killed", *options, "--workers", "2")
        await until(lambda: len(under_way(tmp_path / "killed")) > 2)
        for pid in (*children(process.pid), process.pid):
            os.kill(pid, signal.SIGKILL)
        await process.wait()
        assert under_way(tmp_path / "killed")
        done = await tessy(*command, tmp_path / "killed", *options)
        assert done.code == 0, done.err
    calm, killed = ((tmp_path / run / "dataset.jsonl").read_bytes() for run in ("calm", "killed"))
    assert calm == killed


async def test_an_ending_that_cannot_be_written_stops_the_workers_at_once(tmp_path, tokenizers):
    """Nothing is lost, and no worker goes on writing what can't be kept."""
    questions = write_questions(tmp_path / "q.jsonl", 40)
    run = tmp_path / "run"
    command = ["synth", questions, "--out", run, "--concurrency", "4", "--workers", "2"]
    async with two_servers(tokenizers, latency=SLOW, words=150) as (_, options):
        process = await start(*command, *options)
        workers = await workers_of(process)
        await until(lambda: len(under_way(run)) > 2)
        open_ones = [shard for shard in RunFolder(run).started_shards() if batches(shard)]
        for shard in open_ones:
            with closing(sqlite3.connect(shard.journal)) as other:
                other.execute(
                    "create trigger full before insert on samples "
                    "begin select raise(abort, 'no room'); end"
                )
        _, err = await asyncio.wait_for(process.communicate(), 60)
        for shard in open_ones:
            with closing(sqlite3.connect(shard.journal)) as other:
                other.execute("drop trigger full")
        assert process.returncode == 1, err.decode()
        assert "journal.sqlite: no room" in err.decode()
        await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
        with JournalReader(RunFolder(run)) as reader:
            assert len(list(reader.records())) < 40
        done = await tessy(*command, *options)
        assert done.code == 0, done.err
    assert len(lines(run / "dataset.jsonl")) == 40


async def test_workers_end_with_the_process_that_they_work_for(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 12)
    command = [
        "synth",
        questions,
        "--concurrency",
        "4",
        "--workers",
        "2",
        "--out",
        tmp_path / "run",
    ]
    async with two_servers(tokenizers, latency=SLOW, words=150) as (servers, options):
        process = await start(*command, *options)
        workers = await workers_of(process)
        await until(lambda: servers["teacher"].stats.requests > 20)
        process.kill()
        await process.wait()
        await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
        done = await tessy(*command, *options)
        assert done.code == 0, done.err
    assert [r["id"] for r in lines(tmp_path / "run" / "dataset.jsonl")] == [
        f"q{n}" for n in range(12)
    ]


async def test_ctrl_c_stops_all_workers_and_the_same_command_goes_on(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 8)
    command = [
        "synth",
        questions,
        "--concurrency",
        "4",
        "--workers",
        "2",
        "--out",
        tmp_path / "run",
    ]
    async with two_servers(tokenizers, latency=SLOW, words=150) as (servers, options):
        process = await start(*command, *options)
        await until(lambda: servers["teacher"].stats.requests > 20)
        process.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode == 130, err.decode()
        assert "stopped: the same command resumes it" in err.decode()
        assert "Traceback" not in err.decode()
        done = await tessy(*command, *options)
        assert done.code == 0, done.err
    assert len(lines(tmp_path / "run" / "dataset.jsonl")) == 8


async def test_workers_that_die_again_and_again_stop_the_run(tmp_path, tokenizers, monkeypatch):
    """A predictor that takes its process down: the run says what it said, and ends."""
    (tmp_path / "deadly.py").write_text(
        "import os, sys\n"
        "class P:\n    name = 'p'\n    batched = False\n"
        "    def judge(self, passages):\n"
        "        print('the last words', file=sys.stderr, flush=True)\n        os._exit(9)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    questions = write_questions(tmp_path / "q.jsonl", 4)
    async with two_servers(tokenizers) as (_, options):
        options[-1] = "python:deadly:P"
        done = await tessy(
            *("synth", questions, "--out", tmp_path / "run", *options, "--workers", "2"),
            PYTHONPATH=str(tmp_path),
        )
    assert done.code == 3
    assert "workers die again and again: the last words" in done.err
    assert lines(tmp_path / "run" / "failures.jsonl") == []


async def test_a_server_that_dies_stops_the_workers_and_fails_no_sample(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 60)
    settings = tmp_path / "run.toml"
    settings.write_text("concurrency = 4\n[student]\nretries = 1\n[teacher]\nretries = 1\n")
    async with two_servers(tokenizers, latency=SLOW, words=150) as (servers, options):
        command = ["synth", questions, "--out", tmp_path / "run", *options, "--workers", "2"]
        process = await start(*command, "--config", settings)
        # Each worker has two at once, so with three under way neither is still starting.
        await until(lambda: len(under_way(tmp_path / "run")) > 2)
        await servers["teacher"].__aexit__(None, None, None)
        _, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 3, err.decode()
    assert "is gone" in err.decode()
    assert lines(tmp_path / "run" / "failures.jsonl") == []
