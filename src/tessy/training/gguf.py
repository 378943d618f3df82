"""A Llama of transformers as a GGUF file, so that llama.cpp can serve it.

transformers and llama.cpp rotate other pairs of numbers in attention (halves of a head, and
neighbours), so the rows of the query and key weights change places. Weights are read and written
one by one: a model need not fit into memory. The file holds its tokenizer too (`gguf_vocabulary`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tessy.errors import MissingExtra, install_hint
from tessy.training.gguf_vocabulary import (
    GgufVocabulary,
    add_vocabulary,
    read_vocabulary,
    refused,
)

DType = Literal["f32", "f16", "bf16", "q8_0"]
_FILE_TYPES = {"f32": "ALL_F32", "f16": "MOSTLY_F16", "bf16": "MOSTLY_BF16", "q8_0": "MOSTLY_Q8_0"}
_BLOCK = 32
"""Numbers in a block of q8_0; rows that are no multiple of it are kept in f16."""
_ROPES = ("default", "linear", "llama3")


def write_gguf(model_folder: Path, out: Path, *, dtype: DType = "f16") -> Path:
    """Write a model for llama.cpp.

    Args:
        model_folder: `config.json`, safetensors and the tokenizer of a Llama, as transformers
            writes them.
        out: The file to write.
        dtype: Of the matrices; vectors are always float32.

    Returns:
        `out`.

    Raises:
        MissingExtra: gguf, torch or transformers is not installed.
        ConfigError: The model is no Llama, or llama.cpp would compute something else.
    """
    try:
        import gguf
        import numpy
        import safetensors  # noqa: F401
        import torch  # noqa: F401
        from transformers import AutoConfig, AutoTokenizer
    except ImportError as error:
        raise MissingExtra(f"writing GGUF needs {error.name}", hint=install_hint("train")) from None
    config = AutoConfig.from_pretrained(model_folder)
    vocabulary = check_gguf(config, AutoTokenizer.from_pretrained(model_folder))
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_file_type(gguf.LlamaFileType[_FILE_TYPES[dtype]])
    _add_sizes(writer, config)
    _add_rope(writer, gguf, config)
    add_vocabulary(writer, gguf.TokenType, vocabulary, config.vocab_size)
    weights = [*_rope_factors(gguf, config), *_weights(model_folder, gguf, config, dtype)]
    float32 = numpy.dtype("float32")  # of the numbers we pass; `kind` is what the file holds
    for weight in weights:
        writer.add_tensor_info(
            weight.name, weight.shape, float32, weight.bytes, raw_dtype=weight.kind
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for weight in weights:
        writer.write_tensor_data(weight.read())
    writer.close()
    return out


def check_gguf(config: Any, tokenizer: Any) -> GgufVocabulary:
    """Refuse a model that can't be written, before any work.

    Args:
        config: Of transformers.
        tokenizer: Of transformers.

    Returns:
        The tokenizer, as it will be written.

    Raises:
        ConfigError: The model is no Llama, or llama.cpp would compute something else.
    """
    if config.model_type != "llama":
        raise refused(f"it is a {config.model_type}, and GGUF is written of Llama models only")
    if config.attention_bias or config.mlp_bias:
        raise refused("it has biases")
    if config.hidden_act != "silu":
        raise refused(f"its activation is {config.hidden_act}, not silu")
    if (kind := _rope(config).get("rope_type", "default")) not in _ROPES:
        raise refused(f"its positions are scaled by {kind!r}, not one of {', '.join(_ROPES)}")
    return read_vocabulary(tokenizer)


# --- Weights ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Weight:
    """A weight to be written.

    Attributes:
        name: llama.cpp's.
        shape: As numpy has it.
        kind: A `gguf.GGMLQuantizationType`.
        bytes: In the file.
        source: File and name to read it from; or the numbers themselves.
        heads: Heads of query or key weights; 0 for others.
    """

    name: str
    shape: tuple[int, ...]
    kind: Any
    bytes: int
    source: tuple[Path, str] | Any
    heads: int = 0

    def read(self) -> Any:
        """Its numbers as the file holds them."""
        import gguf
        import torch
        from safetensors import safe_open

        if not isinstance(self.source, tuple):
            return self.source
        path, name = self.source
        with safe_open(path, "pt") as file:
            array = file.get_tensor(name).to(torch.float32).numpy()
        if self.heads:  # rows [heads * size, hidden]: from halves of a head to neighbours
            halves = array.reshape(self.heads, 2, -1, array.shape[1])
            array = halves.swapaxes(1, 2).reshape(array.shape)
        return gguf.quants.quantize(array, self.kind)


def _weights(folder: Path, gguf: Any, config: Any, dtype: DType) -> Iterator[_Weight]:
    from safetensors import safe_open

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": _key_heads(config)}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in sorted(file.keys()):
                if config.tie_word_embeddings and name == "lm_head.weight":
                    continue  # llama.cpp uses the embeddings instead
                theirs = names.get_name(name, try_suffixes=(".weight",))
                if theirs is None:
                    raise refused(f"{path}: {name} is no weight of a Llama")
                shape = tuple(file.get_slice(name).get_shape())
                kind = _kind(gguf.GGMLQuantizationType, shape, dtype)
                block, size = gguf.GGML_QUANT_SIZES[kind]
                module = name.removesuffix(".weight").rpartition(".")[2]
                yield _Weight(
                    name=theirs,
                    shape=shape,
                    kind=kind,
                    bytes=math.prod(shape) // block * size,
                    source=(path, name),
                    heads=heads.get(module, 0),
                )


def _kind(kinds: Any, shape: tuple[int, ...], dtype: DType) -> Any:
    if len(shape) < 2:
        return kinds.F32
    if dtype == "q8_0" and shape[-1] % _BLOCK:
        return kinds.F16
    return kinds[dtype.upper()]


# --- Sizes and positions ------------------------------------------------------------------------


def _key_heads(config: Any) -> int:
    return int(config.num_key_value_heads or config.num_attention_heads)


def _head_size(config: Any) -> int:
    return int(config.head_dim or config.hidden_size // config.num_attention_heads)


def _add_sizes(writer: Any, config: Any) -> None:
    head = _head_size(config)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(_key_heads(config))
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)


def _rope(config: Any) -> dict[str, Any]:
    """How positions are rotated; configurations from before transformers 5 have other names."""
    found = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    base = getattr(config, "rope_theta", None) or 10_000.0
    return {"rope_theta": base, **found}


def _add_rope(writer: Any, gguf: Any, config: Any) -> None:
    rope = _rope(config)
    writer.add_rope_freq_base(float(rope["rope_theta"]))
    if rope.get("rope_type") == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(float(rope["factor"]))


def _rope_factors(gguf: Any, config: Any) -> Iterator[_Weight]:
    """The divisors of Llama 3.1's rotations: 1 for fast ones, up to `factor` for slow ones.

    As `_compute_llama3_parameters` of transformers (`modeling_rope_utils.py`).
    """
    import numpy

    rope = _rope(config)
    if rope.get("rope_type") != "llama3":
        return
    size, factor = _head_size(config), float(rope["factor"])
    low, high = float(rope["low_freq_factor"]), float(rope["high_freq_factor"])
    exponents = numpy.arange(0, size, 2, dtype=numpy.float64) / size
    wavelengths = 2 * math.pi * float(rope["rope_theta"]) ** exponents
    rotations = float(rope["original_max_position_embeddings"]) / wavelengths
    smooth = numpy.clip((rotations - low) / (high - low), 0, 1)
    factors = (1 / ((1 - smooth) / factor + smooth)).astype(numpy.float32)
    kind = gguf.GGMLQuantizationType.F32
    yield _Weight("rope_freqs.weight", factors.shape, kind, factors.nbytes, factors)
