"""GGUF files of small Llamas of all sorts: llama.cpp reads and writes as transformers does."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, LlamaConfig
from transformers import LlamaForCausalLM as Llama

from tessy.config import ModelSettings
from tessy.errors import ConfigError
from tessy.models import local
from tessy.models.client import Client
from tessy.testing import build_tokenizer
from tessy.training.gguf import check_gguf, write_gguf
from tessy.training.gguf_vocabulary import _REGEXES, read_vocabulary

TEXTS = [
    "Okay, let me see. 12345 + 678 = 13023!",
    "don't DON'T we'll  two  blanks\n\n\nand lines\t\ttabs \r\n end ",
    "naïve café 你好，世界 🙂👍🏽 Ωμέγα <b>x²</b> ٣٤٥",
    "<|im_start|>user\nWhat is 2+2?<|im_end|>\n<|im_start|>assistant\n<think>\nhm\n</think>\n\n4",
]
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}


def split(name):
    (regex,) = [regex for regex, known in _REGEXES.items() if known == name]
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}


PRE_TOKENIZERS = {
    "gpt-2": {**BYTE_LEVEL, "use_regex": True},
    "smollm": {
        "type": "Sequence",
        "pretokenizers": [{"type": "Digits", "individual_digits": True}, BYTE_LEVEL],
    },
    "llama-bpe": {
        "type": "Sequence",
        "pretokenizers": [split("llama-bpe"), {**BYTE_LEVEL, "use_regex": False}],
    },
    "qwen2": {
        "type": "Sequence",
        "pretokenizers": [split("qwen2"), {**BYTE_LEVEL, "use_regex": False}],
    },
}
LLAMA3 = {
    **{"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0},
    **{"high_freq_factor": 4.0, "original_max_position_embeddings": 64},
}


def make_tokenizer(folder, *, pre="gpt-2", flavour="qwen3", **changes):
    """A tokenizer that cuts text into words in one of the known ways, or as `changes` say."""
    build_tokenizer(folder, flavour=flavour, vocabulary=500, seed=1)
    path = folder / "tokenizer.json"
    raw = json.loads(path.read_text("utf-8"))
    raw["pre_tokenizer"] = PRE_TOKENIZERS[pre]
    raw["model"]["ignore_merges"] = pre == "llama-bpe"
    for key, value in changes.items():
        where, _, name = key.rpartition("__")
        (raw[where] if where else raw)[name] = value
    path.write_text(json.dumps(raw), "utf-8")
    return folder


def make_model(folder, seed, *, tied=False, heads=4, key_heads=4, size=16, rope=None, dtype="f32"):
    """A Llama of random weights, which `dtype` holds without loss."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer) + 5 * tied,  # some embeddings without a token
        **{"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2},
        **{"num_attention_heads": heads, "num_key_value_heads": key_heads, "head_dim": size},
        max_position_embeddings=512,
        rope_parameters=rope or {"rope_type": "default", "rope_theta": 10_000.0},
        tie_word_embeddings=tied,
        initializer_range=0.3,
        rms_norm_eps=1e-5,
    )
    model = Llama(config)
    kept_in = {"f16": torch.float16, "bf16": torch.bfloat16}.get(dtype, torch.float32)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(weight.to(kept_in))
            if weight.ndim == 1:
                weight.mul_(torch.rand_like(weight) + 0.5)
    model.save_pretrained(folder)
    return folder


async def gaps(folder, path, *, tokens=24):
    """How far the tokens that llama.cpp chose are below the best ones of transformers.

    In standard deviations of the logits: 0 where both chose the same one. llama.cpp keeps keys
    and values in float16, so near a tie it may choose the other one, and must go on from there.
    On the way, tokens of text are compared, which are equal.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    settings = ModelSettings(model="http://x/v1", retries=2)
    found = []
    async with local.serve(path, slots=1, context_tokens=512, threads=1) as url:
        client = Client(url, "", settings)
        for text in TEXTS:
            asked = {"content": text, "add_special": True, "parse_special": True}
            ids = (await client.post("/tokenize", asked))["tokens"]
            assert ids == tokenizer(text)["input_ids"], text
            body = {"prompt": ids, "n_predict": tokens, "temperature": 0, "return_tokens": True}
            chosen = (await client.post("/completion", body))["tokens"]
            with torch.no_grad():
                logits = model(torch.tensor([ids + chosen])).logits[0, len(ids) - 1 : -1]
            of_chosen = logits.gather(1, torch.tensor(chosen)[:, None])[:, 0]
            found += ((logits.max(1).values - of_chosen) / logits.std(1)).tolist()
    return found


CASES = {
    "untied": {},
    "tied, embeddings to spare": {"tied": True},
    "grouped keys": {"key_heads": 2},
    "one key": {"key_heads": 1, "heads": 2},
    "heads of a size of their own": {"heads": 2, "key_heads": 2, "size": 48},
    "theta": {"rope": {"rope_type": "default", "rope_theta": 500.0}},
    "linear": {"rope": {"rope_type": "linear", "rope_theta": 1000.0, "factor": 4.0}},
    "llama3": {"rope": LLAMA3},
    "f16": {"dtype": "f16", "key_heads": 2},
    "bf16": {"dtype": "bf16", "tied": True},
}

ROUNDING = {"bf16": 0.1}
"""llama.cpp rounds what it multiplies with to the type of the weights."""


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("case", CASES)
async def test_llama_cpp_writes_what_transformers_writes(tmp_path, case, seed):
    made = CASES[case]
    pre = list(PRE_TOKENIZERS)[(seed + list(CASES).index(case)) % len(PRE_TOKENIZERS)]
    folder = make_model(make_tokenizer(tmp_path / "model", pre=pre), seed, **made)
    path = write_gguf(folder, tmp_path / "model.gguf", dtype=made.get("dtype", "f32"))
    found = await gaps(folder, path)
    assert len(found) > 48
    assert max(found) < ROUNDING.get(made.get("dtype"), 0.02)
    assert found.count(0) > 0.95 * len(found)


@pytest.mark.parametrize("pre", PRE_TOKENIZERS)
async def test_every_way_of_cutting_text_is_named_rightly(tmp_path, pre):
    folder = make_tokenizer(tmp_path / "model", pre=pre)
    assert read_vocabulary(AutoTokenizer.from_pretrained(folder)).pre == pre
    path = write_gguf(make_model(folder, 0), tmp_path / "model.gguf", dtype="f32")
    await gaps(folder, path, tokens=1)


@pytest.mark.parametrize("size", [64, 48])
async def test_q8_0_is_near(tmp_path, size):
    """Its products are rounded as well, so ties may turn; rows it can't hold are kept in f16."""
    folder = make_model(make_tokenizer(tmp_path / "model"), 3, heads=2, key_heads=2, size=size)
    path = write_gguf(folder, tmp_path / "model.gguf", dtype="q8_0")
    assert path.stat().st_size < 0.5 * (folder / "model.safetensors").stat().st_size
    found = await gaps(folder, path)
    assert max(found) < 0.3


async def test_a_begin_token_is_put_where_the_tokenizer_puts_it(tmp_path):
    folder = make_tokenizer(tmp_path / "model", flavour="deepseek-r1")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id
    assert read_vocabulary(tokenizer).adds_bos
    path = write_gguf(make_model(folder, 0), tmp_path / "model.gguf", dtype="f32")
    await gaps(folder, path, tokens=1)


def test_template_and_special_tokens_are_carried_over(tmp_path):
    import gguf

    folder = make_model(make_tokenizer(tmp_path / "model"), 0, tied=True)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    reader = gguf.GGUFReader(write_gguf(folder, tmp_path / "model.gguf", dtype="f16"))

    def value(name):
        return reader.get_field(f"tokenizer.{name}").contents()

    assert value("chat_template") == tokenizer.chat_template
    assert value("ggml.eos_token_id") == tokenizer.eos_token_id
    assert value("ggml.padding_token_id") == tokenizer.pad_token_id
    tokens, types = value("ggml.tokens"), value("ggml.token_type")
    kinds = dict(zip(tokens, map(gguf.TokenType, types), strict=True))
    assert kinds["<|im_end|>"] is gguf.TokenType.CONTROL
    assert kinds["<think>"] is gguf.TokenType.USER_DEFINED
    assert kinds["a"] is gguf.TokenType.NORMAL
    assert [kind for kind in kinds.values()].count(gguf.TokenType.UNUSED) == 5
    assert len(tokens) == len(tokenizer) + 5


# --- What is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pre_tokenizer": {"type": "Whitespace"}}, "in a way that tessy does not know"),
        ({"pre_tokenizer": None}, "in a way that tessy does not know"),
        ({"pre_tokenizer": {**BYTE_LEVEL, "add_prefix_space": True}}, "does not know"),
        ({"pre_tokenizer": {**BYTE_LEVEL, "use_regex": False}}, "does not know"),
        ({"model__ignore_merges": True}, "ignore_merges = True"),
        ({"model__byte_fallback": True}, "SentencePiece"),
        ({"model__end_of_word_suffix": "</w>"}, "end_of_word_suffix"),
        (
            {
                "model": {"type": "WordLevel", "vocab": {"a": 0, "<unk>": 1}, "unk_token": "<unk>"},
                "added_tokens": [],
            },
            "WordLevel",
        ),
    ],
)
def test_a_tokenizer_that_llama_cpp_reads_otherwise_is_refused(tmp_path, changes, said):
    folder = make_tokenizer(tmp_path / "model", **changes)
    with pytest.raises(ConfigError, match=said) as caught:
        read_vocabulary(AutoTokenizer.from_pretrained(folder))
    assert "convert_hf_to_gguf" in caught.value.hint


def test_a_token_that_takes_blanks_along_is_refused(tmp_path):
    folder = make_tokenizer(tmp_path / "model")
    raw = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    raw["added_tokens"][0]["lstrip"] = True
    (folder / "tokenizer.json").write_text(json.dumps(raw), "utf-8")
    with pytest.raises(ConfigError, match="includes the blanks"):
        read_vocabulary(AutoTokenizer.from_pretrained(folder))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (GPT2Config(), "it is a gpt2"),
        (LlamaConfig(attention_bias=True), "biases"),
        (LlamaConfig(mlp_bias=True), "biases"),
        (LlamaConfig(hidden_act="gelu"), "gelu"),
        (
            LlamaConfig(
                rope_parameters={"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0},
                max_position_embeddings=512,
            ),
            "'yarn'",
        ),
    ],
)
def test_a_model_that_llama_cpp_reads_otherwise_is_refused(tmp_path, config, said):
    tokenizer = AutoTokenizer.from_pretrained(make_tokenizer(tmp_path / "model"))
    with pytest.raises(ConfigError, match=said):
        check_gguf(config, tokenizer)
