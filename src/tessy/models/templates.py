"""Chat formats: how a question, an open thinking and an answer are shown to one model.

Thinking is canonical: a trajectory holds it without markers, and a format puts each model's own
around it. A format is made from the tokenizer's own chat template, or is built in (`NAMED`). The
control tokens of a template decide which family it belongs to, never a model's name.

What a user or a model wrote is never control: a question with `<|im_end|>` in it stays text.
Prompts of ids encode such text without special tokens (`models.tokenizers`); text prompts have a
word joiner put into anything that a server could take for a control token
(`escape_special_tokens`).
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessy.errors import ConfigError
from tessy.models.tokenizers import PromptPiece, read_config

Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Family:
    """The markers of a family of models.

    Attributes:
        opens: What opens the thinking, after the assistant's header.
        closes: What is between thinking and answer.
        ends: Texts that a model writes to end its thinking.
        stop_tokens: Special tokens that end the thinking.
        answer_stops: Texts that end an answer, besides the model's own end of text.
        answer_stop_tokens: Special tokens that end an answer.
        hidden: Its markers are special tokens, which servers leave out of the text.
    """

    opens: str
    closes: str
    ends: tuple[str, ...]
    stop_tokens: tuple[str, ...] = ()
    answer_stops: tuple[str, ...] = ()
    answer_stop_tokens: tuple[str, ...] = ()
    hidden: bool = False


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
# No new line after <think>: base models take a tag on a line of its own for the start of markup
# (docs/log.md, 2026-11-22).
PLAIN = Family(
    opens="<think>",
    closes="\n</think>\n\n",
    ends=("</think>",),
    answer_stops=("\n### Question", "\n<think>"),
)


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """Shows a conversation and what is written so far to one model.

    Attributes:
        name: What it is called in notes and in `run.toml`.
        family: Its markers.
        begin: A text prompt needs the model's begin marker put before it.
    """

    name: str
    family: Family
    begin: bool
    _render: Callable[[Messages], list[PromptPiece]]

    def opening(self, messages: Messages) -> list[PromptPiece]:
        """The prompt up to and with the opened thinking.

        Args:
            messages: The conversation, ending with the user's.

        Raises:
            ConfigError: The template refuses this conversation.
        """
        pieces = self._render(messages)
        return [*pieces, PromptPiece(self.family.opens, control=True)]

    def closing(self) -> PromptPiece:
        """What closes the thinking and opens the answer."""
        return PromptPiece(self.family.closes, control=True)


def from_template(
    template: str,
    *,
    special: Mapping[str, str],
    arguments: Mapping[str, Any],
    date: datetime.date,
    name: str,
) -> ChatFormat:
    """Make a format of a tokenizer's chat template.

    Args:
        template: The Jinja source.
        special: `bos_token`, `eos_token`, … for the template.
        arguments: The template's own arguments, such as `enable_thinking`.
        date: What the template's clock says. It is the run's, so that a prompt stays the same
            when a run goes on the next day.
        name: What to call the format.

    Raises:
        ConfigError: The template has a mistake.
    """
    compiled = _compile(template, date, name)
    family = HARMONY if "<|channel|>" in template else THINK

    def render(messages: Messages) -> list[PromptPiece]:
        # A stand-in for each content keeps what the user wrote apart from the template's text.
        marks = [f"\ue000{index}\ue001" for index in range(len(messages))]
        shown = [
            {"role": message["role"], "content": mark}
            for message, mark in zip(messages, marks, strict=True)
        ]
        try:
            text = compiled.render(
                messages=shown, add_generation_prompt=True, **special, **arguments
            )
        except Exception as error:  # a template may raise anything
            raise ConfigError(f"chat template, {name}: {error}") from None
        contents = {mark: message["content"] for mark, message in zip(marks, messages, strict=True)}
        return _split(_up_to_assistant(text, family), contents)

    return ChatFormat(name, family, begin=False, _render=render)


def _compile(template: str, date: datetime.date, name: str) -> Any:
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def fail(message: str) -> None:
        raise jinja2.TemplateError(message)

    def now(pattern: str) -> str:
        return date.strftime(pattern)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals.update(raise_exception=fail, strftime_now=now)
    try:
        return environment.from_string(template)
    except jinja2.TemplateError as error:
        raise ConfigError(f"chat template, {name}: {error}") from None


def _up_to_assistant(text: str, family: Family) -> str:
    """Cut what a template opens after the assistant's header: the format opens it itself."""
    if family is HARMONY:
        header = "<|start|>assistant"
        return text[: text.rindex(header) + len(header)] if header in text else text
    opened = text.rstrip().removesuffix("<think>")
    return opened if len(opened) < len(text.rstrip()) else text


def _split(text: str, contents: Mapping[str, str]) -> list[PromptPiece]:
    pieces: list[PromptPiece] = []
    for part in re.split("(\ue000[0-9]+\ue001)", text):
        if part in contents:
            pieces.append(PromptPiece(contents[part]))
        elif part:
            pieces.append(PromptPiece(part, control=True))
    return pieces


def _chatml(messages: Messages) -> list[PromptPiece]:
    pieces: list[PromptPiece] = []
    for message in messages:
        pieces += _message(f"<|im_start|>{message['role']}\n", message, "<|im_end|>\n")
    return [*pieces, PromptPiece("<|im_start|>assistant\n", control=True)]


def _deepseek(messages: Messages) -> list[PromptPiece]:
    headers = {"user": "<｜User｜>", "assistant": "<｜Assistant｜>", "system": ""}
    ends = {"assistant": "<｜end▁of▁sentence｜>"}
    pieces = [PromptPiece("<｜begin▁of▁sentence｜>", control=True)]
    for message in messages:
        role = message["role"]
        pieces += _message(headers[role], message, ends.get(role, ""))
    return [*pieces, PromptPiece("<｜Assistant｜>", control=True)]


def _harmony(date: datetime.date, effort: str) -> Callable[[Messages], list[PromptPiece]]:
    def render(messages: Messages) -> list[PromptPiece]:
        pieces = [
            PromptPiece(
                "<|start|>system<|message|>"
                "You are ChatGPT, a large language model trained by OpenAI.\n"
                f"Knowledge cutoff: 2024-06\nCurrent date: {date.isoformat()}\n\n"
                f"Reasoning: {effort}\n\n# Valid channels: analysis, commentary, final. "
                "Channel must be included for every message.<|end|>",
                control=True,
            )
        ]
        for message in messages:
            if message["role"] == "system":
                header = "<|start|>developer<|message|># Instructions\n\n"
                pieces += _message(header, message, "\n\n<|end|>")
            elif message["role"] == "assistant":
                header = "<|start|>assistant<|channel|>final<|message|>"
                pieces += _message(header, message, "<|end|>")
            else:
                pieces += _message("<|start|>user<|message|>", message, "<|end|>")
        return [*pieces, PromptPiece("<|start|>assistant", control=True)]

    return render


def _plain(messages: Messages) -> list[PromptPiece]:
    titles = {"user": "Question", "assistant": "Response", "system": "Instruction"}
    pieces: list[PromptPiece] = []
    for message in messages:
        pieces += _message(f"### {titles[message['role']]}\n\n", message, "\n\n")
    return [*pieces, PromptPiece("### Response\n\n", control=True)]


def _message(header: str, message: Mapping[str, str], end: str) -> list[PromptPiece]:
    pieces = [
        PromptPiece(header, control=True),
        PromptPiece(message["content"]),
        PromptPiece(end, control=True),
    ]
    return [piece for piece in pieces if piece.text]


NAMED = ("qwen3", "deepseek-r1", "gpt-oss", "plain")
"""Formats that need no tokenizer. `qwen3` is ChatML, which many other models use as well."""


def named(name: str, *, date: datetime.date, arguments: Mapping[str, Any]) -> ChatFormat:
    """One of the built-in formats.

    Raises:
        ConfigError: There is none of that name, or it does not take these arguments.
    """
    takes = {"gpt-oss": {"reasoning_effort"}}.get(name, set())
    if unknown := set(arguments) - takes:
        raise ConfigError(
            f"the built-in format {name!r} takes no argument {', '.join(sorted(unknown))}",
            hint="give the model's tokenizer, whose chat template may",
        )
    match name:
        case "qwen3":
            return ChatFormat(name, THINK, begin=False, _render=_chatml)
        case "deepseek-r1":
            return ChatFormat(name, THINK, begin=False, _render=_deepseek)
        case "gpt-oss":
            effort = str(arguments.get("reasoning_effort", "medium"))
            return ChatFormat(name, HARMONY, begin=False, _render=_harmony(date, effort))
        case "plain":
            return ChatFormat(name, PLAIN, begin=True, _render=_plain)
    raise ConfigError(f"{name!r} is no chat format", hint=f"one of {', '.join(NAMED)}")


def from_tokenizer(
    folder: Path, *, name: str, arguments: Mapping[str, Any], date: datetime.date
) -> ChatFormat | None:
    """The format of a tokenizer's own chat template; None if it has none.

    Args:
        folder: Where the tokenizer is.
        name: What the user calls it.
        arguments: The template's own arguments.
        date: The run's date; see `from_template`.
    """
    config = read_config(folder)
    template = config.get("chat_template")
    path = folder / "chat_template.jinja"
    if path.exists():
        template = path.read_text(encoding="utf-8")
    if isinstance(template, list):  # several, by name
        by_name = {entry["name"]: entry["template"] for entry in template}
        template = by_name.get("default")
    if not isinstance(template, str):
        return None
    special = {}
    for key in ("bos_token", "eos_token", "pad_token", "unk_token"):
        value = config.get(key)
        if value:
            special[key] = value["content"] if isinstance(value, dict) else value
    return from_template(
        template, special=special, arguments=arguments, date=date, name=f"that of {name}"
    )


LONGEST_CONTROL = 80
"""Characters that anything which looks like a control token has at most."""
_CONTROL = re.compile(
    r"<(?=\|[^<>|\s]{1,64}\|>"  # <|im_end|>, <|channel|>
    r"|｜[^<>｜\s]{1,64}｜>"  # <｜User｜>
    r"|/?think>|/?s>|[be]os>|pad>|unk>"
    r"|(?:start|end)_of_turn>)"
    r"|\[(?=/?INST\])"
)


def escape_special_tokens(text: str) -> str:
    """Make sure that a server which reads special tokens in text prompts finds none in `text`.

    A word joiner (U+2060, of no width) goes after the first character of anything that looks
    like a control token of a common family. Only what is sent changes, never what is kept.
    """
    return _CONTROL.sub(lambda match: match.group() + "\u2060", text)
