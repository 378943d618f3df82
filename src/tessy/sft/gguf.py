"""A Llama of transformers as a GGUF file, so that llama.cpp can serve it at once.

transformers and llama.cpp rotate other pairs of numbers in attention (its halves, and neighbours),
so the rows of the query and key weights change places. The tokenizer goes into the file, too: a
byte-level BPE with GPT-2's way of cutting text into words.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from tessy.errors import ConfigError, MissingExtra

DType = Literal["f32", "f16"]


def write_gguf(model_folder: Path, out: Path, *, dtype: DType = "f16") -> Path:
    """Write a model for llama.cpp.

    Args:
        model_folder: `config.json`, `model.safetensors`, `tokenizer.json` and
            `tokenizer_config.json`, as transformers writes them; the model is a Llama.
        out: The file to write.
        dtype: Of the matrices; vectors are float32 in any case.

    Returns:
        `out`.

    Raises:
        MissingExtra: gguf, torch or transformers is not installed.
        ConfigError: The model is no Llama.
    """
    try:
        import gguf
        import torch
        from transformers import AutoConfig, LlamaForCausalLM
    except ImportError as error:
        raise MissingExtra(
            f"writing GGUF needs {error.name}", hint="pip install 'tessy[train]'"
        ) from None
    config = AutoConfig.from_pretrained(model_folder)
    if config.model_type != "llama":
        raise ConfigError(
            f"{model_folder} is a {config.model_type}", hint="GGUF is written of Llama models only"
        )
    model = LlamaForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    writer = gguf.GGUFWriter(out, "llama")
    _add_sizes(writer, gguf, config, dtype)
    _add_tokenizer(writer, gguf.TokenType, model_folder)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    tied = config.tie_word_embeddings
    for name, weight in model.state_dict().items():
        if tied and name == "lm_head.weight":  # llama.cpp takes the embeddings for it
            continue
        array = weight.numpy()
        if name.endswith("q_proj.weight"):
            array = _neighbours(array, config.num_attention_heads)
        elif name.endswith("k_proj.weight"):
            array = _neighbours(array, config.num_key_value_heads)
        if dtype == "f16" and array.ndim > 1:
            array = array.astype("float16")
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


def _neighbours(array: Any, heads: int) -> Any:
    """The rows of query or key weights [heads * size, hidden] in llama.cpp's order."""
    halves = array.reshape(heads, 2, array.shape[0] // heads // 2, array.shape[1])
    return halves.swapaxes(1, 2).reshape(array.shape)


def _add_sizes(writer: Any, gguf: Any, config: Any, dtype: DType) -> None:
    head = config.head_dim or config.hidden_size // config.num_attention_heads
    rope = getattr(config, "rope_parameters", None) or {}
    writer.add_file_type(
        gguf.LlamaFileType.MOSTLY_F16 if dtype == "f16" else gguf.LlamaFileType.ALL_F32
    )
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(float(rope.get("rope_theta", 10_000.0)))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)


def _add_tokenizer(writer: Any, types: Any, folder: Path) -> None:
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
    template = folder / "chat_template.jinja"
    if template.is_file():
        writer.add_chat_template(template.read_text("utf-8"))
