"""The network of a small model, and its optimizers.

Muon optimizes the matrices between the layers, AdamW everything else (embeddings, norms). With
Muon, and with larger first weights than transformers' default, which suits wider networks, such a
model needs less than half as many steps to learn to copy from a question (docs/lab.md).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from studies.lab.encode import Encoder
from studies.lab.settings import CONTEXT_TOKENS, LabSettings
from tessy.errors import ConfigError

_FIRST_WEIGHTS = 0.08
"""Their standard deviation; about one divided by the root of the hidden size."""
_LEAST_RATE = 0.05


def new_network(settings: LabSettings, encoder: Encoder) -> Any:
    """A Llama with random weights.

    Args:
        settings: Its sizes, and the seed.
        encoder: Of its tokenizer.
    """
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
    """The network of a model of the lab, to train it further.

    Args:
        folder: The model's.
    """
    return LlamaForCausalLM.from_pretrained(folder).float().train()


def check_sizes(folder: Path, settings: LabSettings) -> None:
    """Check that a training's network is as large as the one that it begins with.

    Args:
        folder: Of that model.
        settings: Of the training.

    Raises:
        ConfigError: It is not.
    """
    config = LlamaConfig.from_pretrained(folder)
    there = (
        config.hidden_size,
        config.intermediate_size,
        config.num_hidden_layers,
        config.num_attention_heads,
    )
    if there != (settings.hidden, settings.middle, settings.layers, settings.heads):
        raise ConfigError(
            f"this training begins with the weights of lab:{folder.name}, which has other sizes",
            hint="leave --hidden and --layers out",
        )


def optimizers(model: Any, settings: LabSettings) -> list[Any]:
    """Muon for the matrices between the embeddings, AdamW for the rest."""
    named = list(model.named_parameters())
    inner = [weight for name, weight in named if weight.ndim == 2 and "embed" not in name]
    outer = [weight for name, weight in named if weight.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(inner, lr=settings.muon_rate, weight_decay=settings.decay),
        torch.optim.AdamW(
            outer, lr=settings.learning_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True
        ),
    ]


def set_rates(both: list[Any], step: int, settings: LabSettings) -> None:
    """Set the learning rates of a step.

    Args:
        both: As `optimizers` returns them.
        step: From 0.
        settings: The peak rates, and the schedule.
    """
    peaks = (settings.muon_rate, settings.learning_rate)
    for optimizer, peak in zip(both, peaks, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = peak * rate(step, settings)


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
