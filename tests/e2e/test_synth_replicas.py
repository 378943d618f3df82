"""`--teacher URL,URL`: several servers of one model, also when one is gone."""

from __future__ import annotations

import asyncio
import re

from commands import start, tessy
from scripted import lines, two_servers, write_questions
from tessy.testing import CooperativeScript, Latency, ScriptedServer

TASK = re.compile(r"\[\[task \d+\]\]")
SLOW = Latency(first_token_s=0.005, token_s=0.001)


def another_teacher(tokenizers, **more) -> ScriptedServer:
    """A server like the teacher of `two_servers`."""
    script = CooperativeScript("teacher", seed=1, thinking_words=150, unicode=True)
    return ScriptedServer(script, tokenizer=tokenizers["teacher"], latency=SLOW, **more)


def with_teachers(options: list[str], *urls: str) -> list[str]:
    at = options.index("--teacher") + 1
    return [*options[:at], ",".join(urls), *options[at + 1 :]]


async def test_a_replica_that_dies_loses_nothing(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 10)
    settings = tmp_path / "run.toml"
    settings.write_text("[teacher]\nretries = 2\n")
    async with (
        two_servers(tokenizers, latency=SLOW, words=150) as (servers, options),
        another_teacher(tokenizers) as other,
    ):
        more = ["--config", settings, "--concurrency", "6"]
        done = await tessy("synth", questions, "--out", tmp_path / "one", *options, *more)
        assert done.code == 0, done.err
        first = servers["teacher"]
        before = first.stats.requests
        both = with_teachers(options, first.url, other.url)
        process = await start("synth", questions, "--out", tmp_path / "two", *both, *more)
        async with asyncio.timeout(60):
            while min(first.stats.requests - before, other.stats.requests) < 15:
                await asyncio.sleep(0.02)
        await first.__aexit__(None, None, None)
        _, err = await asyncio.wait_for(process.communicate(), 100)
        assert process.returncode == 0, err.decode()
    assert "10 = 10 finished + 0 failed" in err.decode()
    one, two = ((tmp_path / run / "dataset.jsonl").read_bytes() for run in ("one", "two"))
    assert one == two


async def test_a_replica_that_does_not_answer_at_the_start_is_left_out_and_named(
    tmp_path, tokenizers
):
    questions = write_questions(tmp_path / "q.jsonl", 2)
    settings = tmp_path / "run.toml"
    settings.write_text("[teacher]\nretries = 0\n")
    async with two_servers(tokenizers) as (servers, options):
        dead = "http://127.0.0.1:9/v1"
        both = with_teachers(options, dead, servers["teacher"].url)
        done = await tessy(
            "synth", questions, "--out", tmp_path / "run", *both, "--config", settings
        )
    assert done.code == 0, done.err
    assert f"teacher: {dead} does not answer; it is used when it does" in done.err
    assert len(lines(tmp_path / "run" / "dataset.jsonl")) == 2


async def test_servers_that_are_not_alike_are_refused_before_any_work(tmp_path, tokenizers):
    questions = write_questions(tmp_path / "q.jsonl", 2)
    async with (
        two_servers(tokenizers) as (servers, options),
        another_teacher(tokenizers, served_name="another") as other,
    ):
        both = with_teachers(options, servers["teacher"].url, other.url)
        done = await tessy("synth", questions, "--out", tmp_path / "run", *both)
        assert done.code == 2
        assert "the teacher's servers differ" in done.err
        assert "in their model (scripted, another)" in done.err
        mixed = with_teachers(options, servers["teacher"].url, "gguf:x.gguf")
        done = await tessy("synth", questions, "--out", tmp_path / "run", *mixed)
    assert done.code == 2
    assert "only servers can have replicas" in done.err


class Recording(ScriptedServer):
    """A teacher that notes the session and the prompt of each request."""

    def __init__(self) -> None:
        super().__init__(CooperativeScript("teacher", seed=1, thinking_words=60, unicode=True))
        self.seen: list[tuple[str | None, str]] = []

    async def _completions(self, request):
        asked = await request.json()
        self.seen.append((request.headers.get("X-Session-ID"), str(asked["prompt"])))
        return await super()._completions(request)


async def test_all_requests_of_a_trajectory_name_its_session_to_a_load_balancer(tmp_path):
    questions = write_questions(tmp_path / "q.jsonl", 5)
    async with two_servers(None) as (_, options), Recording() as teacher:
        one_url = with_teachers(options, teacher.url)
        done = await tessy("synth", questions, "--out", tmp_path / "run", *one_url)
    assert done.code == 0, done.err
    asked = [(found[0], name) for name, text in teacher.seen if (found := TASK.findall(text))]
    assert len(asked) > 10
    assert len({task for task, _ in asked}) == 5
    assert len(set(asked)) == len({name for _, name in asked}) == 5
    assert all(re.fullmatch("[0-9a-f]{16}", name) for _, name in asked)
