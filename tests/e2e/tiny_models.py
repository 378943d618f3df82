"""Tiny models of random weights for real engines, which write words and numbers.

What they write is random, but always the same for the same text: their output layer is made so
that no piece of a character and no control token is ever the likeliest, and in float32 two words
are never so close that another order of adding up would turn the choice.
"""

from __future__ import annotations

import re
from pathlib import Path

from tessy.testing import build_tokenizer
from tessy.training import gguf

FLAVOURS = {"student": "qwen3", "teacher": "gpt-oss"}
LAYERS, SIZE, MIDDLE, HEADS, CONTEXT = 2, 64, 128, 2, 4096


def write_models(folder: Path) -> dict[str, Path]:
    """A student and a teacher, with vocabularies of their own."""
    return {
        role: write_model(folder / role, flavour, seed)
        for seed, (role, flavour) in enumerate(FLAVOURS.items(), 1)
    }


def write_model(folder: Path, flavour: str, seed: int) -> Path:
    """A Llama of two layers that writes whole characters only, as safetensors."""
    import torch
    from tokenizers import Tokenizer
    from transformers import LlamaConfig, LlamaForCausalLM

    build_tokenizer(folder, flavour=flavour, vocabulary=900, seed=seed)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    size = tokenizer.get_vocab_size()
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=size, hidden_size=SIZE, intermediate_size=MIDDLE, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=HEADS, max_position_embeddings=CONTEXT,
        tie_word_embeddings=False, initializer_range=0.4,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        # The first number of a token is the same for all of them, and no layer changes it.
        model.model.embed_tokens.weight[:, 0] = 4.0
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight[0] = 0
            layer.mlp.down_proj.weight[0] = 0
        for token in range(size):
            text = tokenizer.decode([token], skip_special_tokens=False)
            plain = re.fullmatch(r" ?[A-Za-z0-9.,]+", text) is not None
            model.lm_head.weight[token, 0] = 0.0 if plain else -100.0
    model.save_pretrained(folder)
    return folder


def write_gguf(folder: Path) -> Path:
    """The same model for llama.cpp, in float32."""
    return gguf.write_gguf(folder, folder / "model.gguf", dtype="f32")
