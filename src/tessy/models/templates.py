"""Chat formats: how a question, its thinking and its answer become a prompt of one model.

Thinking is canonical: a trajectory has no markers, and a format adds those of its model. A format
is made from the tokenizer's own chat template or is built in (`NAMED`). The control tokens of a
template decide which family it belongs to, never a model's name.

Text of a user or a model is never control: a question that contains `<|im_end|>` stays text. Id
prompts encode such text without special tokens (`models.tokenizers`); in text prompts, a word
joiner goes into anything that a server could take for a control token (`escape_special_tokens`).
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

    def opening(self, messages: Messages) -> list[PromptPiece]:
        """The prompt up to the opening of the thinking, which is included.

        Args:
            messages: The conversation, ending with the user's message.

        Raises:
            ConfigError: The template rejects this conversation.
        """
        pieces = self._render(messages)
        return [*pieces, PromptPiece(self.family.opens, control=True)]

    def closing(self) -> PromptPiece:
        """The piece that closes the thinking and opens the answer."""
        return PromptPiece(self.family.closes, control=True)


def from_template(
    template: str,
    *,
    special: Mapping[str, str],
    arguments: Mapping[str, Any],
    date: datetime.date,
    name: str,
) -> ChatFormat:
    """Make a format from a tokenizer's chat template.

    Args:
        template: The Jinja source.
        special: Special tokens for the template: `bos_token`, `eos_token`, …
        arguments: The template's own arguments, such as `enable_thinking`.
        date: The date that the template shows: the run's, so that prompts stay the same when a run
            is resumed on another day.
        name: The format's name.

    Raises:
        ConfigError: The template is not valid.
    """
    compiled = _compile(template, date, name)
    family = HARMONY if "<|channel|>" in template else THINK

    def render(messages: Messages) -> list[PromptPiece]:
        # A placeholder for each message's content keeps it apart from the template's text.
        marks = [f"\ue000{index}\ue001" for index in range(len(messages))]
        shown = [
            {"role": message["role"], "content": mark}
            for message, mark in zip(messages, marks, strict=True)
        ]
        try:
            text = compiled.render(
                messages=shown, add_generation_prompt=True, **special, **arguments
            )
        except Exception as error:  # a template can raise anything
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
    """Cut anything after the assistant's header: the format opens the thinking itself."""
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
    """A built-in format.

    Args:
        name: One of `NAMED`.
        date: The run's date; see `from_template`.
        arguments: Its arguments; only `gpt-oss` takes one, `reasoning_effort`.

    Raises:
        ConfigError: There is no format of that name, or it does not take these arguments.
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
        folder: The tokenizer's folder.
        name: Its name in the settings.
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
"""The maximum number of characters in anything that looks like a control token."""
_CONTROL = re.compile(
    r"<(?=\|[^<>|\s]{1,64}\|>"  # <|im_end|>, <|channel|>
    r"|｜[^<>｜\s]{1,64}｜>"  # <｜User｜>
    r"|/?think>|/?s>|[be]os>|pad>|unk>"
    r"|(?:start|end)_of_turn>)"
    r"|\[(?=/?INST\])"
)


def escape_special_tokens(text: str) -> str:
    """Escape `text`, so that a server that parses special tokens in text prompts finds none.

    A word joiner (U+2060, zero width) goes after the first character of anything that looks like a
    control token of a common family. This changes only the prompt, never the stored text.
    """
    return _CONTROL.sub(lambda match: match.group() + "\u2060", text)
