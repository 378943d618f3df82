"""The client against a server that misbehaves in many ways."""

from __future__ import annotations

import asyncio
import datetime
from contextlib import closing

import pytest

from tessy.config import ModelSettings, Sampling, Timeouts
from tessy.errors import (
    BadResponse,
    ConfigError,
    Refused,
    ServerFailure,
    TimedOut,
    Unreachable,
)
from tessy.models import client as client_module
from tessy.models.client import Client, retry_after_s, wait_s
from tessy.models.wire import Request
from tessy.testing import EchoScript, Fault, Faults, Latency, ScriptedServer, SilentScript

GREEDY = Sampling(temperature=0)
ASK = Request("One, two,", max_tokens=50, sampling=GREEDY, seed=0)
TEXT = " three, four, five, six, seven and so on until the very end of it."


def settings(retries: int = 0, **more) -> ModelSettings:
    return ModelSettings.model_validate({"model": "http://x/v1", "retries": retries, **more})


def client(url: str, retries: int = 0, **more):
    return Client(url, "scripted", settings(retries, **more))


def faulty(*kinds: Fault, rate: float = 1.0) -> ScriptedServer:
    return ScriptedServer(EchoScript(TEXT), faults=Faults(rate, kinds))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_completion(stream):
    async with ScriptedServer(EchoScript(TEXT)) as server:
        asking = client(server.url)
        answer = await asking.complete(ASK, stream=stream)
    assert answer.text == TEXT
    assert answer.finish == "stop"
    assert answer.tokens > 5
    assert answer.prompt_tokens
    assert asking.stats.generated_tokens == answer.tokens


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.SERVER_ERROR, ServerFailure),
        (Fault.RATE_LIMIT, ServerFailure),
        (Fault.TRUNCATED, BadResponse),
        (Fault.GARBAGE, BadResponse),
        (Fault.REFUSE, Refused),
        (Fault.DISCONNECT, (Unreachable, BadResponse)),
    ],
)
async def test_each_fault_is_an_error_of_its_own(fault, error, stream):
    async with faulty(fault) as server:
        asking = client(server.url)
        with pytest.raises(error):
            await asking.complete(ASK, stream=stream)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_server_that_never_answers_times_out(stream):
    patience = {"timeouts": Timeouts(first_token_s=0.2, total_s=0.4).model_dump()}
    async with faulty(Fault.TIMEOUT) as server:
        asking = client(server.url, **patience)
        with pytest.raises(TimedOut):
            await asking.complete(ASK, stream=stream)


async def test_the_first_token_has_a_time_out_of_its_own():
    slow = Latency(first_token_s=0.0, token_s=0.05)
    patience = {"timeouts": Timeouts(first_token_s=0.3, total_s=30).model_dump()}
    server = ScriptedServer(EchoScript(TEXT), latency=slow)
    async with server:
        asking = client(server.url, **patience)
        answer = await asking.complete(ASK, stream=True)
    assert answer.text == TEXT  # it took longer than 0.3 s in all, but its first token did not


@pytest.mark.parametrize("stream", [False, True])
async def test_faults_that_pass_are_retried(stream, monkeypatch):
    monkeypatch.setattr(client_module, "_LONGEST_WAIT_S", 0.01)
    monkeypatch.setattr(client_module, "_LONGEST_RETRY_AFTER_S", 0.01)
    kinds = (Fault.SERVER_ERROR, Fault.RATE_LIMIT, Fault.TRUNCATED, Fault.GARBAGE, Fault.DISCONNECT)
    async with faulty(*kinds, rate=0.5) as server:
        asking = client(server.url, retries=30)
        answers = await asyncio.gather(*(asking.complete(ASK, stream=stream) for _ in range(20)))
    assert {answer.text for answer in answers} == {TEXT}
    assert asking.stats.requests == 20
    assert asking.stats.attempts > 20
    assert set(asking.stats.faults) >= {"ServerFailure", "BadResponse"}


async def test_a_refusal_is_not_retried():
    async with faulty(Fault.REFUSE) as server:
        asking = client(server.url, retries=5)
        with pytest.raises(Refused, match="400"):
            await asking.complete(ASK)
        assert server.stats.requests == 1


async def test_nobody_there_is_unreachable():
    with closing(client("http://127.0.0.1:9/v1")) as asking:
        with pytest.raises(Unreachable):
            await asking.complete(ASK)
        assert not await asking.is_alive()


@pytest.mark.parametrize("stream", [False, True])
async def test_an_empty_completion_is_an_outcome_not_an_error(stream):
    async with ScriptedServer(SilentScript()) as server:
        asking = client(server.url)
        answer = await asking.complete(ASK, stream=stream)
    assert (answer.text, answer.finish) == ("", "stop")


async def test_no_more_calls_at_once_than_allowed():
    slow = Latency(first_token_s=0.02)
    async with ScriptedServer(EchoScript(TEXT), latency=slow) as server:
        with closing(client(server.url, concurrency=3)) as asking:
            await asyncio.gather(*(asking.complete(ASK) for _ in range(12)))
        assert server.stats.most_in_flight == 3


async def test_the_key_comes_from_the_environment_and_is_never_shown(monkeypatch):
    monkeypatch.setenv("MY_KEY", "s3cret")
    async with ScriptedServer(EchoScript(TEXT), api_key="s3cret") as server:
        with closing(client(server.url, api_key_env="MY_KEY")) as asking:
            assert (await asking.complete(ASK)).text == TEXT
        with pytest.raises(Refused, match="401") as error:
            await client(server.url).complete(ASK)
    assert "s3cret" not in str(error.value)
    monkeypatch.delenv("MY_KEY")
    with pytest.raises(ConfigError, match="MY_KEY is not set"):
        client("http://x/v1", api_key_env="MY_KEY")


async def test_leaving_early_stops_the_server():
    slow = Latency(token_s=0.01)
    async with ScriptedServer(EchoScript(TEXT * 100), latency=slow) as server:
        with closing(client(server.url)) as asking:
            long = Request("Go", max_tokens=5000, sampling=GREEDY, seed=0)
            async with asking.stream(long) as events:
                async for _ in events:
                    break
            async with asyncio.timeout(5):
                while not server.stats.aborted:
                    await asyncio.sleep(0.01)
        assert server.stats.generated_tokens < 1000


def test_retry_after_is_honoured():
    error = ServerFailure("429")
    error.retry_after_s = 7.5
    assert wait_s(1, error) >= 7.5
    assert all(wait_s(50, BadResponse("x")) <= 30 for _ in range(100))


def test_retry_after_takes_seconds_and_dates():
    assert retry_after_s({"retry-after": "2.5"}) == 2.5
    assert retry_after_s({}) == 0
    assert retry_after_s({"retry-after": "soon"}) == 0
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=60)
    assert 50 < retry_after_s({"retry-after": later.strftime("%a, %d %b %Y %H:%M:%S GMT")}) <= 60
