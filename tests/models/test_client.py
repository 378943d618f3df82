"""The client against a server that misbehaves in many ways."""

from __future__ import annotations

import asyncio
import datetime
from contextlib import closing

import pytest

from models.hostile_servers import OPEN, Hostile, ends_with, hostile, sends, text, whole
from tessy.config import Config, ModelSettings, Sampling, Timeouts
from tessy.errors import (
    BadResponse,
    ConfigError,
    ContextExceeded,
    Refused,
    ServerFailure,
    TimedOut,
    Unreachable,
)
from tessy.method.trajectory import Role
from tessy.models import client as client_module
from tessy.models.checks import check
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
    with pytest.raises(ConfigError, match="MY_KEY is not set") as unset:
        client("http://x/v1", api_key_env="MY_KEY")
    assert (unset.value.hint or "").startswith("export MY_KEY=…; or leave api_key_env out")


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


def test_calls_that_were_sent_away_together_do_not_come_back_together():
    error = ServerFailure("429")
    error.retry_after_s = 7.5
    assert len({wait_s(3, error) for _ in range(20)}) == 20


@pytest.mark.parametrize(
    "said", ["nan", "inf", "-5", "", "Mon, 99", "x" * 9999, "Fri, 01 Jan 99999 0"]
)
def test_any_retry_after_is_a_time(said):
    error = ServerFailure("429")
    error.retry_after_s = retry_after_s({"retry-after": said})
    assert 0 <= wait_s(1, error) <= 301


@pytest.mark.parametrize("key", ["s3cret\n", "  s3cret\r\n", "\ts3cret "])
async def test_line_ends_and_blanks_around_a_key_are_left_out(monkeypatch, key):
    monkeypatch.setenv("MY_KEY", key)
    async with ScriptedServer(EchoScript(TEXT), api_key="s3cret") as server:
        with closing(client(server.url, api_key_env="MY_KEY")) as asking:
            assert (await asking.complete(ASK)).text == TEXT


@pytest.mark.parametrize("key", ["a\nX-Evil: 1", "a b", "a\x1b[2J", "schlüssel", "ключ", "a\x7f"])
def test_a_key_that_is_none_is_refused_before_any_work(monkeypatch, key):
    monkeypatch.setenv("MY_KEY", key)
    with pytest.raises(ConfigError, match=r"MY_KEY .api_key_env. holds no API key") as error:
        client("http://x/v1", api_key_env="MY_KEY")
    assert key not in str(error.value)
    config = Config.model_validate({"student": {"model": "http://x", "api_key_env": "MY_KEY"}})
    with pytest.raises(ConfigError, match=r"student\.api_key_env"):
        check(config, [Role.STUDENT])


@pytest.mark.parametrize(
    ("body", "is_context"),
    [
        (b"This model's maximum context length is 4096 tokens. However, you requested", True),
        (b'{"error":{"type":"exceed_context_size_error","n_ctx":512}}', True),
        (b"the request exceeds the available context size, try increasing it", True),
        (b"The input (9000 tokens) is longer than the model's context length", True),
        (b"`inputs` tokens + `max_new_tokens` must be <= 4096", True),
        (b"top_p must be in (0, 1]", False),
    ],
)
async def test_a_prompt_that_is_too_long_has_an_error_of_its_own(body, is_context):
    reply = b"HTTP/1.1 400 Bad\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    async with hostile(Hostile("", sends(reply), Refused, "")) as traffic:
        with pytest.raises(Refused) as error:
            await client(traffic.url).complete(ASK)
    assert isinstance(error.value, ContextExceeded) is is_context


async def test_interim_responses_are_passed_over():
    answer = b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" * 3 + whole(text=" two")
    async with hostile(Hostile("", sends(answer), Refused, "")) as traffic:
        assert (await client(traffic.url).complete(ASK)).text == " two"


@pytest.mark.parametrize("reason", ["stop", "eos_token", "stop_sequence", "eos", "end_turn"])
@pytest.mark.parametrize("stream", [False, True])
async def test_other_words_for_stop(reason, stream):
    answer = ends_with(reason) if stream else whole(finish_reason=reason)
    async with hostile(Hostile("", sends(answer), Refused, "")) as traffic:
        assert (await client(traffic.url).complete(ASK, stream=stream)).finish == "stop"


async def test_a_token_that_comes_late_is_waited_for():
    async def reply(send):
        await send(OPEN + text(" a"))
        for _ in range(6):
            await asyncio.sleep(0.05)
            await send(text(" b"))
        await send(text("", finish_reason="stop"))

    patience = {"timeouts": {"next_token_s": 0.2}}
    async with hostile(Hostile("", reply, Refused, "")) as traffic:
        answer = await client(traffic.url, **patience).complete(ASK, stream=True)
    assert answer.text == " a" + " b" * 6  # which takes longer than 0.2 s


def test_retry_after_takes_seconds_and_dates():
    assert retry_after_s({"retry-after": "2.5"}) == 2.5
    assert retry_after_s({}) == 0
    assert retry_after_s({"retry-after": "soon"}) == 0
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=60)
    assert 50 < retry_after_s({"retry-after": later.strftime("%a, %d %b %Y %H:%M:%S GMT")}) <= 60


async def test_a_call_that_waits_to_be_made_again_is_counted_while_it_waits():
    with closing(client("http://127.0.0.1:9/v1", retries=9)) as made:
        call = asyncio.create_task(made.complete(ASK))
        async with asyncio.timeout(20):
            while not made.stats.retrying:
                await asyncio.sleep(0.01)
        assert made.stats.retrying == 1
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert made.stats.retrying == 0
