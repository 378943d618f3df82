"""The network of a small model, and how it is optimized.

Matrices between the layers are optimized by Muon, all else (embeddings, norms) by AdamW. With Muon,
and weights that begin larger than transformers' default, which suits wider networks, such a model
needs less than half of the steps to learn to copy from a question (docs/lab.md).
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from tessy.errors import ConfigError, MissingExtra
from tessy.lab.encode import Encoder
from tessy.lab.settings import CONTEXT_TOKENS, LabSettings

_FIRST_WEIGHTS = 0.08
"""Their standard deviation; about one by the root of the hidden size."""
_LEAST_RATE = 0.05
_PEAK = "peak"


def network(settings: LabSettings, encoder: Encoder) -> Any:
    """A Llama of random weights.

    Args:
        settings: Its sizes, and the seed.
        encoder: Of its tokenizer.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(settings.seed)
    config = LlamaConfig(
        vocab_size=encoder.tokenizer.get_vocab_size(),
        hidden_size=settings.hidden,
        intermediate_size=settings.middle,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        max_position_embeddings=CONTEXT_TOKENS,
        tie_word_embeddings=True,
        initializer_range=_FIRST_WEIGHTS,
        bos_token_id=None,
        eos_token_id=encoder.end,
        pad_token_id=encoder.pad,
    )
    return LlamaForCausalLM(config).train()


def load_network(folder: Path) -> Any:
    """The network of a model of the lab as it is, to go on with its training.

    Args:
        folder: The model's.
    """
    from transformers import LlamaForCausalLM

    return LlamaForCausalLM.from_pretrained(folder).float().train()


def check_sizes(folder: Path, settings: LabSettings) -> None:
    """See that a training's network is as large as the one that it begins with.

    Args:
        folder: Of that model.
        settings: Of the training.

    Raises:
        ConfigError: It is not.
    """
    there = json.loads((folder / "config.json").read_text("utf-8"))
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    wanted = (settings.hidden, settings.middle, settings.layers, settings.heads)
    if tuple(there[name] for name in names) != wanted:
        raise ConfigError(
            f"this training begins with the weights of lab:{folder.name}, which has other sizes",
            hint="leave --hidden and --layers out",
        )


def optimizers(model: Any, settings: LabSettings) -> list[Any]:
    """Muon for what lies between embeddings, AdamW for the rest.

    Raises:
        MissingExtra: This torch has no Muon.
    """
    import torch

    if not hasattr(torch.optim, "Muon"):
        raise MissingExtra(
            f"torch {torch.__version__} has no Muon", hint="pip install 'torch>=2.9'"
        )
    named = list(model.named_parameters())
    inner = [weight for name, weight in named if weight.ndim == 2 and "embed" not in name]
    outer = [weight for name, weight in named if weight.ndim != 2 or "embed" in name]
    found = [
        torch.optim.Muon(inner, lr=settings.muon_rate, weight_decay=settings.decay),
        torch.optim.AdamW(
            outer, lr=settings.learning_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True
        ),
    ]
    for optimizer in found:
        for group in optimizer.param_groups:
            group[_PEAK] = group["lr"]
    return found


def set_rate(optimizer: Any, step: int, settings: LabSettings) -> None:
    """Set the learning rates of a step."""
    for group in optimizer.param_groups:
        group["lr"] = group[_PEAK] * rate(step, settings)


def rate(step: int, settings: LabSettings) -> float:
    """The learning rate of a step, as a share of its peak: a warm-up, then a cosine.

    Args:
        step: From 0.
        settings: How many there are, and how many of them warm up.
    """
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    done = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return _LEAST_RATE + (1 - _LEAST_RATE) * (1 + math.cos(math.pi * done)) / 2
