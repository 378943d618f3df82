"""How fast a server is, and what its KV cache holds."""

from __future__ import annotations

import json
from contextlib import closing

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tessy.config import ModelSettings
from tessy.models.client import Client
from tessy.models.pace import cache_tokens, kv_bytes, kv_bytes_of, measure
from tessy.models.probe import probe
from tessy.testing import EchoScript, Faults, Latency, ScriptedServer, SilentScript

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
    pace, stats = await paced(EchoScript("one two three"), faults=Faults(0.3, seed=3))
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
