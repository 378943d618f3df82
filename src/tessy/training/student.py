"""The student to train, as transformers loads it; what can't be trained is refused early."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from tessy.errors import ConfigError
from tessy.training.gguf import check_gguf
from tessy.training.prepare import Limit
from tessy.training.render import Renderer, read_template
from tessy.training.settings import Export, SFTSettings

_HINT = "a model is a folder that transformers wrote, or a Hugging Face id"


@dataclass(frozen=True, slots=True)
class Student:
    """Configuration and tokenizer of a model.

    Attributes:
        config: Of transformers.
        tokenizer: Of transformers.
    """

    config: Any
    tokenizer: Any

    def renderer(self, settings: SFTSettings) -> Renderer:
        """What renders samples for it.

        Raises:
            ConfigError: Its template or tokenizer will not do.
        """
        template = read_template(settings.chat_template)
        return Renderer(self.tokenizer, template=template, arguments=settings.template_args)

    def limit(self, settings: SFTSettings) -> Limit:
        """How long samples may be.

        Raises:
            ConfigError: The limit is beyond the model's context.
        """
        context = getattr(self.config, "max_position_embeddings", None)
        wanted = settings.max_tokens or context
        if wanted is None:
            raise ConfigError(
                f"{settings.model} does not say its context", hint="give --max-tokens"
            )
        if context and wanted > context:
            raise ConfigError(
                f"max_tokens = {wanted}: {settings.model} has a context of {context} tokens",
                hint=f"--max-tokens {context}, or less",
            )
        return Limit(wanted, settings.over_length)


def find_student(settings: SFTSettings) -> Student:
    """Load configuration and tokenizer.

    Raises:
        ConfigError: There is no such model, its tokenizer does not fit it, or it can't be
            exported as asked.
    """
    try:
        config = AutoConfig.from_pretrained(settings.model)
        tokenizer = AutoTokenizer.from_pretrained(settings.model)
    except Exception as error:  # whatever a broken folder makes of itself
        raise ConfigError(f"{settings.model}: {error}", hint=_HINT) from None
    size = getattr(config, "vocab_size", None)
    if size is not None and len(tokenizer) > size:
        raise ConfigError(
            f"{settings.model}: its tokenizer has {len(tokenizer)} tokens, the model only {size}",
            hint="give the model its embeddings for the added tokens, or its own tokenizer",
        )
    if settings.export is Export.GGUF:
        check_gguf(config, tokenizer)
    return Student(config, tokenizer)


def load_weights(settings: SFTSettings) -> Any:
    """Load the model to train, in float32.

    Raises:
        ConfigError: It can't be loaded.
    """
    try:
        return AutoModelForCausalLM.from_pretrained(settings.model, dtype=torch.float32)
    except Exception as error:
        raise ConfigError(f"{settings.model}: {error}", hint=_HINT) from None
