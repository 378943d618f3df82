"""The student to train, as transformers loads it; one that can't be trained is refused early."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from tessy import lab
from tessy.data.fetched import local_folder
from tessy.errors import ConfigError
from tessy.models.tokenizers import refuse_missing
from tessy.training.gguf import check_gguf
from tessy.training.prepare import LengthLimit
from tessy.training.render import Renderer, read_template
from tessy.training.settings import Export, SFTSettings

_HINT = "a model is a folder that transformers wrote, or a Hugging Face id"


@dataclass(frozen=True, slots=True)
class Student:
    """A model to train, without its weights.

    Attributes:
        settings: Of the training.
        config: Of transformers.
        tokenizer: Of transformers.
    """

    settings: SFTSettings
    config: Any
    tokenizer: Any

    def renderer(self) -> Renderer:
        """Renders samples for this student.

        Raises:
            ConfigError: Its template or tokenizer can't be used.
        """
        template = read_template(self.settings.chat_template)
        arguments = self.settings.template_args
        return Renderer(self.tokenizer, template=template, arguments=arguments)

    def limit(self) -> LengthLimit:
        """How long samples may be.

        Raises:
            ConfigError: The limit is beyond the model's context.
        """
        name = self.settings.model
        context = getattr(self.config, "max_position_embeddings", None)
        longest = self.settings.max_tokens or context
        if longest is None:
            raise ConfigError(f"{name} does not say its context", hint="give --max-tokens")
        if context and longest > context:
            raise ConfigError(
                f"max_tokens = {longest}: {name} has a context of {context} tokens",
                hint=f"--max-tokens {context}, or less",
            )
        return LengthLimit(longest, self.settings.over_length)

    def weights(self) -> Any:
        """Load the weights, in float32.

        Raises:
            ConfigError: They can't be loaded.
        """
        try:
            return AutoModelForCausalLM.from_pretrained(
                local_folder(self.settings.model), dtype=torch.float32
            )
        except Exception as error:
            raise ConfigError(f"{self.settings.model}: {error}", hint=_HINT) from None


def load_student(settings: SFTSettings) -> Student:
    """Load configuration and tokenizer.

    Raises:
        ConfigError: There is no such model, its tokenizer does not fit it, or it can't be
            exported as asked.
    """
    if (own := lab.own_folder(settings.model)) is not None:
        raise ConfigError(
            f"{settings.model} is what a server serves: training needs its folder",
            hint=f"--model {own}",
        )
    if "/" in settings.model:
        refuse_missing(settings.model)
    try:
        config = AutoConfig.from_pretrained(local_folder(settings.model))
        tokenizer = AutoTokenizer.from_pretrained(local_folder(settings.model))
    except Exception as error:  # a broken folder may raise anything
        raise ConfigError(f"{settings.model}: {error}", hint=_HINT) from None
    size = getattr(config, "vocab_size", None)
    if size is not None and len(tokenizer) > size:
        raise ConfigError(
            f"{settings.model}: its tokenizer has {len(tokenizer)} tokens, the model only {size}",
            hint="give the model embeddings for the added tokens, or its own tokenizer",
        )
    if settings.export is Export.GGUF:
        check_gguf(config, tokenizer)
    return Student(settings, config, tokenizer)
