"""Generated ids and the characters that they stand for."""

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
async def test_ids_mean_the_same_whatever_was_decoded_before(codecs, turns):
    """Any ids: halves of characters, special tokens and ids that there are none of, too."""
    codec, folder = codecs
    for ids in turns:
        assert await codec.tokens(ids) == await LocalTokenizer(folder).tokens(ids)
