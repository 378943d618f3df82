"""Chat formats: how a question, its thinking and its answer become a prompt of one model.

Thinking is canonical: a trajectory has no markers, and a format adds those of its model. A format
is made from the tokenizer's own chat template or is built in (`NAMED`). The control tokens of a
template decide which family it belongs to, never a model's name.

Every message is in the prompt, or the conversation is refused (*Shown*, `models.rendering`). Text
of a user or a model is never control: a question that contains `<|im_end|>` stays text. Id prompts
encode such text without special tokens; in text prompts, a word joiner goes into anything that a
server could take for a control token (both in `models.tokenizers`).
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tessy.errors import ConfigError, meant
from tessy.models.chat_template import ChatTemplate, RefusedByTemplate
from tessy.models.rendering import RenderedConversation, render
from tessy.models.tokenizers import (
    PromptPiece,
    escape_special_tokens,
    own_control,
    read_config,
    read_template,
    special_tokens,
)

Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Family:
    """The markers of a family of models.

    Attributes:
        opens: Text that opens the thinking, after the assistant's header.
        closes: Text between thinking and answer.
        ends: Texts that a model writes to end its thinking.
        stop_tokens: Special tokens that end the thinking.
        answer_stops: Texts that end an answer, besides the model's own end of text.
        answer_stop_tokens: Special tokens that end an answer.
        hidden: The markers are special tokens, which servers leave out of the text.
    """

    opens: str
    closes: str
    ends: tuple[str, ...]
    stop_tokens: tuple[str, ...] = ()
    answer_stops: tuple[str, ...] = ()
    answer_stop_tokens: tuple[str, ...] = ()
    hidden: bool = False


_HINT = (
    "another template, in the tokenizer's folder as chat_template.jinja; or change the questions"
)

THINK = Family(
    opens="<think>\n",
    closes="\n</think>\n\n",
    ends=("</think>",),
    stop_tokens=("</think>",),
)
# openai-harmony: thinking is the analysis channel, the answer the final one.
HARMONY = Family(
    opens="<|channel|>analysis<|message|>",
    closes="<|end|><|start|>assistant<|channel|>final<|message|>",
    ends=("<|end|>", "<|channel|>final"),
    stop_tokens=("<|end|>", "<|return|>"),
    answer_stop_tokens=("<|return|>", "<|end|>"),
    hidden=True,
)
# No newline after <think>: base models treat a tag on its own line as the start of markup
# (docs/log.md, 2026-11-22).
PLAIN = Family(
    opens="<think>",
    closes="\n</think>\n\n",
    ends=("</think>",),
    answer_stops=("\n### Question", "\n<think>"),
)


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """Formats a conversation and the text so far as a prompt of one model.

    Attributes:
        name: Its name in notes.
        family: Its markers.
        begin: A prompt needs the model's begin-of-text token before it.
    """

    name: str
    family: Family
    begin: bool
    _render: Callable[[Messages], list[PromptPiece]]
    _own_control: re.Pattern[str] | None = None

    def opening(self, messages: Messages) -> list[PromptPiece]:
        """The prompt up to the opening of the thinking, which is included.

        Args:
            messages: The conversation, ending with the user's message.

        Raises:
            ConfigError: The template rejects this conversation, or a message is not in its prompt
                as it should; the message names it.
        """
        try:
            pieces = self._render(messages)
        except (RefusedByTemplate, ValueError) as error:
            raise ConfigError(f"chat template, {self.name}: {error}", hint=_HINT) from None
        return [*pieces, PromptPiece(self.family.opens, control=True)]

    def escape(self, text: str) -> str:
        """Text for a text prompt; see `escape_special_tokens`."""
        return escape_special_tokens(text, self._own_control)

    def closing(self) -> PromptPiece:
        """The piece that closes the thinking and opens the answer."""
        return PromptPiece(self.family.closes, control=True)


def from_template(
    source: str,
    *,
    special: Mapping[str, str],
    arguments: Mapping[str, Any],
    date: datetime.date,
    name: str,
) -> ChatFormat:
    """Make a format from a tokenizer's chat template.

    Args:
        source: The Jinja source.
        special: Special tokens for the template: `bos_token`, `eos_token`, …
        arguments: The template's own arguments, such as `enable_thinking`.
        date: The date that the template shows: the run's, so that prompts stay the same when a run
            is resumed on another day.
        name: The format's name.

    Raises:
        ConfigError: The template is not valid, or does not show a question as it should.
    """
    family = HARMONY if "<|channel|>" in source else THINK
    made = _format(name, family, source, special=special, arguments=arguments, date=date)
    try:
        made._render([{"role": "user", "content": "What is 2+2?"}])
    except RefusedByTemplate:
        pass  # it may want a system message; each question is checked
    except ValueError as error:
        raise ConfigError(f"chat template, {name}: {error}", hint=_HINT) from None
    return made


def _format(
    name: str, family: Family, source: str, *, begin: bool = False, **values: Any
) -> ChatFormat:
    try:
        template = ChatTemplate(source, **values)
    except ValueError as error:
        raise ConfigError(f"chat template, {name}: {error}") from None

    def opening(messages: Messages) -> list[PromptPiece]:
        rendered = render(template, messages, prompt=True)
        return list(_pieces(rendered, _header_end(rendered, family)))

    return ChatFormat(name, family, begin=begin, _render=opening)


def _header_end(rendered: RenderedConversation, family: Family) -> int:
    """Where the assistant's header ends: the format opens the thinking itself.

    Raises:
        ValueError: There is no such header, or the thinking is closed after it.
    """
    start = rendered.runs[-1].end if rendered.runs else 0
    tail = rendered.text[start:]
    if family is HARMONY:
        header = "<|start|>assistant"
        if header not in tail:
            raise ValueError(f"it does not end with {header}")
        return start + tail.rindex(header) + len(header)
    if "</think>" in tail:
        raise ValueError("it closes the thinking (enable_thinking = false, perhaps)")
    opened = tail.rstrip().removesuffix("<think>")
    return start + len(opened if len(opened) < len(tail.rstrip()) else tail)


def _pieces(rendered: RenderedConversation, end: int) -> Iterator[PromptPiece]:
    at = 0
    for run in rendered.runs:
        if at < run.start:
            yield PromptPiece(rendered.text[at : run.start], control=True)
        yield PromptPiece(rendered.text[run.start : run.end])
        at = run.end
    if at < end:
        yield PromptPiece(rendered.text[at:end], control=True)


_QWEN = """\
{%- for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}
{%- if m.role == 'assistant' and '</think>' in m.content %}
{{- m.content.split('</think>')[-1].lstrip('\\n') }}
{%- else %}{{ m.content }}{% endif %}{{ '<|im_end|>\\n' }}{% endfor -%}
{{ '<|im_start|>assistant\\n' }}{# as in its own template, old thinking is left out: #}
{%- set _ = messages[0].reasoning_content %}"""
_DEEPSEEK = """\
{{- '<｜begin▁of▁sentence｜>' }}{% for m in messages if m.role == 'system' %}{{ m.content }}
{%- endfor %}{% for m in messages %}{% if m.role == 'user' %}{{ '<｜User｜>' + m.content }}
{%- elif m.role == 'assistant' %}
{{- '<｜Assistant｜>' + m.content.split('</think>')[-1] + '<｜end▁of▁sentence｜>' }}
{%- endif %}{% endfor %}{{ '<｜Assistant｜>' }}"""
_HARMONY = """\
{{- '<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\\n' }}
{{- 'Knowledge cutoff: 2024-06\\nCurrent date: ' + strftime_now('%Y-%m-%d') + '\\n\\nReasoning: ' }}
{{- reasoning_effort|default('medium') }}
{{- '\\n\\n# Valid channels: analysis, commentary, final. ' }}
{{- 'Channel must be included for every message.<|end|>' }}{% for m in messages %}
{%- if m.role == 'system' %}
{{- '<|start|>developer<|message|># Instructions\\n\\n' + m.content + '\\n\\n<|end|>' }}
{%- elif m.role == 'assistant' %}
{{- '<|start|>assistant<|channel|>final<|message|>' + m.content + '<|end|>' }}
{%- else %}{{ '<|start|>user<|message|>' + m.content + '<|end|>' }}{% endif %}{% endfor %}
{{- '<|start|>assistant' }}{# as in its own template, old thinking is left out: #}
{%- set _ = messages[0].thinking %}"""
_PLAIN = """\
{%- set titles = {'user': 'Question', 'assistant': 'Response', 'system': 'Instruction'} %}
{%- for m in messages %}{{ '### ' + titles[m.role] + '\\n\\n' + m.content + '\\n\\n' }}{% endfor %}
{{- '### Response\\n\\n' }}"""


NAMED = ("qwen3", "deepseek-r1", "gpt-oss", "plain")
"""Formats that need no tokenizer. `qwen3` is ChatML, which many other models use as well."""


def named(name: str, *, date: datetime.date, arguments: Mapping[str, Any]) -> ChatFormat:
    """A built-in format.

    Args:
        name: One of `NAMED`.
        date: The run's date; see `from_template`.
        arguments: Its arguments; only `gpt-oss` takes one, `reasoning_effort`.

    Raises:
        ConfigError: There is no format of that name, or it does not take these arguments.
    """
    if name not in NAMED:
        hint = f"{meant(name, NAMED)}one of {', '.join(NAMED)}"
        raise ConfigError(f"{name!r} is no chat format", hint=hint)
    takes = {"gpt-oss": {"reasoning_effort"}}.get(name, set())
    if unknown := set(arguments) - takes:
        raise ConfigError(
            f"the built-in format {name!r} takes no argument {', '.join(sorted(unknown))}",
            hint="give the model's tokenizer, whose chat template may",
        )
    sources = {"qwen3": _QWEN, "deepseek-r1": _DEEPSEEK, "gpt-oss": _HARMONY, "plain": _PLAIN}
    family = {"gpt-oss": HARMONY, "plain": PLAIN}.get(name, THINK)
    values: dict[str, Any] = {"special": {}, "arguments": arguments, "date": date}
    return _format(name, family, sources[name], begin=name == "plain", **values)


def from_tokenizer(
    folder: Path, *, name: str, arguments: Mapping[str, Any], date: datetime.date
) -> ChatFormat | None:
    """The format of a tokenizer's own chat template; None if it has none.

    Args:
        folder: The tokenizer's folder.
        name: Its name in the settings.
        arguments: The template's own arguments.
        date: The run's date; see `from_template`.

    Raises:
        ConfigError: The folder's files can't be read, or the template can't be used.
    """
    template = read_template(folder)
    if template is None:
        return None
    config = read_config(folder)
    special = special_tokens(config)
    made = from_template(
        template, special=special, arguments=arguments, date=date, name=f"that of {name}"
    )
    return replace(made, _own_control=own_control(config, template))
