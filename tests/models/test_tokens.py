"""Decoding generated ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.config import ModelSettings
from tessy.models.client import Client
from tessy.models.replicas import Replicas
from tessy.models.tokenizers import LocalTokenizer, ServerTokenizer, Token
from tessy.testing.tokenizers import build_tokenizer

VOCABULARY = 420
MANY = 20_000


@pytest.fixture(scope="module")
def codecs(tmp_path_factory):
    folder = build_tokenizer(
        tmp_path_factory.mktemp("tokens"), flavour="qwen3", vocabulary=VOCABULARY, seed=1
    )
    return LocalTokenizer(folder), folder


@given(st.lists(st.lists(st.integers(0, VOCABULARY + 20), max_size=12), min_size=1, max_size=4))
async def test_decoding_does_not_depend_on_what_was_decoded_before(codecs, turns):
    """Any ids, even parts of characters, special tokens and ids that don't exist."""
    codec, folder = codecs
    for ids in turns:
        assert await codec.tokens(ids) == await LocalTokenizer(folder).tokens(ids)


def ids_of(tokens: list[Token]) -> list[int]:
    return [token_id for token in tokens for token_id in token.ids]


async def test_ids_that_make_no_character_are_decoded_a_few_at_a_time(codecs):
    """More of them would be decoded again and again, in quadratic time."""
    codec, _ = codecs
    half = codec._control.token_to_id("Ã")  # the byte C3, with which é begins
    assert codec._control.decode([half]) == "\ufffd"
    (special,) = codec._control.encode("<|im_end|>", add_special_tokens=False).ids
    for ids in ([half] * MANY, [half, special] * (MANY // 2)):
        tokens = await codec.tokens(ids)
        assert max(len(token.ids) for token in tokens) == 16
        assert ids_of(tokens) == ids[: len(ids_of(tokens))]
        assert len(ids) - len(ids_of(tokens)) < 16
    (last,) = await codec.tokens([special] * MANY + codec._text.encode("so").ids[:1])
    assert len(last.ids) == MANY + 1, "special tokens have no text, and go with the next"


async def test_characters_after_what_is_none_are_whole(codecs):
    codec, _ = codecs
    whole = codec._text.encode(" 🤔 é").ids
    half = codec._control.token_to_id("Ã")  # the byte C3, with which é begins
    (special,) = codec._control.encode("<|im_end|>", add_special_tokens=False).ids
    for before in range(4):
        for ids in ([special] * before + whole, [half] * 16 + whole):
            tokens = await codec.tokens(ids)
            assert "".join(token.text for token in tokens).endswith(" 🤔 é")
            assert ids_of(tokens) == ids


class Pieces(Client):
    """A server that decodes bytes: id n is the byte n, and 256 is a special token."""

    async def post_once(self, path, payload):
        self.stats.attempts += 1
        self.asked = max(getattr(self, "asked", 0), len(payload["tokens"]))
        data = bytes(token for token in payload["tokens"] if token < 256)
        return {"content": data.decode("utf-8", "replace")}


@given(st.lists(st.integers(0, 256), max_size=60), st.text(max_size=8))
async def test_a_servers_tokenizer_asks_for_a_few_ids_at_a_time(ids, text):
    client = Pieces("http://x/v1", "m", ModelSettings())
    codec = ServerTokenizer(Replicas([client]))
    tokens = await codec.tokens(ids)
    assert ids_of(tokens) == ids[: len(ids_of(tokens))]
    assert client.stats.attempts <= len(ids)
    assert getattr(client, "asked", 0) <= 4
    right = await codec.tokens(list(text.encode()))
    assert "".join(token.text for token in right) == text
    assert all(len(token.text) == 1 for token in right if "\ufffd" not in token.text)
