"""Tokenizers made for tests behave as a model's would."""

from __future__ import annotations

import datetime
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tessy.testing import build_tokenizer
from tessy.testing.tokens import IdTokenizer, whole_characters

FLAVOURS = ("qwen3", "gpt-oss", "deepseek-r1", "plain")
CONTROL = [
    "<|im_end|>",
    "</think>",
    "<|end|>",
    "<｜User｜>",
    "<think>\n",
    "👩‍👩‍👧",
    "e\u0301",
    "\n\n",
]
texts = st.lists(st.one_of(st.text(), st.sampled_from(CONTROL))).map("".join)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("tokenizers")
    return {flavour: build_tokenizer(base / flavour, flavour=flavour) for flavour in FLAVOURS}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_round_trip(folders, flavour):
    tokenizer = Tokenizer.from_file(str(folders[flavour] / "tokenizer.json"))
    codec = IdTokenizer(folders[flavour])

    @given(texts)
    def check(text):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert tokenizer.decode(ids, skip_special_tokens=False) == text
        assert codec.encode(text, begin=False) == ids
        assert codec.data(ids).decode() == text
        assert b"".join(token.data for token in codec.tokens(text.encode())).decode() == text

    check()


def test_special_tokens_are_special_and_think_is_not(folders):
    expected = {
        "qwen3": ({"<|im_start|>", "<|im_end|>", "<|endoftext|>"}, {"<think>", "</think>"}),
        "deepseek-r1": ({"<｜User｜>", "<｜Assistant｜>"}, {"<think>", "</think>"}),
        "gpt-oss": ({"<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>"}, set()),
        "plain": ({"<|endoftext|>"}, set()),
    }
    for flavour, (special, shown) in expected.items():
        tokenizer = Tokenizer.from_file(str(folders[flavour] / "tokenizer.json"))
        added = {t.content: t.special for t in tokenizer.get_added_tokens_decoder().values()}
        assert special <= {text for text, is_special in added.items() if is_special}
        assert shown == {text for text, is_special in added.items() if not is_special}
        assert tokenizer.get_vocab_size() == 600
        config = json.loads((folders[flavour] / "tokenizer_config.json").read_text("utf-8"))
        assert tokenizer.token_to_id(config["eos_token"]) is not None


def test_only_deepseek_puts_a_begin_token(folders):
    for flavour, folder in folders.items():
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokens = tokenizer.encode("hi").tokens
        assert (tokens[0] == "<｜begin▁of▁sentence｜>") == (flavour == "deepseek-r1")


def test_the_same_arguments_make_the_same_tokenizer_and_others_another(tmp_path):
    def made(name, **arguments):
        return (build_tokenizer(tmp_path / name, **arguments) / "tokenizer.json").read_bytes()

    assert made("a") == made("b")
    assert made("c", seed=1) != made("a")
    large = json.loads(made("d", vocabulary=2000))
    assert len(large["model"]["vocab"]) + len(large["added_tokens"]) == 2000
    seed_0, seed_1 = (Tokenizer.from_file(str(tmp_path / n / "tokenizer.json")) for n in "ac")
    assert seed_1.decode(seed_0.encode("so the answer is 7").ids) != "so the answer is 7"
    with pytest.raises(ValueError, match="300"):
        build_tokenizer(tmp_path / "e", vocabulary=10)
    with pytest.raises(ValueError, match="flavour"):
        build_tokenizer(tmp_path / "f", flavour="llama")


def test_chat_templates_render_in_their_family(folders):
    from tessy.models.templates import from_tokenizer

    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "6*7?"}]
    endings = {
        "qwen3": "6*7?<|im_end|>\n<|im_start|>assistant\n<think>\n",
        "deepseek-r1": "<｜User｜>6*7?<｜Assistant｜><think>\n",
        "gpt-oss": "6*7?<|end|><|start|>assistant<|channel|>analysis<|message|>",
        "plain": "User: 6*7?\n\nAssistant:\n<think>\n",
    }
    for flavour, ending in endings.items():
        date = datetime.date(2026, 1, 1)
        chat = from_tokenizer(folders[flavour], name="x", arguments={}, date=date)
        text = "".join(piece.text for piece in chat.opening(messages))
        assert text.endswith(ending)
        assert "Be kind." in text


@given(st.text(min_size=1))
def test_whole_finds_the_incomplete_character(text):
    data = text.encode()
    assert whole_characters(data) == len(data)
    last = len(text[-1].encode())
    for missing in range(1, last):
        assert whole_characters(data[:-missing]) == len(data) - last
