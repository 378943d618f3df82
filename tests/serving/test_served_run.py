"""`tessy serve --journal`: what was served is a run like any other."""

from __future__ import annotations

import json

import pytest
from served import SLOW, asking, chat, config_of, events_of, pair, serve, served

from commands import tessy
from scripted import lines, until
from tessy.errors import ConfigError, JournalError, RunLocked, RunMismatch
from tessy.report.viewer.served import ViewedRuns
from tessy.report.viewer.server import serving as viewing
from tessy.runs.folder import RunFolder
from tessy.runs.reader import JournalReader
from tessy.serving.served_run import served_run
from tessy.serving.server import ServeSettings


def into(folder) -> ServeSettings:
    return ServeSettings(port=0, journal=folder)


async def test_each_choice_is_a_sample_under_its_response_s_id(
    tokenizers, client, tmp_path, monkeypatch
):
    out = tmp_path / "run"
    async with served(tokenizers, into(out)) as made:
        _, _, one = await chat(client, made.url)
        _, _, two = await chat(client, made.url, n=2, model="tessy/teacher-only")
        _, _, cut = await chat(client, made.url, max_tokens=40)
        shown = await tessy("show", out, one["id"])
        assert shown.code == 0, "also while it is served"
        monkeypatch.setenv("TESSY_CACHE", str(tmp_path / "cache"))
        runs = ViewedRuns([("run", out, False)], read_only=False)
        async with viewing(runs) as site, client.get(site.url) as page:
            assert one["id"] in await page.text()
    rows = {row["id"]: row for row in lines(out / "dataset.jsonl")}
    assert list(rows) == [one["id"], f"{two['id']}#0", f"{two['id']}#1"]
    assert [choice["tessy"]["id"] for choice in two["choices"]] == list(rows)[1:]
    message = one["choices"][0]["message"]
    assert rows[one["id"]]["messages"][-1]["content"].endswith(message["content"])
    assert rows[one["id"]]["method"] == "tessy"
    assert rows[f"{two['id']}#0"]["method"] == "teacher-only"
    assert rows[f"{two['id']}#0"]["models"].keys() == {"teacher"}
    (failed,) = lines(out / "failures.jsonl")
    assert (failed["id"], failed["reason"]) == (cut["id"], "thinking_limit")
    assert failed["messages"] == [*asking()["messages"]]


async def test_it_can_be_reported_on_and_exported(tokenizers, client, tmp_path):
    out = tmp_path / "run"
    async with served(tokenizers, into(out)) as made:
        for number in range(3):
            await chat(client, made.url, asking(f"[[task {number}]] What is {number}?"))
        await chat(client, made.url, model="tessy/student-only")
        report = await tessy("report", out, "--markdown", tmp_path / "report.md")
        assert report.code == 0, report.err
    assert "several, taken together here: tessy 3, student-only 1" in " ".join(
        (tmp_path / "report.md").read_text().replace("\\", "").split()
    )
    done = await tessy("export", out, "--to", "trl", "--out", tmp_path / "all")
    assert done.code == 0, done.err
    assert "samples of several methods: tessy 3, student-only 1" in done.out + done.err
    done = await tessy("export", out, "--to", "trl", "--out", tmp_path / "one", "--method", "tessy")
    assert done.code == 0, done.err
    assert len(lines(tmp_path / "one" / "train.jsonl")) == 3
    (dropped,) = lines(tmp_path / "one" / "dropped.jsonl")
    assert dropped["reason"] == "method"
    done = await tessy("merge", out)
    assert done.code == 0, done.err


async def test_what_a_client_left_is_a_failure(tokenizers, client, tmp_path):
    out = tmp_path / "run"
    pair_of = {"words": 2000, "latency": SLOW}
    async with served(tokenizers, into(out), pair_of=pair_of) as made:
        async with client.post(f"{made.url}/chat/completions", json=asking(stream=True)) as answer:
            await anext(events_of(answer))
        await until(lambda: made.server.handlers.answering == 0)
    (failed,) = lines(out / "failures.jsonl")
    assert failed["reason"] == "cancelled"
    assert failed["content"] != "<think>\n"
    with JournalReader(RunFolder(out)) as reader:
        assert reader.running() == []


async def test_what_is_being_written_when_the_server_ends_is_a_failure(
    tokenizers, client, tmp_path
):
    out = tmp_path / "run"
    pair_of = {"words": 2000, "latency": SLOW}
    async with served(tokenizers, into(out), pair_of=pair_of) as made:
        answer = await client.post(f"{made.url}/chat/completions", json=asking(stream=True))
        await anext(events_of(answer))
    (failed,) = lines(out / "failures.jsonl")
    assert failed["reason"] == "cancelled"


async def test_the_same_folder_goes_on(tokenizers, client, tmp_path):
    out = tmp_path / "run"
    async with pair(tokenizers) as servers:
        ids = []
        for _ in range(2):
            async with serve(tokenizers, servers, into(out)) as made:
                ids.append((await chat(client, made.url))[2]["id"])
                with pytest.raises(RunLocked):
                    async with serve(tokenizers, servers, into(out)):
                        pass
        assert [row["id"] for row in lines(out / "dataset.jsonl")] == ids
        with pytest.raises(RunMismatch, match="seed") as refused:
            async with serve(tokenizers, servers, into(out), seed=3):
                pass
        assert "another folder (--journal), or give the settings" in refused.value.hint
        questions = tmp_path / "q.jsonl"
        questions.write_text(json.dumps({"prompt": "[[task 1]] Why?"}) + "\n")
        options = [f"--{role}={server.url}" for role, server in servers.items()]
        options += [f"--{role}-tokenizer={tokenizers[role]}" for role in servers]
        done = await tessy(
            *("synth", questions, "--out", out, *options),
            *("--predictor", "python:tessy.testing.predictors:digits"),
        )
        assert done.code == 2, "it is no run of these questions"
        assert "questions" in done.err


async def test_what_a_killed_server_left_is_ended(tokenizers, client, tmp_path):
    """As after `kill -9`: the turns of a sample are there, and not its end."""
    out = tmp_path / "run"
    async with pair(tokenizers, words=2000, latency=SLOW) as servers:
        config = config_of(servers, tokenizers)
        async with serve(tokenizers, servers, into(out)) as made:
            service = made.server.handlers._service
            answer = await client.post(f"{made.url}/chat/completions", json=asking(stream=True))
            await anext(events_of(answer))
            journal = service._run.journal

            async def lost(ending):
                """The process is gone before this."""

            journal.end = lost
            await service._run.checkpoint()
        with JournalReader(RunFolder(out)) as reader:
            (left,) = reader.running()
        async with served_run(out, config) as run:
            assert run.position == 1
    (failed,) = lines(out / "failures.jsonl")
    assert (failed["id"], failed["reason"]) == (left, "cancelled")
    assert failed["content"] != "<think>\n"


async def test_a_journal_that_can_not_be_written(tokenizers, client, tmp_path, monkeypatch):
    async with served(tokenizers, into(tmp_path / "run")) as made:
        journal = made.server.handlers._service._run.journal

        async def full(ending):
            raise JournalError("disk is full")

        monkeypatch.setattr(journal, "end", full)
        status, _, body = await chat(client, made.url)
        assert (status, body["error"]["code"]) == (500, "journal_error")
        assert "disk is full" in body["error"]["message"]
        monkeypatch.undo()
        assert (await chat(client, made.url))[0] == 200


async def test_a_url_is_no_folder(tokenizers):
    async with pair(tokenizers) as servers:
        with pytest.raises(ConfigError, match="s3://bucket/run is a URL"):
            async with serve(tokenizers, servers, into("s3://bucket/run")):
                pass


async def test_a_folder_of_something_else(tokenizers, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    async with pair(tokenizers) as servers:
        with pytest.raises(RunMismatch) as refused:
            async with serve(tokenizers, servers, into(tmp_path)):
                pass
    assert "--out" not in (refused.value.hint or "")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
