"""Renders questions in each chat format, before any work, to see that their prompts can be made."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tessy.config import Config, ModelRole, NamedTeacher, role_of
from tessy.data.questions import Questions, drawn
from tessy.errors import ConfigError
from tessy.method.trajectory import Role
from tessy.models.session import Model
from tessy.models.templates import Messages
from tessy.synthesis.methods import judge, teacher_only
from tessy.synthesis.routing import teachers_of

MOST = 10_000
"""Questions that are rendered; of more, so many are drawn at random. That takes some seconds."""
_SHOWN = 10
"""Prompts that can't be made, of which a message shows so many."""


def check_conversations(
    questions: Questions,
    numbers: NDArray[np.int64],
    models: Mapping[ModelRole, Model],
    config: Config,
    *,
    skip_bad: bool,
) -> None:
    """Render questions in each chat format, before any work: all of them, or many of more.

    A sample whose prompt can't be made, and that was not drawn, fails later with `bad_prompt`.

    Args:
        questions: The questions.
        numbers: The numbers of those to be written, ascending.
        models: The models of the run.
        config: The run's settings.
        skip_bad: Let samples fail, with `bad_prompt`, whose question a template does not show.

    Raises:
        ConfigError: A template does not show a question as it is (*Shown*), or shows none at all.
        DataError: The questions have changed since they were checked.
    """
    chosen = drawn(numbers, MOST)
    bad = []
    for question in questions.take(chosen):
        teachers = teachers_of(config, question)
        asked = {
            each: model
            for each, model in models.items()
            if not isinstance(each, NamedTeacher) or each.name in teachers
        }
        try:
            check_messages(question.messages, asked, config)
        except ConfigError as error:
            bad.append(f"question {question.id}, {error}")
    if not bad or (skip_bad and len(bad) < len(chosen)):
        return
    of = f", drawn from {len(numbers):,}," if len(chosen) < len(numbers) else ""
    lines = [f"{len(bad)} of {len(chosen)} prompts{of} can't be made", *bad[:_SHOWN]]
    if len(bad) > _SHOWN:
        lines.append(f"… and {len(bad) - _SHOWN} more")
    raise ConfigError(
        bad[0] if len(bad) == 1 else "\n  ".join(lines),
        hint="another template, in the tokenizer's folder as chat_template.jinja; change the "
        "questions; or record them as failures: --skip-bad",
    )


def check_messages(messages: Messages, models: Mapping[ModelRole, Model], config: Config) -> None:
    """Render a conversation in each chat format.

    Args:
        messages: The conversation.
        models: The models that may be shown it.
        config: The settings.

    Raises:
        ConfigError: A template does not show it as it is (*Shown*); the message begins with whose.
    """
    for each, model in models.items():
        shown: Messages = list(messages)
        if config.method == judge.JUDGE.name:
            shown = judge.prompt(config, shown)
        elif role_of(each) is Role.TEACHER:
            shown = teacher_only.with_system_prompt(config, shown)
        try:
            model.format.opening(model.conversation(shown))
        except ConfigError as error:
            raise ConfigError(f"{each}: {error}") from None
