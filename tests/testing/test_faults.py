"""Each fault, as an aiohttp client sees it."""

from __future__ import annotations

import asyncio
from collections import Counter

import aiohttp
import orjson
import pytest

from tessy.testing import ALL_RETRYABLE, EchoScript, Fault, Faults, ScriptedServer

TEXT = "one two three four five six seven eight nine ten eleven twelve"


@pytest.fixture
async def session():
    async with aiohttp.ClientSession() as session:
        yield session


def failing(fault, seed=0):
    return ScriptedServer(EchoScript(TEXT), faults=Faults(1.0, (fault,), seed))


def call(session, server, *, stream):
    body = {"prompt": "x", "max_tokens": 100, "stream": stream}
    return session.post(server.url + "/completions", data=orjson.dumps(body))


def test_draws_are_seeded_and_counted():
    one, two, other = Faults(0.3, seed=4), Faults(0.3, seed=4), Faults(0.3, seed=5)
    drawn = [one.draw() for _ in range(2000)]
    kinds = Counter(each.fault for each in drawn if each)
    assert drawn == [two.draw() for _ in range(2000)]
    assert drawn != [other.draw() for _ in range(2000)]
    assert 500 < kinds.total() < 700
    assert set(kinds) == set(ALL_RETRYABLE)
    assert Faults(0).draw() is None
    with pytest.raises(ValueError, match="rate"):
        Faults(1.5)
    with pytest.raises(ValueError, match="kinds"):
        Faults(0.5, ())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "status"),
    [(Fault.SERVER_ERROR, 500), (Fault.RATE_LIMIT, 429), (Fault.REFUSE, 400)],
)
async def test_statuses(session, fault, status, stream):
    async with failing(fault) as server, call(session, server, stream=stream) as response:
        assert response.status == status
        assert (await response.json())["error"]["code"] == status
        assert response.headers.get("Retry-After") == ("0.01" if status == 429 else None)
        assert server.stats.faults == {fault: 1}


@pytest.mark.parametrize("stream", [False, True])
async def test_time_out(session, stream):
    async with failing(Fault.TIMEOUT) as server:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), call(session, server, stream=stream):
                pytest.fail("it answered")
        async with asyncio.timeout(10):
            while server.stats.in_flight:
                await asyncio.sleep(0.001)
        assert server.stats.aborted == 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("seed", range(6))
async def test_disconnect(session, stream, seed):
    async with failing(Fault.DISCONNECT, seed) as server:
        async with call(session, server, stream=stream) as response:
            assert response.status == 200
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
        async with asyncio.timeout(10):
            while server.stats.in_flight:
                await asyncio.sleep(0.001)
        assert server.stats.aborted == 0


@pytest.mark.parametrize("seed", range(6))
async def test_truncated_body(session, seed):
    async with failing(Fault.TRUNCATED, seed) as server:
        async with call(session, server, stream=False) as response:
            body = await response.read()
            assert response.status == 200
            assert int(response.headers["Content-Length"]) == len(body) > 0
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(body)


@pytest.mark.parametrize("seed", range(6))
async def test_truncated_stream(session, seed):
    async with failing(Fault.TRUNCATED, seed) as server:
        async with call(session, server, stream=True) as response:
            body = await response.read()
        assert b"[DONE]" not in body
        events = [orjson.loads(line[6:]) for line in body.split(b"\n\n") if line]
        assert all(event["choices"][0]["finish_reason"] is None for event in events)
        assert TEXT.startswith("".join(event["choices"][0]["text"] for event in events))


async def test_faults_strike_at_different_places(session):
    async with failing(Fault.TRUNCATED) as server:
        lengths = set()
        for _ in range(20):
            async with call(session, server, stream=True) as response:
                lengths.add((await response.read()).count(b"data: "))
    assert len(lengths) > 3


async def test_empty(session):
    async with failing(Fault.EMPTY) as server:
        async with call(session, server, stream=False) as response:
            answer = await response.json()
            assert response.status == 200
        assert answer["choices"][0]["text"] == ""
        assert answer["choices"][0]["finish_reason"] == "stop"
        assert answer["usage"]["completion_tokens"] == 0
        async with call(session, server, stream=True) as response:
            event, done = (line for line in (await response.read()).split(b"\n\n") if line)
        assert orjson.loads(event[6:])["choices"][0]["text"] == ""
        assert done == b"data: [DONE]"


@pytest.mark.parametrize("stream", [False, True])
async def test_garbage(session, stream):
    async with failing(Fault.GARBAGE) as server:
        async with call(session, server, stream=stream) as response:
            assert response.status == 200
            body = await response.read()
        with pytest.raises(UnicodeDecodeError):
            body.decode()
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(body.removeprefix(b"data: "))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("seed", range(3))
async def test_abort(session, stream, seed):
    async with failing(Fault.ABORT, seed) as server, call(session, server, stream=stream) as answer:
        assert answer.status == 200
        body = await answer.read()
    assert b'"finish_reason":"abort"' in body
    assert b'"finish_reason":"stop"' not in body
    assert TEXT[-10:].encode() not in body
    assert body.endswith(b"[DONE]\n\n") is stream


@pytest.mark.parametrize("stream", [False, True])
async def test_stall(session, stream):
    body = b""

    async def read():
        nonlocal body
        async with call(session, server, stream=stream) as response:
            async for data in response.content.iter_any():
                body += data

    async with failing(Fault.STALL) as server:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(read(), 0.2)
        assert (b'"text":"one' in body) is stream
        assert b"[DONE]" not in body


async def test_a_retry_cures(session):
    server = ScriptedServer(EchoScript(TEXT), faults=Faults(0.5, seed=1))
    done = 0
    async with server:
        while done < 50:
            try:
                async with call(session, server, stream=bool(done % 2)) as response:
                    body = await response.read()
                    good = response.status == 200 and b'"finish_reason":"stop"' in body
                    good = good and body.endswith((b"}", b"[DONE]\n\n"))
            except aiohttp.ClientError:
                good = False
            done += good
        assert server.stats.requests == 50 + sum(server.stats.faults.values())
        assert set(server.stats.faults) == set(ALL_RETRYABLE)
