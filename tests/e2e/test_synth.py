"""`tessy synth` from questions to data set, undisturbed: what is written."""

from __future__ import annotations

import pytest

from commands import tessy
from scripted import lines, two_servers, write_questions
from tessy.runs.folder import RunFolder
from tessy.runs.reader import JournalReader
from tessy.testing import Latency


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
        assert "nothing was left to write" in again.err
        assert "this start" not in again.err
        quiet = await tessy("synth", questions, "--out", out, *options, "--quiet")
        assert quiet.err == f"samples 8 = 8 finished + 0 failed: {out}\n"
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
            with JournalReader(RunFolder(out)) as reader:
                asked = reader.ended_sample("q0").trace["asked"]
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


@pytest.mark.parametrize("role", ["student", "teacher"])
async def test_without_a_chat_format_nothing_is_started(tmp_path, role):
    questions = write_questions(tmp_path / "q.jsonl", 2)
    async with two_servers(None) as (servers, options):
        at = options.index(f"--{role}-format")
        options = options[:at] + options[at + 2 :]
        done = await tessy("synth", questions, "--out", tmp_path / "run", *options)
        assert not any(server.stats.requests for server in servers.values())
    assert done.code == 2
    assert f"the {role}'s chat format is not known" in done.err
    assert f"--{role}-tokenizer" in done.err
    assert f"--{role}-format" in done.err
    assert not (tmp_path / "run").exists()


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


async def test_several_samples_of_a_question(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 2)
    async with two_servers(tokenizers) as (_, options):
        many = ["--samples-per-question", "3"]
        done = await tessy("synth", questions, "--out", tmp_path / "run", *options, *many)
    assert done.code == 0, done.err
    ids = [r["id"] for r in lines(tmp_path / "run" / "dataset.jsonl")]
    assert ids == [f"q{n}#{k}" for n in range(2) for k in range(3)]


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


async def test_a_short_context_and_one_model_in_both_roles_are_said_at_the_start(
    tmp_path, tokenizers
):
    questions = write_questions(tmp_path / "q.jsonl", 1)
    async with two_servers(tokenizers, context_length=4321) as (servers, options):
        done = await tessy("synth", questions, "--out", tmp_path / "run", *options)
        assert "the context has fewer (student 4,321, teacher 4,321)" in done.err
        assert "the same model" not in done.err
        for part in ("", "-tokenizer"):
            same = options[options.index(f"--student{part}") + 1]
            options[options.index(f"--teacher{part}") + 1] = same
        done = await tessy("synth", questions, "--out", tmp_path / "other", *options)
    assert f"student and teacher are the same model: {servers['student'].url}" in done.err
