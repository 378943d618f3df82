"""`tessy synth` from questions to data set, undisturbed, disturbed, killed and stopped."""

from __future__ import annotations

import asyncio
import json
import random
import signal

import pytest

from conftest import PREDICTOR, faulty, lines, start, tessy, two_servers, write_questions
from tessy.errors import JournalError
from tessy.runs.folder import RunFolder
from tessy.runs.reader import Reader
from tessy.testing import (
    Faults,
    Latency,
    LoopScript,
    ScriptedServer,
    SilentScript,
    build_tokenizer,
)
from tessy.testing.faults import Fault


async def until(condition):
    """Wait until something is so, but not for ever."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


def turns_on_disk(folder: RunFolder, sample_id: str) -> int:
    try:
        with Reader(folder) as reader:
            return len(reader.turns(sample_id))
    except JournalError:
        return 0


def check_records(records):
    """What DESIGN says of every record, whatever happened on the way."""
    for record in records:
        content = record["messages"][-1]["content"]
        assert content.startswith("<think>\n")
        assert content.count("\n</think>\n\n") == 1
        position = 0
        for span in record["spans"]:
            assert span["start"] == position < span["end"]
            position = span["end"]
        assert position == len(content)
        assert "<|" not in content
        assert record["spans"][0]["role"] == "format"
        assert record["spans"][-1]["role"] == "student"
        assert {s["role"] for s in record["spans"]} <= {"student", "teacher", "format"}
    assert any(record["stats"]["teacher_tokens"] for record in records)


def check_purity(records):
    """The digit predictor: the teacher's words have digits, the student's have none."""
    for record in records:
        content = record["messages"][-1]["content"]
        thinking_end = content.index("\n</think>\n\n")
        for span in record["spans"]:
            if span["role"] == "student" and span["end"] <= thinking_end and not span["forced"]:
                text = content[span["start"] : span["end"]]
                assert not any(c.isdigit() for c in text), text


async def test_a_data_set(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 8)
    out = tmp_path / "run"
    async with two_servers(tokenizers, words=300) as (servers, options):
        done = await tessy("synth", questions, "--out", out, *options)
        assert done.code == 0, done.err
        records = lines(out / "dataset.jsonl")
        assert [record["id"] for record in records] == [f"q{n}" for n in range(8)]
        check_records(records)
        check_purity(records)
        assert "8 = 8 finished + 0 failed" in done.err
        assert str(out / "dataset.jsonl") in done.err
        assert lines(out / "failures.jsonl") == []
        asked = servers["student"].stats.requests + servers["teacher"].stats.requests
        again = await tessy("synth", questions, "--out", out, *options)
        assert again.code == 0
        assert servers["student"].stats.requests + servers["teacher"].stats.requests == asked
        # A prompt of ids begins with the last one, so all but its end is in the prefix cache.
        stats = servers["teacher"].stats
        assert stats.cached_tokens > 0.7 * stats.prompt_tokens


@pytest.mark.parametrize("ids", ["ids", "text", "strict"])
async def test_the_same_data_however_prompts_are_sent(tmp_path, think_tokenizers, ids):
    """Deterministic models write the same text for prompts of ids and of text."""
    questions = write_questions(tmp_path / "q.jsonl", 3)
    more = {"ids": {}, "text": {"accept_ids": False}, "strict": {"accept_extensions": False}}[ids]
    contents = []
    for kind in ({}, more):
        out = tmp_path / f"run{len(contents)}"
        async with two_servers(think_tokenizers, **kind) as (_, options):
            done = await tessy("synth", questions, "--out", out, *options)
        assert done.code == 0, done.err
        contents.append([r["messages"][-1]["content"] for r in lines(out / "dataset.jsonl")])
    assert contents[0] == contents[1]


async def test_a_server_that_hides_the_end_of_thinking_is_refused(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 1)
    async with two_servers(tokenizers, accept_extensions=False) as (_, options):
        done = await tessy("synth", questions, "--out", tmp_path / "run", *options)
        assert done.code == 2
        assert "the teacher can't be used: its format" in done.err
    async with two_servers(tokenizers, accept_ids=False) as (_, options):
        done = await tessy("synth", questions, "--out", tmp_path / "run", *options)
        assert done.code == 0, done.err
    check_records(lines(tmp_path / "run" / "dataset.jsonl"))


async def test_the_same_data_whatever_the_chunk_size(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 3)
    contents = []
    async with two_servers(tokenizers) as (_, options):
        for size in (4, 10, 200):
            out = tmp_path / f"run{size}"
            chunks = ["--student-chunk", str(size), "--teacher-chunk", str(size)]
            chunks += ["--mode", "chunks"]
            done = await tessy("synth", questions, "--out", out, *options, *chunks)
            assert done.code == 0, done.err
            contents.append([(r["messages"], r["spans"]) for r in lines(out / "dataset.jsonl")])
            with Reader(RunFolder(out)) as reader:
                asked = reader.entry("q0").trace["asked"]
            assert set(asked[:-1]) == {size}, "the journal says what each turn asked for"
    assert contents[0] == contents[1] == contents[2]


async def test_an_end_marker_that_is_split_between_two_chunks_leaves_nothing_behind(tmp_path):
    """Without a tokenizer `</think>` is text of several tokens, and a chunk may end in it."""
    questions = write_questions(tmp_path / "q.jsonl", 12)
    contents = []
    async with two_servers(None) as (_, options):
        for size in (4, 5, 7, 500):
            out = tmp_path / f"run{size}"
            chunks = ["--student-chunk", str(size), "--teacher-chunk", str(size)]
            chunks += ["--mode", "chunks"]
            done = await tessy("synth", questions, "--out", out, *options, *chunks)
            assert done.code == 0, done.err
            contents.append([r["messages"][-1]["content"] for r in lines(out / "dataset.jsonl")])
    assert contents[0] == contents[1] == contents[2] == contents[3]


async def test_without_a_tokenizer_the_format_is_plain_and_said_so(tmp_path):
    questions = write_questions(tmp_path / "q.jsonl", 2)
    async with two_servers(None) as (_, options):
        done = await tessy("synth", questions, "--out", tmp_path / "run", *options)
    assert done.code == 0, done.err
    check_records(lines(tmp_path / "run" / "dataset.jsonl"))
    for role in ("student", "teacher"):
        assert f"{role}: its chat format is not known: using the plain one" in done.err


async def test_exactly_once_with_kill_9_at_random_moments(tmp_path, tokenizers):
    """Killed ten times and resumed: the same bytes as an undisturbed run."""
    questions = write_questions(tmp_path / "q.jsonl", 12)
    slow = Latency(first_token_s=0.005, token_s=0.001)
    chance = random.Random(7)
    async with two_servers(tokenizers, latency=slow) as (_, options):
        command = ["synth", questions, *options, "--concurrency", "4", "--quiet", "--out"]
        done = await tessy(*command, tmp_path / "undisturbed")
        assert done.code == 0, done.err
        killed = 0
        while killed < 10:
            process = await start(*command, tmp_path / "killed")
            try:
                await asyncio.wait_for(process.wait(), chance.uniform(0.6, 2.0))
                break
            except TimeoutError:
                process.kill()
                await process.wait()
                killed += 1
        done = await tessy(*command, tmp_path / "killed")
        assert done.code == 0, done.err
    assert killed >= 3, "the run was over before it could be killed"
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
        command = ["synth", questions, *options, "--quiet", "--out"]
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


async def test_every_question_is_accounted_for_with_a_fifth_of_all_calls_failing(
    tmp_path, tokenizers
):
    questions = write_questions(tmp_path / "q.jsonl", 20)
    async with two_servers(tokenizers) as (_, options):
        done = await tessy("synth", questions, "--out", tmp_path / "calm", *options)
        assert done.code == 0, done.err
    async with two_servers(tokenizers, faults=faulty(0.2)) as (servers, options):
        done = await tessy("synth", questions, "--out", tmp_path / "run", *options)
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


async def test_500_trajectories_at_once(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 500)
    slow = Latency(first_token_s=0.05)
    async with two_servers(tokenizers, latency=slow, words=20) as (servers, options):
        done = await tessy(
            *("synth", questions, "--out", tmp_path / "run", *options, "--concurrency", "500")
        )
        assert done.code == 0, done.err
        assert servers["student"].stats.most_in_flight > 100
    records = lines(tmp_path / "run" / "dataset.jsonl")
    assert [r["id"] for r in records] == [f"q{n}" for n in range(500)]
    check_records(records)


async def test_ctrl_c_stops_cleanly_and_the_same_command_goes_on(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 6)
    slow = Latency(first_token_s=0.01, token_s=0.002)
    async with two_servers(tokenizers, latency=slow, words=200) as (servers, options):
        command = ["synth", questions, "--out", tmp_path / "run", *options, "--concurrency", "2"]
        process = await start(*command)
        await until(lambda: servers["teacher"].stats.requests > 12)
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(5):
            _, err = await process.communicate()
        assert process.returncode == 130, err.decode()
        assert "stopped: the same command goes on" in err.decode()
        assert "Traceback" not in err.decode()
        done = await tessy(*command)
        assert done.code == 0, done.err
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
        servers["teacher"]._api_key = "new"
        _, err = await process.communicate()
        assert process.returncode == 3, err.decode()
        assert "401" in err.decode()
        assert lines(tmp_path / "run" / "failures.jsonl") == []
        servers["student"]._api_key = "new"
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
        assert "hint: start anew in another folder (--out)" in done.err
    assert (tmp_path / "run" / "dataset.jsonl").read_bytes() == before


async def test_a_first_start_that_failed_over_a_typo_can_be_mended(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 1)
    dead = ["--student", "http://127.0.0.1:9/v1", "--teacher", "http://127.0.0.1:9/v1"]
    command = ["synth", questions, "--out", tmp_path / "run", "--seed", "1"]
    done = await tessy(*command, *dead)
    assert done.code == 1
    assert "hint: is it running, and its URL right?" in done.err
    async with two_servers(tokenizers) as (_, options):
        done = await tessy(*command[:-1], "2", *options)
        assert done.code == 0, done.err
        done = await tessy(*command, *options)
        assert done.code == 2
        assert "seed: 2 then, 1 now" in done.err


async def test_a_data_set_that_cannot_be_had_is_named(tmp_path):
    done = await tessy(
        "synth", "nobody/nothing:train", "--out", tmp_path / "run", HF_HUB_OFFLINE="1"
    )
    assert done.code == 2
    assert "nobody/nothing:train: no such file, and no data set" in done.err
    assert "Traceback" not in done.err


async def test_bad_lines_are_refused_before_any_model_is_called(tmp_path):
    questions = tmp_path / "q.jsonl"
    questions.write_text('{"prompt": "fine"}\n{"prompt": 3}\n{"promt": "typo"}\n')
    options = ["--student", "http://127.0.0.1:9/v1", "--teacher", "http://127.0.0.1:9/v1"]
    done = await tessy("synth", questions, "--out", tmp_path / "run", *options)
    assert done.code == 2
    assert f"{questions}:2: prompt must be text, not int" in done.err
    assert f"{questions}:3: none of prompt, question" in done.err
    assert not (tmp_path / "run").exists()


async def test_bad_lines_can_be_recorded_as_failures(tmp_path, tokenizers):
    questions = tmp_path / "q.jsonl"
    good = json.dumps({"id": "good", "prompt": "[[t]] What?"})
    questions.write_text(f'{{"prompt": 3}}\n{good}\n{{"promt": "typo"}}\n')
    async with two_servers(tokenizers) as (_, options):
        command = ["synth", questions, "--out", tmp_path / "run", *options, "--skip-bad"]
        for _ in range(2):  # the second time changes nothing
            done = await tessy(*command)
            assert done.code == 0, done.err
            assert "3 = 1 finished + 2 failed" in done.err
    failed = lines(tmp_path / "run" / "failures.jsonl")
    assert [(f["reason"], f["where"]) for f in failed] == [
        ("bad_question", f"{questions}:1"),
        ("bad_question", f"{questions}:3"),
    ]


async def test_a_server_that_does_not_stream_is_asked_for_whole_answers(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 2)
    contents = []
    for streams in (True, False):
        out = tmp_path / f"run{streams}"
        async with two_servers(tokenizers, streams=streams) as (servers, options):
            done = await tessy("synth", questions, "--out", out, *options)
            assert bool(servers["student"].stats.streamed) == streams
        assert done.code == 0, done.err
        contents.append([(r["messages"], r["spans"]) for r in lines(out / "dataset.jsonl")])
    assert contents[0] == contents[1]


async def test_a_conversation_that_a_template_refuses_is_named_before_any_work(
    tmp_path, tokenizers, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("picky") / "teacher"
    build_tokenizer(folder, flavour="deepseek-r1")
    template = "{% if messages[0].role == 'system' %}{{ raise_exception('no system!') }}{% endif %}"
    path = folder / "chat_template.jinja"
    path.write_text(template + path.read_text(encoding="utf-8"), encoding="utf-8")
    questions = tmp_path / "q.jsonl"
    asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    lines_ = [{"prompt": "What?"}, {"id": "strict", "messages": asked}]
    questions.write_text("".join(json.dumps(line) + "\n" for line in lines_))
    async with two_servers({**tokenizers, "teacher": folder}) as (servers, options):
        done = await tessy("synth", questions, "--out", tmp_path / "run", *options)
        assert servers["teacher"].stats.requests < 10, "only probed"
    assert done.code == 2
    assert "question strict, teacher" in done.err
    assert "no system!" in done.err


async def test_an_out_that_can_be_no_folder(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 1)
    options = ["--student", "http://127.0.0.1:9/v1", "--teacher", "http://127.0.0.1:9/v1"]
    for out in (questions, questions / "run"):
        done = await tessy("synth", questions, "--out", out, *options)
        assert done.code == 2
        assert f"{out} can't be a run's folder" in done.err


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
        servers["student"]._faults = always(1)
        await process.communicate()
        failed = lines(out / "failures.jsonl")
        assert {f["reason"] for f in failed} == {"model_error"}
        servers["student"]._faults = None
        done = await tessy(*command)
        assert lines(out / "failures.jsonl") == failed, "a failure stays one until it is retried"
        done = await tessy(*command, "--retry-failed")
        assert done.code == 0, done.err
        assert f"{len(failed)} failed samples are written anew" in done.err
    assert lines(out / "failures.jsonl") == []
    assert [r["id"] for r in lines(out / "dataset.jsonl")] == ["q0", "q1", "q2"]


async def test_the_limit_can_be_raised_later(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 4)
    async with two_servers(tokenizers) as (_, options):
        command = ["synth", questions, "--out", tmp_path / "run", *options, "--limit"]
        assert "2 = 2 finished" in (await tessy(*command, "2")).err
        assert "4 = 4 finished" in (await tessy(*command, "4")).err
    ids = [r["id"] for r in lines(tmp_path / "run" / "dataset.jsonl")]
    assert ids == ["q0", "q1", "q2", "q3"]


async def test_several_samples_of_a_question(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 2)
    async with two_servers(tokenizers) as (_, options):
        many = ["--samples-per-question", "3"]
        done = await tessy("synth", questions, "--out", tmp_path / "run", *options, *many)
    assert done.code == 0, done.err
    ids = [r["id"] for r in lines(tmp_path / "run" / "dataset.jsonl")]
    assert ids == [f"q{n}#{k}" for n in range(2) for k in range(3)]


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
        done = await tessy("synth", questions, "--out", tmp_path / "run", *options, *limits)
        assert done.code == 1, "nothing was finished"
        failed = lines(tmp_path / "run" / "failures.jsonl")
        assert [f["reason"] for f in failed] == [reason, reason]
        again = await tessy(
            *("synth", questions, "--out", tmp_path / "run", *options, *limits, "--retry-failed")
        )
    assert "2 failed samples are written anew" in again.err


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
    questions = write_questions(tmp_path / "q.jsonl", 1)
    async with two_servers(tokenizers) as (_, options):
        options[-1] = "python:broken_predictor:P"
        done = await tessy(
            *("synth", questions, "--out", tmp_path / "run", *options), PYTHONPATH=str(tmp_path)
        )
    assert done.code == 1
    failed = lines(tmp_path / "run" / "failures.jsonl")
    assert failed[0]["reason"] == "predictor_error"
    assert "oops" in failed[0]["detail"]


async def test_the_key_is_written_nowhere(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 1)
    settings = tmp_path / "run.toml"
    keys = 'api_key_env = "TESSY_TEST_KEY"'
    settings.write_text(f'[student]\nmodel="x"\n{keys}\n[teacher]\nmodel="x"\n{keys}\n')
    async with two_servers(tokenizers, api_key="s3cret-k3y") as (_, options):
        command = ["synth", questions, "--out", tmp_path / "run", *options, "--config", settings]
        done = await tessy(*command, TESSY_TEST_KEY="s3cret-k3y")
        assert done.code == 0, done.err
        for file in (tmp_path / "run").iterdir():
            assert b"s3cret-k3y" not in file.read_bytes(), file
        done = await tessy(*command[:3], tmp_path / "other", *command[4:])
    assert done.code == 2
    assert "TESSY_TEST_KEY is not set" in done.err


async def test_it_loads_in_datasets(tmp_path, tokenizers):
    from datasets import load_dataset

    questions = write_questions(tmp_path / "q.jsonl", 3)
    async with two_servers(tokenizers) as (_, options):
        await tessy("synth", questions, "--out", tmp_path / "run", *options)
    path = str(tmp_path / "run" / "dataset.jsonl")
    loaded = load_dataset("json", data_files=path, split="train", cache_dir=str(tmp_path / "cache"))
    assert len(loaded) == 3
    assert set(loaded.column_names) >= {
        "id",
        "messages",
        "spans",
        "stats",
        "method",
        "models",
        "seed",
    }
    assert loaded[0]["messages"][-1]["role"] == "assistant"
