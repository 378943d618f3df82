"""The small default network: a convolutional token classifier that is quick without a GPU.

Embeddings, then blocks of a depthwise convolution and a two-layer perceptron, each with a residual
connection, then two logits for each token. The convolutions look to both sides, so the label of a
token depends on `reach` tokens on each side. It is a Hugging Face model (`tessy-tagger`): training,
saving and loading are the same as for any other base.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForTokenClassification,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import TokenClassifierOutput


class TaggerConfig(PretrainedConfig):
    """Sizes of a `Tagger`.

    Attributes:
        vocab_size: Tokens of the vocabulary.
        hidden_size: Size of the vector of a token.
        dilations: The dilation of each block's convolution.
        kernel_size: Positions that a convolution looks at, odd.
        widening: Size of a perceptron's middle layer, in hidden sizes.
        dropout: Share of values dropped in training.
    """

    model_type = "tessy-tagger"

    def __init__(
        self,
        vocab_size: int = 8000,
        hidden_size: int = 128,
        dilations: tuple[int, ...] = (1, 1, 1, 1),
        kernel_size: int = 7,
        widening: int = 2,
        dropout: float = 0.1,
        **rest: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.dilations = list(dilations)
        self.kernel_size = kernel_size
        self.widening = widening
        self.dropout = dropout
        super().__init__(**rest)

    @property
    def reach(self) -> int:
        """Tokens on each side that the label of a token depends on."""
        return sum(self.dilations) * (self.kernel_size // 2)


class _Block(nn.Module):
    def __init__(self, config: TaggerConfig, dilation: int) -> None:
        super().__init__()
        size, middle = config.hidden_size, config.hidden_size * config.widening
        padding = dilation * (config.kernel_size // 2)
        self.mix = nn.Conv1d(
            size, size, config.kernel_size, padding=padding, dilation=dilation, groups=size
        )
        self.norm = nn.LayerNorm(size)
        self.widen = nn.Linear(size, middle)
        self.narrow = nn.Linear(middle, size)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        mixed = self.mix((hidden * mask).transpose(1, 2)).transpose(1, 2)
        return hidden + self.dropout(self.narrow(torch.relu(self.widen(self.norm(mixed)))))


class Tagger(PreTrainedModel):
    """The network; see the module.

    Args:
        config: The sizes.
    """

    config_class = TaggerConfig
    base_model_prefix = "tagger"
    main_input_name = "input_ids"

    def __init__(self, config: TaggerConfig) -> None:
        super().__init__(config)
        self.embed = nn.Embedding(config.vocab_size, config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList([_Block(config, dilation) for dilation in config.dilations])
        self.norm = nn.LayerNorm(config.hidden_size)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.5)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any
    ) -> TokenClassifierOutput:
        """Logits [batch, tokens, labels] of ids and mask [batch, tokens]; padding to the right."""
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        mask = attention_mask.unsqueeze(-1).to(self.embed.weight.dtype)
        hidden = self.dropout(self.embed(input_ids))
        for block in self.blocks:
            hidden = block(hidden, mask)
        return TokenClassifierOutput(logits=self.classifier(self.norm(hidden)))


AutoConfig.register(TaggerConfig.model_type, TaggerConfig)
AutoModelForTokenClassification.register(TaggerConfig, Tagger)
