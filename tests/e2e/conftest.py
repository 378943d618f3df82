"""Tokenizers for the command line against scripted servers."""

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


@pytest.fixture(scope="session")
def think_tokenizers(tokenizers, tmp_path_factory):
    """Two tokenizers whose end of thinking shows in the text."""
    folder = tmp_path_factory.mktemp("think") / "teacher"
    teacher = build_tokenizer(folder, flavour="deepseek-r1", vocabulary=700, seed=3)
    return {**tokenizers, "teacher": teacher}
