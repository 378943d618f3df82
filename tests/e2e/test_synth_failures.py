"""`tessy synth` when calls or samples fail: each question ends once, with a reason."""

from __future__ import annotations

import pytest

from commands import start, tessy
from scripted import FIXED, PLAIN, PREDICTOR, faulty, lines, two_servers, until, write_questions
from tessy.method.trajectory import Role
from tessy.runs.folder import RunFolder
from tessy.runs.reader import JournalReader
from tessy.runs.shard_reader import ShardReader
from tessy.testing import Faults, Latency, LoopScript, ScriptedServer, SilentScript
from tessy.testing.faults import Fault


async def test_every_question_is_accounted_for_with_a_fifth_of_all_calls_failing(
    tmp_path, tokenizers
):
    questions = write_questions(tmp_path / "q.jsonl", 20)
    async with two_servers(tokenizers) as (_, options):
        done = await tessy("synth", questions, "--out", tmp_path / "calm", *options, *FIXED)
        assert done.code == 0, done.err
    async with two_servers(tokenizers, faults=faulty(0.2)) as (servers, options):
        done = await tessy("synth", questions, "--out", tmp_path / "run", *options, *FIXED)
        assert done.code == 0, done.err
        assert servers["student"].stats.faults
    assert "faults met" in done.err
    # Every fault was retried with the same seed, so nothing of it shows in the data.
    calm, run = (tmp_path / name / "dataset.jsonl" for name in ("calm", "run"))
    assert calm.read_bytes() == run.read_bytes()


async def test_refusals_and_empty_texts_end_as_failures_with_a_reason(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 20)
    kinds = (Fault.REFUSE, Fault.EMPTY)

    def faults(seed):
        return Faults(0.04, kinds, seed=seed)

    async with two_servers(tokenizers, faults=faults) as (_, options):
        done = await tessy("synth", questions, "--out", tmp_path / "run", *options)
    assert done.code == 0, done.err
    finished, failed = (
        lines(tmp_path / "run" / name) for name in ("dataset.jsonl", "failures.jsonl")
    )
    assert sorted(r["id"] for r in finished + failed) == sorted(f"q{n}" for n in range(20))
    assert failed
    assert {r["reason"] for r in failed} <= {"refused", "no_progress", "empty_answer"}
    assert all(r["detail"] for r in failed)


async def test_retried_failures_are_another_attempt_and_end_once(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 3)
    settings = tmp_path / "run.toml"
    settings.write_text("[student]\nretries = 0\n[teacher]\nretries = 0\n")
    out = tmp_path / "run"

    def always(seed):
        return Faults(0.5, (Fault.GARBAGE,), seed=seed + 5)

    slow = Latency(first_token_s=0.01, token_s=0.002)
    async with two_servers(tokenizers, latency=slow, words=200) as (servers, options):
        command = ["synth", questions, "--out", out, *options, "--config", settings]
        process = await start(*command)
        await until(lambda: servers["student"].stats.requests > 12)
        servers["student"].faults = always(1)
        await process.communicate()
        failed = lines(out / "failures.jsonl")
        assert {f["reason"] for f in failed} == {"model_error"}
        servers["student"].faults = None
        done = await tessy(*command)
        assert lines(out / "failures.jsonl") == failed, "a failure stays one until it is retried"
        done = await tessy(*command, "--retry-failed")
        assert done.code == 0, done.err
        assert f"{len(failed)} failed samples are written again" in done.err
    assert lines(out / "failures.jsonl") == []
    assert [r["id"] for r in lines(out / "dataset.jsonl")] == ["q0", "q1", "q2"]


def tokens(failed: list) -> int:
    """All tokens that were generated for some failures."""
    names = [f"{role}_{kind}" for role in Role for kind in ("tokens", "discarded_tokens")]
    return sum(each["stats"][name] for each in failed for name in names)


@pytest.mark.parametrize(
    ("script", "limits", "reason"),
    [
        (SilentScript(), [], "no_progress"),
        (LoopScript(" okay wait hmm so"), [], "repetition"),
        (LoopScript(" okay wait hmm so"), ["--thinking-tokens", "12"], "thinking_limit"),
    ],
)
async def test_samples_that_cannot_be_written_fail_with_their_reason(
    tmp_path, tokenizers, script, limits, reason
):
    questions = write_questions(tmp_path / "q.jsonl", 2)
    async with ScriptedServer(script) as server:
        options = ["--student", server.url, "--teacher", server.url, "--predictor", PREDICTOR]
        options += PLAIN
        done = await tessy("synth", questions, "--out", tmp_path / "run", *options, *limits)
        assert done.code == 1, "nothing was finished"
        failed = lines(tmp_path / "run" / "failures.jsonl")
        assert [f["reason"] for f in failed] == [reason, reason]
        command = ("synth", questions, "--out", tmp_path / "run", *options, *limits)
        spent = [tokens(failed)]
        for _ in range(2):
            again = await tessy(*command, "--retry-failed")
            assert "2 failed samples are written again" in again.err
            spent.append(tokens(lines(tmp_path / "run" / "failures.jsonl")))
    with JournalReader(RunFolder(tmp_path / "run")) as reader:
        ended = reader.totals()
    assert (ended.lost, ended.replaced) == (spent[-1], sum(spent[:-1])), "every token is counted"
    if ended.replaced:
        said = f"{ended.replaced:,} in failures that were written again: 100.0% of all"
        assert said in again.err


async def test_a_context_that_is_too_short(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 1)
    async with two_servers(tokenizers, context_length=300, words=400) as (_, options):
        await tessy("synth", questions, "--out", tmp_path / "run", *options)
    failed = lines(tmp_path / "run" / "failures.jsonl")
    assert [f["reason"] for f in failed] == ["context_limit"]


async def test_a_predictor_that_raises(tmp_path, tokenizers, monkeypatch):
    (tmp_path / "broken_predictor.py").write_text(
        "class P:\n    name = 'p'\n    batched = False\n"
        "    def judge(self, passages):\n        raise KeyError('oops')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    questions = write_questions(tmp_path / "q.jsonl", 1)
    async with two_servers(tokenizers) as (_, options):
        options[-1] = "python:broken_predictor:P"
        done = await tessy("synth", questions, "--out", tmp_path / "run", *options)
    assert done.code == 1
    failed = lines(tmp_path / "run" / "failures.jsonl")
    assert failed[0]["reason"] == "predictor_error"
    assert "oops" in failed[0]["detail"]


async def test_only_questions_within_the_limit_are_tried_again(tmp_path, tokenizers):
    questions, out = write_questions(tmp_path / "q.jsonl", 4), tmp_path / "run"
    async with ScriptedServer(SilentScript()) as server:
        options = ["--student", server.url, "--teacher", server.url, "--predictor", PREDICTOR]
        command = ["synth", questions, "--out", out, *options, *PLAIN]
        await tessy(*command)
        again = await tessy(*command, "--retry-failed", "--limit", "1")
    assert "1 failed sample is written again" in again.err
    assert "samples 4 = 0 finished + 4 failed" in " ".join(again.err.split())
    assert [failed["id"] for failed in lines(out / "failures.jsonl")] == ["q0", "q1", "q2", "q3"]


async def test_a_limit_that_is_reached_is_named(tmp_path, tokenizers):
    questions, out = write_questions(tmp_path / "q.jsonl", 4), tmp_path / "run"
    said = "2 more lines of the questions left out"
    async with two_servers(tokenizers) as (_, options):
        command = ["synth", questions, "--out", out, *options]
        for _ in range(2):
            done = await tessy(*command, "--limit", "2")
            assert said in done.err
        with ShardReader(RunFolder(out).shard(0)) as reader:
            assert reader.left_out() == 2
        done = await tessy(*command)
    assert said not in done.err
    with ShardReader(RunFolder(out).shard(0)) as reader:
        assert reader.left_out() == 0
