"""`tessy select --judge`: a served model rates questions; stopped, killed, dead and resumed."""

from __future__ import annotations

import asyncio
import shutil
import signal

import pytest

from commands import start, tessy
from evaluated import read_rows, write_rows
from rating import RatingScript
from scripted import until
from tessy.runs.load import load
from tessy.testing import Faults, ScriptedServer
from tessy.testing.stats import Latency

ROWS = [
    {"id": f"q{n}", "prompt": f"[[q{n}]] This is worth {n}." if n < 11 else "?", "x": [n, None]}
    for n in range(13)
]
GOOD = [row for row in ROWS if row["id"] in ("q7", "q8", "q9", "q10")]


@pytest.fixture
def folder(tmp_path):
    write_rows(tmp_path / "q.jsonl", ROWS)
    return tmp_path


def arguments(folder, server, *more):
    return [
        *("select", folder / "q.jsonl", "--out", folder / "out.jsonl", "--keep", "judge>=7"),
        *("--judge", server.url, "--judge-format", "qwen3", "--judge-out", folder / "judge"),
        *more,
    ]


@pytest.mark.parametrize("extensions", [True, False], ids=["schemas", "plain"])
async def test_questions_are_kept_by_their_scores(folder, extensions):
    async with ScriptedServer(RatingScript(), accept_extensions=extensions) as server:
        done = await tessy(*arguments(folder, server))
        asked = server.stats.requests
        again = await tessy(*arguments(folder, server))
    assert (done.code, again.code) == (0, 0)
    assert read_rows(folder / "out.jsonl") == GOOD
    assert "2 failed (2 unscored)" in done.err
    assert "judge: 11 of 13 questions are measured, of scripted; 2 questions: " in done.err
    dropped = {row["id"]: row for row in read_rows(folder / "out.dropped.jsonl")}
    assert dropped["q3"]["detail"] == "judge 3: not judge>=7"
    assert {name for name, row in dropped.items() if row["reason"] == "unmeasured"} == {
        "q11",
        "q12",
    }
    assert asked == server.stats.requests >= 2 * 13
    *_, last = load(folder / "judge").records()
    assert last["messages"][0]["content"] == ROWS[10]["prompt"]  # not the rubric
    # Later, without the judge:
    other = folder / "other.jsonl"
    by = ("--by", f"judge={folder / 'judge'}", "--keep", "judge>=7", "--out", other)
    assert (await tessy("select", folder / "q.jsonl", *by)).code == 0
    assert other.read_bytes() == (folder / "out.jsonl").read_bytes()


async def test_another_rubric_is_another_run(folder):
    (folder / "r.txt").write_text("Is it nice?\n{question}\n")
    async with ScriptedServer(RatingScript()) as server:
        assert (await tessy(*arguments(folder, server))).code == 0
        before = (folder / "out.jsonl").read_bytes()
        refused = await tessy(*arguments(folder, server, "--rubric", folder / "r.txt"))
        own = await tessy(
            *arguments(folder, server, "--rubric", folder / "r.txt", "--judge-out", folder / "j2")
        )
    assert refused.code == 2
    assert "prompts.judge" in refused.err
    assert "(--judge-out)" in refused.err
    assert own.code == 0
    assert (folder / "out.jsonl").read_bytes() == before


async def test_a_dead_judge_stops_it_and_nothing_is_lost(folder):
    config = folder / "judge.toml"
    config.write_text("[teacher]\nretries = 0\n")
    more = ("--concurrency", "2", "--config", config)
    async with ScriptedServer(RatingScript(), latency=Latency(0, 0.01)) as server:
        running = asyncio.create_task(tessy(*arguments(folder, server, *more)))
        await until(lambda: server.stats.requests > 16)
    done = await running
    assert done.code == 3
    assert "the judge's server" in done.err
    assert not (folder / "out.jsonl").exists()
    async with ScriptedServer(RatingScript()) as server:
        assert (await tessy(*arguments(folder, server))).code == 0
    assert read_rows(folder / "out.jsonl") == GOOD


async def test_calls_that_fail_for_a_while_lose_nothing(folder):
    async with ScriptedServer(RatingScript(), faults=Faults(0.2, seed=1)) as server:
        assert (await tessy(*arguments(folder, server))).code == 0
    assert read_rows(folder / "out.jsonl") == GOOD


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
async def test_stopped_or_killed_it_writes_nothing_and_resumes(folder, number):
    async with ScriptedServer(RatingScript()) as server:
        assert (await tessy(*arguments(folder, server))).code == 0
        whole = server.stats.requests
    shutil.rmtree(folder / "judge")
    (folder / "out.jsonl").unlink()
    async with ScriptedServer(RatingScript(), latency=Latency(0, 0.01)) as server:
        process = await start(*arguments(folder, server, "--concurrency", "1"))
        await until(lambda: server.stats.requests > 16)
        process.send_signal(number)
        _, err = await process.communicate()
    if number is signal.SIGINT:
        assert process.returncode == 130
        assert "the same command goes on with the judge" in err.decode()
    assert not (folder / "out.jsonl").exists()
    async with ScriptedServer(RatingScript()) as server:
        assert (await tessy(*arguments(folder, server))).code == 0
        assert server.stats.requests < whole
    assert read_rows(folder / "out.jsonl") == GOOD


async def test_a_judge_that_says_nothing_of_any_question_keeps_none(folder):
    write_rows(folder / "q.jsonl", [{"prompt": "?"}, {"prompt": "!"}])
    async with ScriptedServer(RatingScript()) as server:
        done = await tessy(*arguments(folder, server))
        again = await tessy(*arguments(folder, server, "--retry-failed"))
    assert (done.code, again.code) == (2, 2)
    assert "has measured none of the questions" in done.err
    assert "2 failed samples are written again" in again.err
    assert not (folder / "out.jsonl").exists()
