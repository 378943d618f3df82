"""`tessy synth` that was killed, stopped or left by its servers: the same command goes on."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import random
import re
import signal
import sys
import termios
from contextlib import suppress
from pathlib import Path

import pytest

from commands import start, tessy
from scripted import FIXED, PLAIN, lines, two_servers, until, write_questions
from tessy.errors import JournalError
from tessy.runs.folder import RunFolder, ShardFolder
from tessy.runs.reader import JournalReader
from tessy.runs.schema import EmptyJournal
from tessy.runs.shard_reader import ShardReader
from tessy.testing import Latency


def turns_on_disk(folder: RunFolder, sample_id: str) -> int:
    try:
        with JournalReader(folder) as reader:
            return sum(map(len, reader.written(sample_id).turns.values()))
    except JournalError:
        return 0


async def test_exactly_once_with_kill_9_at_random_moments(tmp_path, tokenizers):
    """Killed four times, each time after another number of requests: the same bytes in the end."""
    questions = write_questions(tmp_path / "q.jsonl", 12)
    slow = Latency(first_token_s=0.005, token_s=0.001)
    chance = random.Random(7)
    async with two_servers(tokenizers, latency=slow, words=150) as (servers, options):
        command = ["synth", questions, *options, *FIXED, "--concurrency", "4", "--quiet", "--out"]
        done = await tessy(*command, tmp_path / "undisturbed")
        assert done.code == 0, done.err
        stats = servers["teacher"].stats
        for _ in range(4):
            wanted = stats.requests + chance.randint(3, 12)
            process = await start(*command, tmp_path / "killed")
            await until(lambda wanted=wanted: stats.requests > wanted)
            process.kill()
            await process.wait()
        done = await tessy(*command, tmp_path / "killed")
        assert done.code == 0, done.err
    names = ("dataset.jsonl", "failures.jsonl")
    undisturbed, resumed = (
        [(tmp_path / run / name).read_bytes() for name in names]
        for run in ("undisturbed", "killed")
    )
    assert resumed == undisturbed


async def test_a_killed_run_goes_on_from_its_turns_and_not_from_the_start(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 1)
    slow = Latency(first_token_s=0.02, token_s=0.002)
    async with two_servers(tokenizers, latency=slow, words=200) as (servers, options):
        command = ["synth", questions, *options, *FIXED, "--quiet", "--out"]
        assert (await tessy(*command, tmp_path / "undisturbed")).code == 0
        whole = servers["teacher"].stats.generated_tokens
        process = await start(*command, tmp_path / "killed")
        folder = RunFolder(tmp_path / "killed")
        await until(lambda: turns_on_disk(folder, "q0") >= 10)
        process.kill()
        await process.wait()
        before = servers["teacher"].stats.generated_tokens
        assert (await tessy(*command, tmp_path / "killed")).code == 0
        after = servers["teacher"].stats.generated_tokens - before
    assert after < 0.8 * whole
    first, second = (tmp_path / run / "dataset.jsonl" for run in ("undisturbed", "killed"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_cleanly_and_the_same_command_goes_on(tmp_path, tokenizers, number):
    questions = write_questions(tmp_path / "q.jsonl", 6)
    slow = Latency(first_token_s=0.01, token_s=0.002)
    async with two_servers(tokenizers, latency=slow, words=200) as (servers, options):
        command = ["synth", questions, "--out", tmp_path / "run", *options, "--concurrency", "2"]
        process = await start(*command)
        await until(lambda: servers["teacher"].stats.requests > 12)
        process.send_signal(number)
        async with asyncio.timeout(20):
            _, err = await process.communicate()
        assert process.returncode == 130, err.decode()
        assert "stopped: the same command resumes it" in err.decode()
        assert "Traceback" not in err.decode()
        ended = len(lines(tmp_path / "run" / "dataset.jsonl"))
        done = await tessy(*command)
        assert done.code == 0, done.err
    made = lines(tmp_path / "run" / "dataset.jsonl")
    kept = sum(each["stats"]["teacher_tokens"] for each in made)
    assert f"{kept:,} tokens kept" in done.err
    assert ended == 0 or f"{6 - ended} samples ended" in done.err
    assert len(lines(tmp_path / "run" / "dataset.jsonl")) == 6


async def test_a_server_that_dies_stops_the_run_and_fails_no_sample(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 4)
    settings = tmp_path / "run.toml"
    settings.write_text('[student]\nmodel="x"\nretries = 1\n[teacher]\nmodel="x"\nretries = 1\n')
    slow = Latency(first_token_s=0.01, token_s=0.005)
    async with two_servers(tokenizers, latency=slow, words=200) as (servers, options):
        command = [*("synth", questions, "--out", tmp_path / "run", *options, "--config", settings)]
        process = await start(*command)
        await until(lambda: servers["teacher"].stats.requests > 12)
        await servers["teacher"].__aexit__(None, None, None)
        _, err = await process.communicate()
    assert process.returncode == 3, err.decode()
    assert "the teacher's server" in err.decode()
    assert "is gone" in err.decode()
    assert lines(tmp_path / "run" / "failures.jsonl") == []
    async with two_servers(tokenizers) as (_, options):
        command[4 : 4 + len(options)] = options
        done = await tessy(*command)
    assert done.code == 0, done.err
    assert len(lines(tmp_path / "run" / "dataset.jsonl")) == 4


async def test_a_key_that_is_not_taken_any_more_stops_the_run_and_fails_no_sample(
    tmp_path, tokenizers
):
    questions = write_questions(tmp_path / "q.jsonl", 4)
    settings = tmp_path / "run.toml"
    keys = 'api_key_env = "TESSY_TEST_KEY"'
    settings.write_text(f"[student]\n{keys}\n[teacher]\n{keys}\n")
    slow = Latency(first_token_s=0.01, token_s=0.002)
    async with two_servers(tokenizers, latency=slow, api_key="old", words=200) as (
        servers,
        options,
    ):
        command = ["synth", questions, "--out", tmp_path / "run", *options, "--config", settings]
        process = await start(*command, TESSY_TEST_KEY="old")
        await until(lambda: servers["teacher"].stats.requests > 12)
        servers["teacher"].api_key = "new"
        _, err = await process.communicate()
        assert process.returncode == 3, err.decode()
        assert "401" in err.decode()
        assert lines(tmp_path / "run" / "failures.jsonl") == []
        servers["student"].api_key = "new"
        done = await tessy(*command, TESSY_TEST_KEY="new")
    assert done.code == 0, done.err
    assert len(lines(tmp_path / "run" / "dataset.jsonl")) == 4


async def test_a_changed_setting_is_refused_with_what_differs(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 1)
    async with two_servers(tokenizers) as (_, options):
        command = ["synth", questions, "--out", tmp_path / "run", *options]
        assert (await tessy(*command)).code == 0
        before = (tmp_path / "run" / "dataset.jsonl").read_bytes()
        done = await tessy(*command, "--student-chunk", "5", "--seed", "9")
        assert done.code == 2
        assert "student.chunk: not set then, 5 now" in done.err
        assert "seed: 0 then, 9 now" in done.err
        assert "hint: start again in another folder (--out)" in done.err
    assert (tmp_path / "run" / "dataset.jsonl").read_bytes() == before


async def test_a_first_start_that_failed_over_a_typo_can_be_corrected(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 1)
    dead = ["--student", "http://127.0.0.1:9/v1", "--teacher", "http://127.0.0.1:9/v1"]
    command = ["synth", questions, "--out", tmp_path / "run", "--seed", "1"]
    done = await tessy(*command, *dead, *PLAIN)
    assert done.code == 1
    assert "hint: is it running, and its URL right?" in done.err
    async with two_servers(tokenizers) as (_, options):
        done = await tessy(*command[:-1], "2", *options)
        assert done.code == 0, done.err
        done = await tessy(*command, *options)
        assert done.code == 2
        assert "seed: 2 then, 1 now" in done.err


async def test_the_limit_can_be_raised_later(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 4)
    async with two_servers(tokenizers) as (_, options):
        command = ["synth", questions, "--out", tmp_path / "run", *options, "--limit"]
        assert "2 = 2 finished" in (await tessy(*command, "2")).err
        assert "4 = 4 finished" in (await tessy(*command, "4")).err
    ids = [r["id"] for r in lines(tmp_path / "run" / "dataset.jsonl")]
    assert ids == ["q0", "q1", "q2", "q3"]


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_run_whose_folder_is_moved_stops_and_goes_on_there(tmp_path, tokenizers, workers):

    questions = write_questions(tmp_path / "q.jsonl", 4)
    run = tmp_path / "run"
    async with two_servers(
        tokenizers, latency=Latency(first_token_s=0.01, token_s=0.002), words=100
    ) as (servers, options):
        command = [
            "synth",
            questions,
            *options,
            "--concurrency",
            "2",
            "--workers",
            workers,
            "--out",
        ]
        running = asyncio.create_task(tessy(*command, run))
        await until(lambda: servers["teacher"].stats.requests > 6)
        run.rename(tmp_path / "moved")
        async with asyncio.timeout(60):
            done = await running
        assert done.code == 1, done.err
        assert "was moved, replaced or deleted while its run went on" in done.err
        assert "Traceback" not in done.err
        assert not run.exists()
        done = await tessy(*command, tmp_path / "moved")
        assert done.code == 0, done.err
    assert len(lines(tmp_path / "moved" / "dataset.jsonl")) == 4


async def test_a_closed_terminal_stops_cleanly(tmp_path, tokenizers):
    """The terminal is gone: the kernel sends SIGHUP, and every write to it fails."""
    questions = write_questions(tmp_path / "q.jsonl", 4)
    slow = Latency(first_token_s=0.01, token_s=0.002)
    async with two_servers(tokenizers, latency=slow, words=100) as (servers, options):
        command = ["synth", questions, "--out", tmp_path / "run", *options, "--concurrency", "2"]
        terminal, side = os.openpty()

        def own_terminal() -> None:
            os.setsid()
            fcntl.ioctl(side, termios.TIOCSCTTY, 0)

        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tessy", *map(str, command)),
            stdin=side,
            stdout=side,
            stderr=side,
            preexec_fn=own_terminal,
        )
        os.close(side)
        await until(lambda: servers["teacher"].stats.requests > 6)
        os.close(terminal)
        async with asyncio.timeout(20):
            code = await process.wait()
        assert code == 130
        assert (tmp_path / "run" / "dataset.jsonl").exists()
        done = await tessy(*command)
        assert done.code == 0, done.err
    assert len(lines(tmp_path / "run" / "dataset.jsonl")) == 4


async def test_a_server_that_tessy_started_is_started_again_by_the_same_command(tmp_path):
    ask = "State the final answer to the following arithmetic problem: {} - 35 - 20 + 92 + 66 ="
    rows = [{"id": f"q{n}", "prompt": ask.format(55 + n % 40)} for n in range(300)]
    questions = tmp_path / "q.jsonl"
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = tmp_path / "settings.toml"
    settings.write_text("".join(f"[{role}]\nretries = 1\n" for role in ("student", "teacher")))
    pair = ["--student", "lab:student", "--teacher", "lab:teacher", "--config", settings]
    process = await start("synth", questions, "--out", tmp_path / "run", *pair)
    journal = RunFolder(tmp_path / "run").shard(0).journal
    await until(lambda: journal.exists() and begun(journal))
    threads = Path(f"/proc/{process.pid}/task").iterdir()
    servers = [pid for each in threads for pid in (each / "children").read_text().split()]
    os.kill(int(servers[0]), signal.SIGKILL)
    _, err = await process.communicate()
    assert process.returncode == 3, err.decode()
    assert "hint: run the same command, which starts it again: it resumes" in err.decode()
    assert lines(tmp_path / "run" / "failures.jsonl") == []


def begun(journal: Path) -> bool:
    """Whether a sample is being written."""
    with suppress(EmptyJournal), ShardReader(ShardFolder(journal.parent, 0)) as reader:
        return bool(reader.running()) or reader.counts()[0] > 0
    return False


async def test_a_run_goes_on_when_nobody_reads_its_progress_any_more(tmp_path, tokenizers):
    """As after `tessy synth … 2>&1 | head -1`."""
    questions = write_questions(tmp_path / "q.jsonl", 4)
    slow = Latency(first_token_s=0.01, token_s=0.002)
    async with two_servers(tokenizers, latency=slow, words=100) as (_, options):
        process = await start("synth", questions, "--out", tmp_path / "run", *options)
        process._transport.get_pipe_transport(2).close()
        async with asyncio.timeout(60):
            assert await process.wait() == 0
    assert len(lines(tmp_path / "run" / "dataset.jsonl")) == 4


async def test_a_smaller_limit_after_a_stop_leaves_nothing_of_its_own_to_do(tmp_path, tokenizers):
    questions, out = write_questions(tmp_path / "q.jsonl", 6), tmp_path / "run"
    slow = Latency(first_token_s=0.01, token_s=0.002)
    async with two_servers(tokenizers, latency=slow, words=200) as (servers, options):
        command = ["synth", questions, "--out", out, *options, "--concurrency", "4"]
        process = await start(*command)
        await until(lambda: servers["teacher"].stats.requests > 12)
        process.send_signal(signal.SIGINT)
        await process.communicate()
        done = await tessy(*command, "--limit", "1")
    said = " ".join(done.err.split())
    assert not re.search(r"\+ \d+ to do", said), "the limit's question is written"
    assert re.search(r"\d more samples? to do, of questions beyond the limit that were begun", said)
