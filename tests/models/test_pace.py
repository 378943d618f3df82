"""How fast a server is, and what its KV cache holds."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import assume, given
from hypothesis import strategies as st

from tessy.config import ModelSettings, Sampling, Timeouts
from tessy.models.client import Client, ClientStats
from tessy.models.pace import (
    TimedStream,
    cache_tokens,
    kv_bytes,
    kv_bytes_of,
    measure,
    pace_by_length,
    pace_of,
)
from tessy.models.probe import probe
from tessy.models.stream import EventStream
from tessy.models.wire import Bounds, Capabilities, Request
from tessy.testing import EchoScript, Faults, Latency, ScriptedServer, SilentScript

BOUNDS = Bounds.of(Request("x", 64, Sampling(), seed=0), 100)
QWEN3_8B = {
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "hidden_size": 4096,
}


async def paced(script, **more):
    async with ScriptedServer(script, **more) as server:
        settings = ModelSettings(model=server.url, retries=20)
        with closing(Client(server.url, "", settings)) as client:
            await probe(client)
            return await measure(client), server.stats


async def test_the_pace_is_at_least_the_servers():
    latency = Latency(first_token_s=0.02, token_s=0.002)
    pace, _ = await paced(EchoScript("one two three four five"), latency=latency)
    assert pace.first_token_s >= 0.02
    assert pace.token_s >= 0.001, "a timer may be early, but not by half"


@pytest.mark.parametrize("script", [SilentScript(), EchoScript("one")])
async def test_no_second_token_no_pace(script):
    pace, stats = await paced(script)
    assert pace is None
    assert stats.streamed > 5


async def test_a_server_that_does_not_stream_has_no_pace():
    assert (await paced(EchoScript("one two three"), streams=False))[0] is None


async def test_a_prompt_that_does_not_fit_is_no_fault_of_the_server():
    pace, _ = await paced(EchoScript("one two three"), context_length=125)
    assert pace is None


async def test_faults_are_tried_again(monkeypatch):
    monkeypatch.setattr("tessy.models.client._LONGEST_WAIT_S", 0.01)
    latency = Latency(first_token_s=0.002, token_s=0.02)  # longer than a busy machine waits
    pace, stats = await paced(
        EchoScript("one two three"), faults=Faults(0.3, seed=3), latency=latency
    )
    assert pace is not None
    assert stats.faults


METRICS = """# HELP vllm:cache_config_info Information of the LLMEngine CacheConfig
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="16",cache_dtype="auto",gpu_memory_utilization="0.9",\
num_gpu_blocks="29052",num_gpu_blocks_override="None",num_cpu_blocks="7"} 1.0
"""


@pytest.mark.parametrize(
    ("metrics", "tokens"),
    [
        (METRICS, 16 * 29052),
        (METRICS.replace('"29052"', '"None"'), None),
        (METRICS.replace("{", '{kv_cache_size_tokens="77000",mamba_block_size="3",'), 77_000),
        (METRICS.replace("{", '{engine="0",') + METRICS.replace("{", '{engine="1",'), 929_664),
        ("vllm:num_requests_running 0\n", None),
        ("", None),
        ("\x00garbage{", None),
        (None, None),
    ],
)
async def test_the_size_of_the_cache_is_what_vllm_says(metrics, tokens):
    async def answer(_):
        return web.Response(text=metrics) if metrics is not None else web.Response(status=404)

    app = web.Application()
    app.add_routes([web.get("/metrics", answer)])
    async with TestServer(app) as server:
        settings = ModelSettings(model="http://x/v1", retries=0)
        with closing(Client(str(server.make_url("/v1")), "", settings)) as client:
            assert await cache_tokens(client) == tokens


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, 147_456),
        ({"head_dim": None}, 147_456),
        ({"num_key_value_heads": None}, 4 * 147_456),
        ({"layer_types": ["full_attention", "sliding_attention"] * 18}, 147_456 // 2),
        ({"kv_lora_rank": 512}, None),
        ({"num_hidden_layers": None}, None),
        ({"num_hidden_layers": "36"}, None),
        ({"num_attention_heads": 0, "head_dim": None}, None),
        ({"layer_types": 7}, 147_456),
        ({"num_hidden_layers": "36", "head_dim": 10**12}, None),
        ({"layer_types": ["linear_attention"]}, None),
    ],
)
def test_bytes_of_cache_a_token(change, found):
    config = {**QWEN3_8B, **change}
    assert kv_bytes_of(config) == found
    assert kv_bytes_of({"text_config": config}) == found


async def test_the_first_folder_that_has_a_config_says_it(tmp_path):
    good, bad = tmp_path / "good", tmp_path / "bad"
    for folder in (good, bad):
        folder.mkdir()
    (good / "config.json").write_text(json.dumps(QWEN3_8B))
    for broken in (b"", b"[" * 100_000, b"\xff", b"[]"):
        (bad / "config.json").write_bytes(broken)
        assert await kv_bytes([bad]) is None
    assert await kv_bytes([tmp_path, good]) == 147_456
    assert await kv_bytes([tmp_path / "none"]) is None


# --- Tokens that come together ------------------------------------------------------------------


def stream(*arrivals, tokens=None, first=1):
    return TimedStream(arrivals, first, tokens or len(arrivals))


def test_tokens_that_come_one_after_the_other_say_the_pace():
    each = [stream(*(0.05 + 0.01 * n for n in range(32))) for _ in range(5)]
    found = pace_of(each)
    assert (found.first_token_s, found.token_s) == (0.05, pytest.approx(0.01))
    events_of_8 = stream(0.05, 0.13, 0.21, 0.29, tokens=32, first=8)
    assert pace_of([events_of_8]).token_s == pytest.approx(0.01)


@given(st.integers(2, 64), st.integers(0, 4), st.floats(0.001, 1))
def test_tokens_that_come_together_say_nothing(tokens, own, first_s):
    """A server held them back: 32 events at 8.9 to 9.0 ms are no token of 3 µs."""
    arrivals = [first_s + 1e-6 * n + 0.5 * min(n, own) for n in range(tokens)]
    assume(own < 0.7 * (tokens - 1))
    assert pace_of([stream(*arrivals)] * 5) is None


@given(st.floats(0.001, 0.1), st.floats(0.0002, 0.1))
def test_the_pace_then_is_what_more_tokens_take_longer(first_s, token_s):
    whole = first_s + 31 * token_s
    together = [stream(*([whole] * 32))] * 5
    found = pace_by_length(together, [stream(first_s)] * 5)
    assert found.first_token_s == first_s
    assert found.token_s == pytest.approx(token_s)


def test_a_pace_that_is_lost_in_the_noise_is_not_known():
    together = [stream(*([at] * 32)) for at in (0.009, 0.010, 0.011)]
    assert pace_by_length(together, [stream(at) for at in (0.002, 0.012, 0.003)]) is None
    assert pace_by_length([stream(0.01)], [stream(0.002)]) is None, "it ends after one token"
    assert pace_by_length(together, []) is None


async def test_the_pace_of_a_server_that_sends_all_its_tokens_at_once():
    """Its 20 tokens take 4 ms each, and come with the last one."""

    async def answer(request):
        asked = min((await request.json())["max_tokens"], 20)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await asyncio.sleep(0.01 + 0.004 * (asked - 1))
        event = {"choices": [{"index": 0, "text": " a", "finish_reason": None}]}
        last = {"choices": [{"index": 0, "text": "", "finish_reason": "length"}]}
        events = [*[event] * asked, last]
        lines = "".join(f"data: {json.dumps(each)}\n\n" for each in events)
        await response.write((lines + "data: [DONE]\n\n").encode())
        return response

    app = web.Application()
    app.add_routes([web.post("/v1/completions", answer)])
    async with TestServer(app) as server:
        settings = ModelSettings(model="http://x/v1", retries=0)
        can = Capabilities(streams=True)
        with closing(Client(str(server.make_url("/v1")), "", settings, can)) as client:
            found = await measure(client)
    assert found is None or found.token_s > 0.001, "not 0.0 ms"


# --- The pace of a run's streams -----------------------------------------------------------------


class SetClock:
    """An event loop whose time tests set, and whose timers never ring."""

    now = 0.0

    def time(self):
        return self.now

    def call_later(self, *_):
        return asyncio.get_running_loop().call_later(1000, print)


async def arrived(*times):
    """The counts of a stream whose tokens, of which nothing is read, arrive at some times."""
    stream, stats = EventStream("http://x/v1", BOUNDS, Timeouts()), ClientStats()
    stream._loop = clock = SetClock()
    stream._began = 0.0
    event = b'data: {"choices": [{"index": 0, "text": " a", "finish_reason": null}]}\n\n'
    try:
        stream.data_received(b"HTTP/1.1 200 OK\r\n\r\n")
        for clock.now in times:
            stream.data_received(event)
    finally:
        stream.detach()
    stats.streamed(stream)
    return stats.paced_tokens, stats.paced_s


async def test_the_time_of_a_token_is_when_it_comes_not_when_it_is_read():
    tokens, seconds = await arrived(1.0, 1.02, 1.04, 1.06)
    assert (tokens, seconds) == (3, pytest.approx(0.06))


async def test_tokens_that_come_with_the_first_say_nothing_of_their_time():
    tokens, seconds = await arrived(1.0, 1.0, 1.0, 1.02)
    assert (tokens, seconds) == (1, pytest.approx(0.02))
    assert await arrived(1.0) == (0, 0.0)
    assert await arrived(*[1.0] * 9) == (0, 0.0)
    assert await arrived(1.0, *[1.00011] * 9) == (0, 0.0), "one gap and nine tokens: a burst"
