"""Servers of different abilities are told apart by asking them."""

from __future__ import annotations

import pytest

from tessy.config import ModelSettings
from tessy.errors import ModelError, Refused
from tessy.models.client import Client
from tessy.models.probe import probe
from tessy.testing import EchoScript, ScriptedServer, build_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build_tokenizer(tmp_path_factory.mktemp("tokenizer"), flavour="qwen3")


async def found(server, name=""):
    settings = ModelSettings(model="http://x/v1", retries=1)
    async with server, Client(server.url, name, settings) as client:
        return await probe(client)


async def test_a_server_like_vllm(folder):
    server = ScriptedServer(EchoScript("hi there"), tokenizer=folder, context_length=777)
    abilities = await found(server)
    assert abilities.served_name == "scripted"
    assert abilities.context_tokens == 777
    assert abilities.streaming
    assert abilities.counts_cached
    assert not abilities.tokenizes
    assert abilities.dialect.id_prompts
    assert abilities.dialect.extensions
    assert abilities.dialect.return_ids == {"return_token_ids": True}


async def test_a_strict_server_without_ids_and_streams():
    server = ScriptedServer(
        EchoScript("hi there"), accept_ids=False, accept_extensions=False, streams=False
    )
    abilities = await found(server)
    assert not abilities.dialect.id_prompts
    assert not abilities.dialect.extensions
    assert not abilities.dialect.return_ids
    assert not abilities.streaming


async def test_a_wrong_name_is_refused_with_the_right_ones():
    with pytest.raises(Refused, match="only scripted"):
        await found(ScriptedServer(EchoScript("hi")), "Qwen")


async def test_nobody_there():
    settings = ModelSettings(model="http://x/v1", retries=0)
    async with Client("http://127.0.0.1:9/v1", "", settings) as client:
        with pytest.raises(ModelError):
            await probe(client)
