"""Tiny models of random weights for real engines, which write words and numbers.

What they write is random, but always the same for the same text: their output layer is made so
that no piece of a character and no control token is ever the likeliest, and in float32 two words
are never so close that another order of adding up would turn the choice.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from tessy.testing import build_tokenizer

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
    import gguf
    import torch
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    path = folder / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(SIZE)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(MIDDLE)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(SIZE // HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(model.config.rms_norm_eps)
    _add_tokenizer(writer, gguf.TokenType, folder)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, LAYERS)
    for name, weight in model.state_dict().items():
        array = weight.numpy()
        if name.endswith(("q_proj.weight", "k_proj.weight")):  # llama.cpp's order of rotations
            halves = array.reshape(HEADS, 2, SIZE // HEADS // 2, SIZE)
            array = halves.swapaxes(1, 2).reshape(array.shape)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer, types, folder: Path) -> None:
    raw = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    ids = dict(raw["model"]["vocab"])
    kinds = dict.fromkeys(ids, types.NORMAL)
    for token in raw["added_tokens"]:
        ids[token["content"]] = token["id"]
        kinds[token["content"]] = types.CONTROL if token["special"] else types.USER_DEFINED
    tokens = sorted(ids, key=ids.__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([kinds[token] for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in raw["model"]["merges"]])
    writer.add_eos_token_id(ids[config["eos_token"]])
    writer.add_add_bos_token(False)
