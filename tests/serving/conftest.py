"""A pair of scripted servers behind `tessy serve`, in this event loop."""

import aiohttp
import pytest

from tessy.testing import build_tokenizer


@pytest.fixture(scope="session")
def tokenizers(tmp_path_factory):
    """Two tokenizers of different families and vocabularies."""
    folder = tmp_path_factory.mktemp("tokenizers")
    return {
        "student": build_tokenizer(folder / "student", flavour="qwen3", vocabulary=500, seed=1),
        "teacher": build_tokenizer(folder / "teacher", flavour="gpt-oss", vocabulary=900, seed=2),
    }


@pytest.fixture
async def client():
    async with aiohttp.ClientSession() as session:
        yield session
