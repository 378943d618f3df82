"""The probe of servers of different kinds."""

from __future__ import annotations

from contextlib import asynccontextmanager, closing

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tessy.config import ModelSettings, Sampling
from tessy.errors import ModelError, NotAStream, Refused
from tessy.models.client import Client
from tessy.models.probe import probe
from tessy.models.wire import Request
from tessy.testing import EchoScript, ScriptedServer, build_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build_tokenizer(tmp_path_factory.mktemp("tokenizer"), flavour="qwen3")


async def found(server, name=""):
    settings = ModelSettings(model="http://x/v1", retries=1)
    async with server:
        with closing(Client(server.url, name, settings)) as client:
            return await probe(client)


async def test_a_server_like_vllm(folder):
    server = ScriptedServer(EchoScript("hi there"), tokenizer=folder, context_length=777)
    capabilities = await found(server)
    assert capabilities.served_name == "scripted"
    assert capabilities.context_tokens == 777
    assert capabilities.streams
    assert capabilities.counts_cached
    assert not capabilities.tokenizes
    assert capabilities.id_prompts
    assert capabilities.extensions
    assert capabilities.return_ids == {"return_token_ids": True}


async def test_a_strict_server_without_ids_and_streams():
    server = ScriptedServer(
        EchoScript("hi there"), accept_ids=False, accept_extensions=False, streams=False
    )
    capabilities = await found(server)
    assert not capabilities.id_prompts
    assert not capabilities.extensions
    assert not capabilities.return_ids
    assert not capabilities.streams


async def test_a_wrong_name_is_refused_with_the_right_ones():
    with pytest.raises(Refused, match="only scripted"):
        await found(ScriptedServer(EchoScript("hi")), "Qwen")


async def test_nobody_there():
    settings = ModelSettings(model="http://x/v1", retries=0)
    with pytest.raises(ModelError):
        await probe(Client("http://127.0.0.1:9/v1", "", settings))


ANSWER = {
    "choices": [{"text": " five", "finish_reason": "length"}],
    "usage": {"completion_tokens": 1},
}


@asynccontextmanager
async def answering(*streamed: bytes, content_type="application/json"):
    """A server that responds to requests for a stream with these bodies, the last one forever."""
    left, asked = list(streamed), []

    async def complete(request):
        if not (await request.json()).get("stream"):
            return web.json_response(ANSWER)
        asked.append(request)
        said = left.pop(0) if len(left) > 1 else left[0]
        return web.Response(body=said, content_type=content_type)

    async def models(request):
        return web.json_response({"data": [{"id": "odd"}]})

    app = web.Application()
    app.add_routes([web.get("/v1/models", models), web.post("/v1/completions", complete)])
    settings = ModelSettings(model="http://x/v1", retries=3)
    async with TestServer(app) as server:
        with closing(Client(str(server.make_url("/v1")), "", settings)) as one:
            yield one, asked


@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream", "text/plain"])
@pytest.mark.parametrize("option", [0, orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE])
async def test_a_server_that_sends_a_whole_response_is_asked_for_a_stream_once(
    content_type, option
):
    body = orjson.dumps(ANSWER, option=option)
    async with answering(b"\n " + body, content_type=content_type) as (client, asked):
        capabilities = await probe(client)
        assert len(asked) == 1
        assert not capabilities.streams
        with pytest.raises(NotAStream):
            await client.complete(Request("One,", 1, Sampling(), seed=0), stream=True)
        assert len(asked) == 2


@pytest.mark.parametrize("trouble", [{"error": "busy"}, {"choices": []}])
async def test_an_error_that_is_sent_as_json_is_retried(trouble):
    stream = b"data: " + orjson.dumps(ANSWER) + b"\n\ndata: [DONE]\n\n"
    async with answering(orjson.dumps(trouble), stream) as (client, asked):
        assert (await probe(client)).streams
        assert len(asked) >= 2
