"""Decoding generated ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.models.tokenizers import LocalTokenizer
from tessy.testing.tokenizers import build_tokenizer

VOCABULARY = 420


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
