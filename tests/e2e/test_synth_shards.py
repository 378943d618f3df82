"""`--shard I/N` and `tessy merge`: shards that processes write apart, at the same time."""

from __future__ import annotations

import asyncio
import json
import random
import signal

import pytest

import tessy as package
from commands import start, tessy
from scripted import lines, two_servers, until, write_questions
from tessy.errors import RunLocked, RunMismatch
from tessy.runs.folder import RunFolder
from tessy.runs.shards import ShardNumber
from tessy.testing import Latency

SLOW = Latency(first_token_s=0.005, token_s=0.001)
SMALL = ["--mode", "chunks", "--student-chunk", "6", "--teacher-chunk", "10"]


def named(options: list[str]) -> dict[str, str]:
    """Options of the command line as arguments of `tessy.synthesize`."""
    names = [option.removeprefix("--").replace("-", "__") for option in options[::2]]
    return {
        f"{name}__model" if name in ("student", "teacher") else name: value
        for name, value in zip(names, options[1::2], strict=True)
    }


async def test_exactly_once_shards_of_killed_processes_merge_to_the_bytes_of_one(
    tmp_path, tokenizers
):
    questions, chance = write_questions(tmp_path / "q.jsonl", 9), random.Random(3)
    command = ["synth", questions, "--concurrency", "2", *SMALL, "--quiet", "--out"]
    async with two_servers(tokenizers, latency=SLOW, words=60) as (servers, options):
        done = await tessy(*command, tmp_path / "calm", *options)
        assert done.code == 0, done.err
        shards = [
            [*command, tmp_path / "run", *options, "--shard", f"{number}/3"] for number in range(3)
        ]
        processes = [await start(*shard) for shard in shards]
        stats = servers["teacher"].stats
        for _ in range(2):
            wanted, number = stats.requests + chance.randint(3, 20), chance.randrange(3)
            await until(lambda wanted=wanted: stats.requests > wanted)
            processes[number].kill()
            await processes[number].wait()
            processes[number] = await start(*shards[number])
        for process in processes:
            _, err = await asyncio.wait_for(process.communicate(), 100)
            assert process.returncode == 0, err.decode()
    run = RunFolder(tmp_path / "run")
    assert not run.dataset.exists()
    parts = [lines(shard.dataset) for shard in run.started_shards()]
    done = await tessy("merge", run.path)
    assert done.code == 0, done.err
    assert sum(map(len, parts)) == 9
    for name in ("dataset.jsonl", "failures.jsonl"):
        assert (run.path / name).read_bytes() == (tmp_path / "calm" / name).read_bytes()


async def test_exactly_once_a_run_goes_on_with_another_number_of_workers(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 10)
    command = ["synth", questions, "--concurrency", "4", *SMALL, "--out"]
    async with two_servers(tokenizers, latency=SLOW, words=60) as (servers, options):
        done = await tessy(*command, tmp_path / "calm", *options)
        assert done.code == 0, done.err
        wanted = servers["teacher"].stats.requests + 15
        more = ["--workers", "2", "--shards", "5"]
        process = await start(*command, tmp_path / "run", *options, *more)
        await until(lambda: servers["teacher"].stats.requests > wanted)
        process.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 130, err.decode()
        done = await tessy(*command, tmp_path / "run", *options, "--workers", "1")
        assert done.code == 0, done.err
    assert len(RunFolder(tmp_path / "run").started_shards()) == 5
    calm, run = ((tmp_path / name / "dataset.jsonl").read_bytes() for name in ("calm", "run"))
    assert calm == run


async def test_shards_that_start_at_once_agree_on_the_run(tmp_path, tokenizers):
    """Also where an earlier start with other settings wrote nothing, as after a typo."""
    questions = write_questions(tmp_path / "q.jsonl", 8)
    run = RunFolder(tmp_path / "run")
    async with two_servers(tokenizers) as (_, options):
        given = {"out": run.path, "concurrency": 2, **named(options)}
        dead = {**given, "student__model": "http://127.0.0.1:9/v1", "student__retries": 0}
        with pytest.raises(package.TessyError):
            await package.asynthesize(questions, **dead, seed=7)
        made = await asyncio.gather(
            *(
                package.asynthesize(questions, **given, shard=ShardNumber(number, 40))
                for number in range(40)
            )
        )
        one = await package.asynthesize(questions, **{**given, "out": tmp_path / "one"})
    assert sum(result.finished for result in made) == 8
    assert [result.dataset for result in made] == [run.shard(n).dataset for n in range(40)]
    assert "seed = 0" in run.settings.read_text()
    done = await tessy("merge", run.path)
    assert done.code == 0, done.err
    assert run.dataset.read_bytes() == one.dataset.read_bytes()


async def test_what_does_not_belong_to_the_run_is_refused(tmp_path, tokenizers):
    questions, run = write_questions(tmp_path / "q.jsonl", 6), RunFolder(tmp_path / "run")
    async with two_servers(tokenizers) as (servers, options):
        command = ["synth", questions, "--out", run.path, *options]
        done = await tessy(*command, "--shard", "0/3")
        assert done.code == 0, done.err
        assert str(run.shard(0).dataset) in done.err.replace("\n", "")
        written = len(lines(run.shard(0).dataset))
        assert 0 < written < 6
        before = servers["teacher"].stats.requests
        for more, code, said, hint in [
            (["--shard", "1/4"], 2, "holds a run of 3 shards, not 4", "--shard 1/3"),
            (["--shards", "5"], 2, "holds a run of 3 shards, not 5", "--shards 3"),
            (["--shard", "3/3"], 2, "shard 3/3: there is no such shard", "0/3 to 2/3"),
            (["--shard", "x"], 2, "shard 'x' is not I/N", "--shard 0/8 is the first"),
            (["--shard", "1/3", "--shards", "4"], 2, "but --shards is 4", "leave --shards out"),
            (["--shard", "1/3", "--seed", "9"], 2, "seed: 0 then, 9 now", "--out"),
            (["--shard", "1/3", "--canary", "5"], 2, "--canary and --dry-run are of the", ""),
            (["--shard", "1/3", "--dry-run"], 2, "--canary and --dry-run are of the", ""),
        ]:
            done = await tessy(*command, *more)
            assert done.code == code, (more, done.err)
            assert said in done.err, (more, done.err)
            assert hint in done.err, (more, done.err)
            assert "Traceback" not in done.err
        other = tmp_path / "other.jsonl"
        other.write_text(questions.read_text().replace("What", "How"))
        done = await tessy("synth", other, *command[2:], "--shard", "1/3")
        assert done.code == 2
        assert f"the questions: {questions} then, {other} now" in done.err
        done = await tessy("merge", run.path)
        assert done.code == 1
        assert "2 of 3 shards are not complete" in done.err
        assert "shard 1 was not started" in done.err
        assert "shard 2 was not started" in done.err
        assert servers["teacher"].stats.requests == before
        assert [shard.number for shard in run.started_shards()] == [0]
        done = await tessy(*command)
        assert done.code == 0, done.err
        assert "6 = 6 finished" in done.err
    assert len(lines(run.dataset)) == 6
    assert len(lines(run.shard(0).dataset)) == written, "a part is that of its own start"


async def test_a_shard_has_one_writer_and_a_whole_run_none_beside_it(tmp_path, tokenizers):
    questions, run = write_questions(tmp_path / "q.jsonl", 4), RunFolder(tmp_path / "run")
    async with two_servers(tokenizers) as (servers, options):
        given = {"out": run.path, **named(options)}
        await package.asynthesize(questions, **given, shard=ShardNumber(0, 2))
        before = servers["teacher"].stats.requests
        with run.locked(shared=True), run.shard(1).locked():
            with pytest.raises(RunLocked, match="0001"):
                await package.asynthesize(questions, **given, shard=ShardNumber(1, 2))
            with pytest.raises(RunLocked, match="other processes are working on this run"):
                await package.asynthesize(questions, **given)
            again = await package.asynthesize(questions, **given, shard=ShardNumber(0, 2))
            assert again.counters.requests == 0, "the other shard may be written"
        with run.locked(), pytest.raises(RunLocked, match="is working on this run"):
            await package.asynthesize(questions, **given, shard=ShardNumber(1, 2))
        assert servers["teacher"].stats.requests == before
        with run.locked(shared=True), run.shard(0).locked():
            with pytest.raises(RunMismatch, match="seed: 0 then, 3 now"):
                await package.asynthesize(questions, **given, seed=3, shard=ShardNumber(1, 2))
            await package.asynthesize(questions, **given, shard=ShardNumber(1, 2))
    done = await tessy("merge", run.path)
    assert done.code == 0, done.err
    assert len(lines(run.dataset)) == 4


async def test_bad_lines_and_failures_of_shards(tmp_path, tokenizers):
    """Each bad line is in one shard; failures are written again in the shard that is named."""
    questions, run = tmp_path / "q.jsonl", RunFolder(tmp_path / "run")
    rows = [{"id": f"q{n}", "prompt": f"[[{n}]] What is {n}?"} for n in range(6)]
    rows[2:2] = [{"id": "q0", "prompt": "again"}, {"prompt": 7}]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    async with two_servers(tokenizers) as (_, options):
        few = ["--thinking-tokens", "8", "--answer-tokens", "5"]
        for out, more in (("one", []), ("run", ["--shard", "0/2"]), ("run", ["--shard", "1/2"])):
            command = ["synth", questions, "--out", tmp_path / out, *options, *few, *more]
            done = await tessy(*command)
            assert done.code == 2, "bad lines are refused"
            await tessy(*command, "--skip-bad")
        assert (await tessy("merge", run.path)).code == 1
        one = (tmp_path / "one" / "failures.jsonl").read_bytes()
        assert run.failures.read_bytes() == one
        assert [each["id"] for each in lines(run.failures)][2:4] == ["bad-line:3", "bad-line:4"]
        done = await tessy(*command, "--skip-bad", "--retry-failed")
        failed = len(lines(run.shard(1).failures))
        assert f"{failed} failed samples are written again" in done.err
        assert failed > 1
    assert (await tessy("merge", run.path)).code == 1
    names = [
        each["id"] for name in ("dataset", "failures") for each in lines(run.path / f"{name}.jsonl")
    ]
    assert sorted(names) == sorted([*(f"q{n}" for n in range(6)), "bad-line:3", "bad-line:4"])


async def test_merge_says_how_many_questions_a_limit_left_out(tmp_path, tokenizers):
    questions, run = write_questions(tmp_path / "q.jsonl", 12), tmp_path / "run"
    async with two_servers(tokenizers) as (_, options):
        for shard in ("0/2", "1/2"):
            more = ["--shard", shard, "--limit", "8"]
            done = await tessy("synth", questions, "--out", run, *more, *options)
            assert done.code == 0, done.err
    merged = await tessy("merge", run)
    assert merged.code == 0, merged.err
    assert "8 samples from 2 shards" in merged.out
    assert "4 more lines of the questions left out\n" in merged.out


async def test_shards_of_other_limits_are_no_whole(tmp_path, tokenizers):
    """What is missing would be arbitrary."""
    questions, run = write_questions(tmp_path / "q.jsonl", 12), tmp_path / "run"
    async with two_servers(tokenizers) as (_, options):
        for shard, limit in ((0, []), (1, ["--limit", "8"])):
            command = ["synth", questions, "--out", run, "--shard", f"{shard}/2", *limit]
            done = await tessy(*command, *options)
            assert done.code == 0, done.err
        done = await tessy("merge", run)
        assert done.code == 1
        assert "shard 0 was written for 12 questions" in done.err
        assert "shard 1 for 8" in done.err
        assert (await tessy("merge", run, "--partial")).code == 0
        done = await tessy(*command[:-2], *options)
        assert done.code == 0, done.err
    whole = await tessy("merge", run)
    assert whole.code == 0
    assert "left out" not in whole.out
    assert len(lines(run / "dataset.jsonl")) == 12


async def test_a_shard_without_questions_is_complete(tmp_path, tokenizers):
    questions, run = write_questions(tmp_path / "q.jsonl", 2), tmp_path / "run"
    async with two_servers(tokenizers) as (_, options):
        for shard in range(8):
            command = ["synth", questions, "--out", run, "--shard", f"{shard}/8"]
            done = await tessy(*command, *options)
            assert done.code == 0, done.err
    done = await tessy("merge", run)
    assert done.code == 0, done.err
    assert "2 samples from 8 shards" in done.out


async def test_a_shard_whose_samples_all_failed_has_ended(tmp_path, tokenizers):
    """The tasks of a cluster end well; merging says that nothing is there."""
    questions, run = write_questions(tmp_path / "q.jsonl", 4), tmp_path / "run"
    async with two_servers(tokenizers) as (_, options):
        limits = ["--thinking-tokens", "4"]
        for shard in range(2):
            command = ["synth", questions, "--out", run, "--shard", f"{shard}/2", *limits]
            done = await tessy(*command, *options)
            assert done.code == 0, done.err
    done = await tessy("merge", run)
    assert done.code == 1
    assert "4 samples = 0 finished + 4 failed, from 2 shards" in done.out
