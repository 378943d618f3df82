"""Several servers of one model: pinning, moving and watching."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.config import ModelSettings, Sampling
from tessy.errors import ConfigError, ModelError, Unreachable
from tessy.models import replicas as replicas_module
from tessy.models.address import parse_all
from tessy.models.client import Client
from tessy.models.replicas import Replica, Replicas, ranked, worth_moving
from tessy.models.wire import EncodedPrompt, Request
from tessy.testing import EchoScript, ScriptedServer

ASK = Request("One,", max_tokens=8, sampling=Sampling(temperature=0), seed=0)
NAMES = ["http://a/v1", "http://b/v1", "http://c/v1"]


def client(url: str, retries: int = 2) -> Client:
    settings = ModelSettings.model_validate({"model": url, "retries": retries})
    return Client(url, "scripted", settings)


def some(count: int = 3) -> Replicas:
    return Replicas([client(name) for name in NAMES[:count]])


async def call(lease, request=ASK, *, stream=True):
    """One call, as a session makes it."""
    call = lease.call()
    while True:
        try:
            answer = await call.client.attempt(request, stream=stream)
        except ModelError as error:
            await call.retry_after(error)
        else:
            lease.answered(request.prompt_tokens)
            return answer


@given(st.text(max_size=20), st.integers(0, 2))
def test_a_key_goes_elsewhere_only_when_its_own_server_is_taken_away(key, gone):
    """The property of rendezvous hashing: the order of the others does not change."""
    order = [NAMES[at] for at in ranked(key, NAMES)]
    rest = [name for name in NAMES if name != NAMES[gone]]
    assert [rest[at] for at in ranked(key, rest)] == [n for n in order if n != NAMES[gone]]


@given(st.lists(st.text(max_size=8), max_size=60))
def test_no_replica_has_more_than_its_share(keys):
    servers = some()
    for number, key in enumerate(keys, 1):
        servers.acquire(key)
        loads = [replica.load for replica in servers.replicas]
        assert sum(loads) == number
        assert max(loads) <= -(-number // 3)


@given(st.integers(0, 50), st.integers(0, 50), st.floats(0, 5), st.floats(0, 5), st.integers(0, 99))
def test_a_move_has_to_gain_more_than_it_costs(load, other, here_s, there_s, turns):
    here = Replica(client(NAMES[0]), load=load, first_s=here_s, prefill_s=0.001)
    there = Replica(client(NAMES[1]), load=other, first_s=there_s)
    gains = turns * (here_s - there_s)
    for prefix in (0, 100, 10_000):
        wanted = load - other >= 2 and gains > prefix * 0.001
        assert worth_moving(here, there, prefix, turns) is wanted


async def test_a_trajectory_stays_where_it_is():
    async with AsyncExitStack() as stack:
        servers, running = await opened(stack, 2)
        for key in ("a", "b", "c", "d"):
            lease = servers.acquire(key)
            before = lease.replica
            for _ in range(3):
                await call(lease)
            assert lease.replica is before
        assert servers.moves == 0
        assert sorted(server.stats.requests for server in running) == [6, 6]


async def test_it_moves_when_its_server_dies_and_the_server_is_used_again(monkeypatch):
    monkeypatch.setattr(replicas_module, "_WATCH_S", 0.05)
    async with AsyncExitStack() as stack:
        servers, running = await opened(stack, 2)
        leases = [servers.acquire(f"q{n}") for n in range(8)]
        dead = servers.replicas[0]
        await running[0].__aexit__(None, None, None)
        for lease in leases:
            answer = await call(lease)
            assert answer.text
        assert not dead.up
        assert [replica.load for replica in servers.replicas] == [0, 8]
        await running[0].__aenter__()
        async with asyncio.timeout(10):
            while not dead.up:
                await asyncio.sleep(0.01)
        more = [servers.acquire(f"more{n}") for n in range(4)]
        assert all(lease.replica is dead for lease in more), "it has room, the other one has not"


async def test_when_all_are_down_a_call_uses_all_its_retries():
    async with AsyncExitStack() as stack:
        servers, running = await opened(stack, 2, retries=2)
        lease = servers.acquire("q")
        for server in running:
            await server.__aexit__(None, None, None)
        with pytest.raises(Unreachable):
            await call(lease, stream=False)
        attempts = [replica.client.stats.attempts for replica in servers.replicas]
        assert sorted(attempts) == [2, 3]
        assert not await servers.is_alive()


async def test_measured_times_give_the_cost_of_a_move():
    async with AsyncExitStack() as stack:
        servers, _ = await opened(stack, 1)
        lease = servers.acquire("q")
        for tokens in (100, 110, 120):
            request = Request(
                EncodedPrompt((b'"x"',), tokens), 4, Sampling(temperature=0), seed=0, stop=()
            )
            await call(lease, request)
        replica = lease.replica
        assert lease._seen == 120
        assert replica.first_s is not None
        assert replica.prefill_s is not None


async def opened(stack: AsyncExitStack, count: int, retries: int = 2):
    running = [
        await stack.enter_async_context(ScriptedServer(EchoScript(" two, three")))
        for _ in range(count)
    ]
    servers = Replicas([client(server.url, retries) for server in running])
    return stack.enter_context(closing(servers)), running


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("http://a/v1,gguf:x", "only servers can have replicas"),
        ("http://a/v1,http://a", "names a server twice"),
        ("http://a/v1#m,http://b/v1#n", "names several models"),
        ("http://a/v1,", "is not a model"),
    ],
)
def test_names_of_several_servers_that_are_not_valid(name, complaint):
    with pytest.raises(ConfigError, match=complaint):
        parse_all(name)


def test_names_of_several_servers():
    found = parse_all("http://a:1/v1#m, http://b:2")
    assert [one.place for one in found] == ["http://a:1/v1", "http://b:2/v1"]
    assert found[0].served_name == "m"
