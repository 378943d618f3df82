"""The probe of servers of different kinds."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, closing, nullcontext

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tessy.config import ModelSettings, Sampling
from tessy.errors import (
    BadResponse,
    ConfigError,
    ModelError,
    NotAStream,
    Refused,
    ServerFailure,
    TimedOut,
)
from tessy.models import client as client_module
from tessy.models import probe as probe_module
from tessy.models.client import Client
from tessy.models.probe import check_tokenizer, probe
from tessy.models.tokenizers import LocalTokenizer, PromptPiece
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


@asynccontextmanager
async def serving(models=None, complete=None, name="", retries=3):
    """A server whose answers are functions of the number of the request, or of its body."""
    count = 0

    async def list_models(_):
        nonlocal count
        count += 1
        return models(count)

    async def answer(request):
        body = await request.json()
        if complete and (response := complete(body)):
            return response
        if body.get("stream"):
            event = b"data: " + orjson.dumps(ANSWER) + b"\n\ndata: [DONE]\n\n"
            return web.Response(body=event, content_type="text/event-stream")
        return web.json_response(ANSWER)

    app = web.Application()
    app.add_routes([web.post("/v1/completions", answer)])
    if models:
        app.add_routes([web.get("/v1/models", list_models)])
    settings = ModelSettings(model="http://x/v1", retries=retries)
    async with TestServer(app) as server:
        with closing(Client(str(server.make_url("/v1")), name, settings)) as one:
            yield one


@pytest.fixture
def quick(monkeypatch):
    """Waits are short."""
    monkeypatch.setattr(client_module, "_LONGEST_WAIT_S", 0.01)
    monkeypatch.setattr(probe_module, "_LOADING_POLL_S", 0.01)


LOADING = {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}
LIST = {"data": [{"id": "odd", "max_model_len": 99}]}


def loading_until(ready):
    def models(count):
        return web.json_response(
            LIST if count >= ready else LOADING, status=200 if count >= ready else 503
        )

    return models


async def test_a_server_that_loads_its_model_is_waited_for(quick):
    said = []
    async with serving(loading_until(4)) as client:
        found = await probe(client, said.append)
    assert (found.served_name, found.context_tokens) == ("odd", 99)
    assert said == [f"{client.base_url} is loading its model: waiting, 10 minutes at most"]


async def test_a_server_that_lists_a_model_before_it_is_loaded_is_waited_for(quick):
    """As llama.cpp's does."""
    asked, said = [], []

    def complete(body):
        asked.append(body)
        return web.json_response(LOADING, status=503) if len(asked) < 4 else None

    async with serving(lambda _: web.json_response(LIST), complete) as client:
        assert (await probe(client, said.append)).extensions
    assert len(said) == 1


async def test_a_server_that_never_loads_is_given_up(quick, monkeypatch):
    monkeypatch.setattr(probe_module, "_LOADING_S", 0.05)
    async with serving(loading_until(10**9)) as client:
        with pytest.raises(ServerFailure, match="Loading model"):
            await probe(client)


@pytest.mark.parametrize(
    "body",
    [b'{"data": null}', b'{"data": ["name"]}', b'{"data": []}', b"{}", b"[]", b"null", b"7", b"",
     b"<html>Sign in</html>", b'{"data": [{"id": 5}, null, {"name": "x"}]}',
     b'{"data": [{"id": "odd", "max_model_len": "99"}]}',
     b'{"data": [{"id": "odd", "max_model_len": -1}]}',
     b'{"data": [{"id": "odd", "meta": {"n_ctx": 1e30}}]}'],
)  # fmt: skip
async def test_a_list_of_models_that_is_none_names_its_url(quick, body):
    async with serving(lambda _: web.Response(body=body)) as client:
        with pytest.raises(BadResponse) as error:
            await probe(client)
    assert client.url_of("/v1/models") in str(error.value)


async def test_without_a_list_a_name_is_asked_for_and_enough(quick):
    async with serving() as client:
        with pytest.raises(Refused, match="/v1/models answered 404") as error:
            await probe(client)
        assert "URL#NAME" in error.value.hint
    for models in (None, lambda _: web.Response(body=b"<html>"), lambda _: web.json_response([])):
        async with serving(models, name="mine") as client:
            found = await probe(client)
            assert (found.served_name, found.context_tokens) == ("mine", None)


async def test_a_key_that_is_not_accepted_is_no_missing_list(quick):
    async with serving(lambda _: web.json_response({}, status=401), name="mine") as client:
        with pytest.raises(Refused, match="401"):
            await probe(client)


@pytest.mark.parametrize("status", [500, 501, 400, 422, 200])
async def test_a_server_that_breaks_at_a_prompt_of_ids_gets_text(quick, status):
    def complete(body):
        if isinstance(body["prompt"], list):
            return web.json_response({"error": "TypeError: unhashable"}, status=status)
        return None

    async with serving(lambda _: web.json_response(LIST), complete) as client:
        found = await probe(client)
    assert not found.id_prompts
    assert found.streams
    assert found.extensions


async def test_one_failure_is_not_taken_for_one_that_lasts(quick):
    failed = set()

    def complete(body):
        kind = (type(body["prompt"]), body.get("stream"), "top_k" in body)
        if kind in failed:
            return None
        failed.add(kind)
        return web.json_response({}, status=500)

    async with serving(lambda _: web.json_response(LIST), complete) as client:
        found = await probe(client)
    assert (found.id_prompts, found.extensions, found.streams) == (True, True, True)


async def test_a_server_that_breaks_at_everything_is_broken(quick):
    def complete(body):
        return web.json_response({"error": "CUDA out of memory"}, status=500)

    async with serving(lambda _: web.json_response(LIST), complete) as client:
        with pytest.raises(ServerFailure, match="CUDA out of memory"):
            await probe(client)


async def test_a_server_that_accepts_and_never_answers_is_told_of_and_given_up(monkeypatch):
    monkeypatch.setattr(probe_module, "_LATE_S", 0.01)
    monkeypatch.setattr(client_module, "_GET_S", 0.3)
    said = []
    server = await asyncio.start_server(lambda *_: asyncio.sleep(3600), "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        settings = ModelSettings(model=url, retries=0)
        with closing(Client(url, "", settings)) as client, pytest.raises(TimedOut):
            await probe(client, said.append)
    assert said == [f"{url} takes its time to answer: waiting"]


async def test_a_server_that_fails_again_and_again_is_told_of(quick, monkeypatch):
    monkeypatch.setattr(client_module, "_LONGEST_WAIT_S", 0.05)
    monkeypatch.setattr(probe_module, "_LATE_S", 0.3)
    said = []

    def full(_):
        return web.json_response({}, status=429)

    async with serving(lambda _: web.json_response(LIST), full, retries=100) as client:
        asking = asyncio.create_task(probe(client, said.append))
        async with asyncio.timeout(20):
            while not said:
                await asyncio.sleep(0.01)
        asking.cancel()
    assert said == [f"{client.base_url} fails, and is asked again: waiting"]


# --- Whose tokenizer it is ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [{"flavour": "qwen3", "seed": 2}, {"flavour": "qwen3", "vocabulary": 700},
     {"flavour": "deepseek-r1"}, {"flavour": "gpt-oss", "seed": 5}],
)  # fmt: skip
async def test_another_models_tokenizer_is_refused(tmp_path, folder, more):
    other = LocalTokenizer(build_tokenizer(tmp_path, **more))
    async with ScriptedServer(EchoScript("hi"), tokenizer=folder) as server:
        with closing(Client(server.url, "", ModelSettings(model=server.url))) as client:
            await probe(client)
            await check_tokenizer(client, LocalTokenizer(folder), "its own")
            with pytest.raises(ConfigError, match="x is not that of the model at"):
                await check_tokenizer(client, other, "x")


@pytest.mark.parametrize("flavour", ["qwen3", "gpt-oss", "deepseek-r1", "plain"])
async def test_a_tokenizer_that_puts_a_token_before_a_text_is_its_own(tmp_path, flavour):
    folder = build_tokenizer(tmp_path, flavour=flavour)
    async with ScriptedServer(EchoScript("hi"), tokenizer=folder) as server:
        with closing(Client(server.url, "", ModelSettings(model=server.url))) as client:
            await probe(client)
            await check_tokenizer(client, LocalTokenizer(folder), "x")


@pytest.mark.parametrize(("more", "is_refused"), [(0, False), (1, False), (50, True), (-50, True)])
async def test_without_a_tokenize_the_count_of_tokens_must_be_about_right(folder, more, is_refused):
    own = LocalTokenizer(folder)
    count = len(await own.encode(PromptPiece(probe_module._MIXED))) + more
    usage = {"prompt_tokens": count, "completion_tokens": 1}

    def complete(_):
        return web.json_response(ANSWER | {"usage": usage})

    async with serving(lambda _: web.json_response(LIST), complete) as client:
        await probe(client)
        with pytest.raises(ConfigError) if is_refused else nullcontext():
            await check_tokenizer(client, own, "x")
