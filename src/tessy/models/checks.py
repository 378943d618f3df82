"""What the settings say of models, checked before any model is opened."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping

from tessy.config import Config, Limits, ModelRole
from tessy.errors import ConfigError
from tessy.method.trajectory import Role
from tessy.models import address, templates, weights
from tessy.models.client import key_in
from tessy.models.tokenizers import refuse_missing

LOCAL_SLOTS = 4
"""Calls that a server takes at once that tessy starts."""


def check(config: Config, roles: Iterable[Role] = Role) -> None:
    """Check the settings of models without opening them.

    Args:
        config: The run's settings.
        roles: The roles whose models are needed.

    Raises:
        ConfigError: A model is missing, its name has no known form, its chat format or the folder
            of its tokenizer does not exist, or its API key is not set or none.
        LocalModelError: The file of a `gguf:` address is not there.
    """
    for model in config.models(roles):
        settings = config.of(model)
        for where in address.parse_all(config.address_of(model)):
            weights.refuse_missing(where)
        if settings.api_key_env:
            key_in(settings.api_key_env, f"{config.table_of(model)}.api_key_env")
        if settings.tokenizer:
            refuse_missing(settings.tokenizer)
        if settings.format:
            date, arguments = datetime.date.min, settings.template_args
            templates.named(settings.format, date=date, arguments=arguments)


def short_contexts(contexts: Mapping[str, int | None], limits: Limits) -> str | None:
    """That contexts are too short for the longest sample, in a line; None if none is.

    Args:
        contexts: The longest prompt and generation together of each model, in tokens, by what
            messages call it; None if that is not known.
        limits: Of a sample.
    """
    longest = limits.thinking_tokens + limits.answer_tokens
    short = [
        f"{name.removeprefix('the ')} {n:,}"
        for name, n in contexts.items()
        if n is not None and n <= longest
    ]
    if not short:
        return None
    return (
        f"[limits] allow {longest:,} tokens, the context has fewer ({', '.join(short)}): longer "
        "samples fail with context_limit"
    )


def one_model(config: Config) -> str | None:
    """That student and teacher are the same model, in a line; None if they are not."""
    addresses = [config.address_of(role) for role in Role]
    if any(each != addresses[0] for each in addresses):
        return None
    return f"student and teacher are the same model: {addresses[0]}"


def check_formats(config: Config, roles: Iterable[ModelRole]) -> None:
    """Make sure that a chat format is given for each model, without opening it.

    Args:
        config: Checked settings of a run.
        roles: The roles whose models are needed, or single models.

    Raises:
        UnknownFormat: None is given.
    """
    for model in config.models(roles):
        settings, (where, *_) = config.of(model), address.parse_all(config.address_of(model))
        is_lab = where.scheme is address.Scheme.LAB  # these bring their own
        if not (settings.format or settings.tokenizer or is_lab):
            raise UnknownFormat(config, model)


class UnknownFormat(ConfigError):
    """No chat format is given, and none is guessed: it would make other data without a word.

    Args:
        config: The run's settings.
        model: The model.
        why: Why it is not known.
    """

    def __init__(self, config: Config, model: ModelRole, why: str = "none is given") -> None:
        *chat, base = templates.NAMED
        super().__init__(
            f"{config.called(model)}'s chat format is not known: {why}",
            hint=f"{config.option_of(model, 'tokenizer', 'FOLDER-OR-ID')}, whose chat template is "
            f"used; or {config.option_of(model, 'format', 'FORMAT')}, which is one of "
            f"{', '.join(chat)}, or {base} for base models; or either below "
            f"[{config.table_of(model)}] in the TOML",
        )


def slots_of(config: Config, model: ModelRole) -> int | None:
    """The calls that a model's servers get or take at once; None if that is not known.

    Args:
        config: Checked settings of a run.
        model: The model.
    """
    where, *others = address.parse_all(config.address_of(model))
    calls = config.of(model).concurrency
    if where.scheme is address.Scheme.SERVER:
        return calls and calls * (1 + len(others))
    return min(LOCAL_SLOTS, config.concurrency, calls or LOCAL_SLOTS)
