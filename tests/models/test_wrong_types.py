"""Whatever is in an answer, a call ends with a result that makes sense, or with a `ModelError`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, closing

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from models.wrong_types import wrong
from tessy.config import ModelSettings, Sampling, Timeouts
from tessy.errors import BadResponse, ModelError
from tessy.models.client import Client
from tessy.models.logprobs import LogprobsField, prompt_logprobs
from tessy.models.probe import probe
from tessy.models.replicas import Replicas
from tessy.models.stream import EventStream
from tessy.models.tokenizers import PromptPiece, ServerTokenizer
from tessy.models.wire import Bounds, Completion, Request, parse

ASK = Request("One,", max_tokens=8, sampling=Sampling(temperature=0), seed=0)
BOUNDS = Bounds.of(ASK, 100)
USAGE = {
    "prompt_tokens": 3,
    "completion_tokens": 2,
    "prompt_tokens_details": {"cached_tokens": 1},
}
WHOLE = {
    "choices": [{"index": 0, "text": " two", "finish_reason": "stop", "token_ids": [4, 5]}],
    "usage": USAGE,
}
VERBOSE = {
    "choices": [{"text": " two", "finish_reason": "stop"}],
    "__verbose": {"tokens": [4, 5]},
    "usage": USAGE,
}
LAST = {"choices": [{"text": "", "finish_reason": "stop"}]}


def makes_sense(found: Completion) -> bool:
    counts = (found.tokens, found.prompt_tokens or 0, found.cached_tokens or 0)
    return (
        type(found.text) is str
        and found.finish in ("stop", "length", "content_filter")
        and all(type(count) is int and 0 <= count < 2**31 for count in counts)
        and all(type(each) is int and 0 <= each < 2**31 for each in found.ids or ())
        and isinstance(found.text.encode(), bytes)  # no lone surrogates
    )


@pytest.mark.parametrize("answer", [WHOLE, VERBOSE])
def test_whole_completions(answer):
    assert makes_sense(parse(json.dumps(answer).encode(), BOUNDS))
    refused = 0
    for what, raw in wrong(answer):
        try:
            assert makes_sense(parse(raw, BOUNDS)), what
        except BadResponse:
            refused += 1
    assert refused > 200


async def streamed(*events: bytes) -> Completion:
    stream = EventStream("http://x/v1", BOUNDS, Timeouts())
    try:
        stream.data_received(b"HTTP/1.1 200 OK\r\n\r\n")
        for event in events:
            stream.data_received(b"data: " + event + b"\n\n")
        stream.connection_lost(None)
        async for event in stream:
            assert type(event.text) is str
        return stream.completion()
    finally:
        stream.detach()


@pytest.mark.parametrize("answer", [WHOLE, VERBOSE])
async def test_streamed_completions(answer):
    good, last = json.dumps(answer).encode(), json.dumps(LAST).encode()
    usage = json.dumps({"choices": [], "usage": USAGE}).encode()
    assert makes_sense(await streamed(good, last, usage))
    refused = 0
    for what, raw in wrong(answer):
        for events in ((raw, last, usage), (good, raw), (good, last, raw)):
            try:
                found = await streamed(*events)
            except BadResponse:
                refused += 1
            else:
                assert not found.text or makes_sense(found), what
    assert refused > 500


@asynccontextmanager
async def answering(**answers: object):
    """A client of a server with fixed answers; yields it and the answers, which may be changed."""
    said = {name: json.dumps(answer).encode() for name, answer in answers.items()}

    async def handle(request: web.Request) -> web.Response:
        name = request.path.rsplit("/", 1)[-1]
        if name == "completions" and b'"stream":true' in await request.read():
            event = b"data: " + said[name] + b"\n\ndata: [DONE]\n\n"
            return web.Response(body=event, content_type="text/event-stream")
        if name not in said:
            return web.Response(status=404)
        return web.Response(body=said[name], content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with TestServer(app) as server:
        url = str(server.make_url("/v1"))
        settings = ModelSettings(model=url, retries=0)
        with closing(Client(url, "", settings)) as client:
            yield client, said


async def refusals(
    said: dict[str, bytes], name: str, good: object, call: Callable[[], Awaitable[object]]
) -> list[str]:
    """The messages of calls to a server whose answer is wrong in one place."""
    await call()
    messages = []
    for what, raw in wrong(good):
        said[name] = raw
        try:
            async with asyncio.timeout(20):
                await call()
        except ModelError as error:
            messages.append(str(error))
        except Exception as error:
            raise AssertionError(what) from error
    return messages


MODELS = {
    "object": "list",
    "data": [{"id": "m", "max_model_len": 4096, "root": "/m", "meta": {"n_ctx": 512}}],
}


async def test_lists_of_models():
    async with answering(models=MODELS, completions=WHOLE) as (client, said):
        start = client.capabilities

        async def call():
            client.capabilities = start
            found = await probe(client)
            assert type(found.served_name) is str
            assert found.context_tokens is None or type(found.context_tokens) is int
            assert type(found.root) is str

        messages = await refusals(said, "models", MODELS, call)
    assert len(messages) > 80
    assert all(client.url_of("/v1/models") in message for message in messages), messages


async def test_answers_of_the_servers_tokenizer():
    tokenize, detokenize = {"tokens": [4, 5]}, {"content": " two"}
    async with answering(tokenize=tokenize, detokenize=detokenize) as (client, said):
        servers = Replicas([client])

        async def encode():
            ids = await ServerTokenizer(servers).encode(PromptPiece("One, two"))
            assert all(type(each) is int and 0 <= each < 2**31 for each in ids)

        async def decode():
            tokens = await ServerTokenizer(servers).tokens([4, 5])
            assert all(type(token.text) is str for token in tokens)

        assert len(await refusals(said, "tokenize", tokenize, encode)) > 70
        said["tokenize"] = json.dumps(tokenize).encode()
        assert len(await refusals(said, "detokenize", detokenize, decode)) > 30
        said["tokenize"] = json.dumps({"tokens": [5] * 2000}).encode()
        with pytest.raises(BadResponse, match="2,000 ids for 8 characters"):
            await encode()


@pytest.mark.parametrize(
    ("field", "choice"),
    [
        (LogprobsField.PROMPT_LOGPROBS,
         {"prompt_logprobs": [None, {"5": {"logprob": -1.5}}, {"6": {"logprob": -0.5}}]}),
        (LogprobsField.ECHO, {"logprobs": {"token_logprobs": [None, -1.5, -0.5, -0.1]}}),
    ],
)  # fmt: skip
async def test_log_probabilities(field, choice):
    good = {"choices": [choice]}
    async with answering(completions=good) as (client, said):

        async def call():
            found = await prompt_logprobs(client, [4, 5, 6], field)
            assert found[0] is None
            assert [type(value) for value in found[1:]] == [float, float]
            assert all(value is not None and -1e301 < value < 0.01 for value in found[1:])

        assert len(await refusals(said, "completions", good, call)) > 120
