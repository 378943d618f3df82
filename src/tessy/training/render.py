"""A sample as its student sees it: through the chat template, in tokens.

A student must be trained on what it will be shown. So the rendered text must begin with the exact
prompt that the template makes of the question, and hold the response unchanged. It ends with the
token that ends the turn; where a template has none, the tokenizer's end of text is put there, since
a model that never saw an end does not stop.

Every message is in it, as text (*Shown*, `models.rendering`): what looks like a control token in a
question or a response is text, and encoded as such; `<think>` and `</think>` of the assistant are
what they are. A template may leave out the thinking of earlier turns, which are not trained on.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tessy.data.record import MARKERS
from tessy.errors import ConfigError
from tessy.method.trajectory import SampleFailed
from tessy.models.chat_template import ChatTemplate
from tessy.models.rendering import NotShown, RenderedConversation, render
from tessy.models.tokenizers import EncodedText, TextEncoder, without_extras
from tessy.training.dataset import TrainSample

_CHANNEL = "<|channel|>"
_SHOWN = 60
_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class RenderedSample:
    """A conversation as text.

    Attributes:
        text: Up to the end of the response's turn.
        begin: Where the response begins, in characters.
        texts: Where texts of messages are, in order, and whether it is the assistant's.
    """

    text: str
    begin: int
    texts: tuple[tuple[int, int, bool], ...] = ()


class Renderer:
    """Renders samples for one student.

    Args:
        tokenizer: The student's, of transformers.
        template: A Jinja source that replaces the tokenizer's own.
        arguments: The template's own arguments.

    Raises:
        ConfigError: The tokenizer is not a fast one, has no end of text, or has no template, a
            broken one, or one with channels.
    """

    def __init__(
        self, tokenizer: Any, *, template: str | None = None, arguments: dict[str, Any]
    ) -> None:
        if not tokenizer.is_fast:
            raise ConfigError(
                "the model has no fast tokenizer, so tokens can't be located in the text",
                hint="choose a model with a tokenizer.json",
            )
        template = template or tokenizer.chat_template
        if not isinstance(template, str):
            raise ConfigError(
                "the model's tokenizer has no chat template",
                hint="give one: --chat-template FILE.jinja",
            )
        if _CHANNEL in template:
            raise ConfigError(
                f"the model's chat template thinks in channels ({_CHANNEL})",
                hint="a record's thinking is in <think>: train a student that thinks so",
            )
        if tokenizer.eos_token is None:
            raise ConfigError("the model's tokenizer has no end-of-text token (eos_token)")
        self._tokenizer, self._source, self._arguments = tokenizer, template, arguments
        self._eos = str(tokenizer.eos_token)
        special = {key: str(text) for key, text in tokenizer.special_tokens_map.items()}
        date = datetime.datetime.now().date()  # as transformers does: templates show local time
        try:
            self._template = ChatTemplate(template, special=special, arguments=arguments, date=date)
        except ValueError as error:
            raise ConfigError(f"the model's chat template: {error}") from None
        self._control = _copy(tokenizer.backend_tokenizer)
        raw = json.loads(self._control.to_str())
        self._bare = type(self._control).from_str(json.dumps(without_extras(raw)))
        self._plain = TextEncoder(raw)
        self._ends = _any_of(tokenizer.all_special_tokens)
        self._control_ids = frozenset(self._plain.control.values())

    def render(self, sample: TrainSample) -> RenderedSample:
        """Render a sample.

        Raises:
            ValueError: The template can't be used for it; the message says why.
        """
        whole, prompt = self._render(sample.messages), self._render(sample.messages[:-1], True)
        if (begin := whole.response_begin()) is None:
            raise ValueError("the chat template does not keep the response as it is")
        if not whole.text.startswith(prompt.text):
            raise ValueError(
                f"the model is asked with …{prompt.text[-_SHOWN:]!r}, and the sample goes on "
                "otherwise"
            )
        end = begin + len(sample.content)
        turn_end = self._ends.search(whole.text, end)
        text = whole.text[: turn_end.end()] if turn_end else whole.text[:end] + self._eos
        roles = {part.origin: part.role for part in whole.parts}
        texts = tuple(
            (start, end, roles[max(each for each in roles if each <= origin)] == "assistant")
            for start, end, origin in whole.runs
        )
        return RenderedSample(text, begin, texts)

    def encode(self, samples: Sequence[RenderedSample]) -> list[EncodedText | None]:
        """Encode rendered samples; None for one in which text would become a control token."""
        texts = [sample.text for sample in samples]
        encodings = self._control.encode_batch(texts, add_special_tokens=False)
        return [
            self._as_text(sample, EncodedText(found.ids, found.offsets))
            for sample, found in zip(samples, encodings, strict=True)
        ]

    def _as_text(self, sample: RenderedSample, found: EncodedText) -> EncodedText | None:
        """Encode stretches that became control tokens, and are text, by themselves."""
        literal: list[tuple[int, int]] = []
        for _ in range(_ROUNDS):
            forged = list(self._forged(sample, found))
            if not forged:
                return found
            literal = sorted({*literal, *forged})
            try:
                found = self._encode_parts(sample.text, literal)
            except SampleFailed:
                return None
        return None

    def _forged(self, sample: RenderedSample, found: EncodedText) -> Iterator[tuple[int, int]]:
        """Where text became a control token."""
        at = 0
        for token, (start, end) in zip(found.ids, found.offsets, strict=True):
            if token not in self._control_ids:
                continue
            while at < len(sample.texts) and sample.texts[at][1] <= start:
                at += 1
            if at == len(sample.texts):
                return
            first, last, by_assistant = sample.texts[at]
            inside = sample.text[max(start, first) : min(end, last)].strip()
            if inside and not (by_assistant and inside in MARKERS):
                yield max(start, first), min(end, last)

    def _render(
        self, messages: Sequence[Mapping[str, str]], prompt: bool = False
    ) -> RenderedConversation:
        try:
            found = render(self._template, messages, prompt=prompt)
            text = self._tokenizer.apply_chat_template(
                [dict(message) for message in messages],
                chat_template=self._source,
                tokenize=False,
                add_generation_prompt=prompt,
                **self._arguments,
            )
        except NotShown as error:
            raise ValueError(
                f"the chat template does not keep the response, or its question, as "
                f"they are: {error}"
            ) from None
        except Exception as error:  # a template may raise anything
            raise ValueError(f"the chat template refuses it: {error}") from None
        if found.text != text and "strftime_now" not in self._source:
            raise ValueError("transformers renders it otherwise than tessy")
        return found

    def _encode_parts(self, text: str, literal: Sequence[tuple[int, int]]) -> EncodedText:
        """Encode literal stretches as plain text, and what is between them as usual.

        Raises:
            ControlInText: A stretch can't be encoded as text.
        """
        whole = EncodedText([], [])
        edges = [0, *(edge for stretch in literal for edge in stretch), len(text)]
        for number, (start, end) in enumerate(pairwise(edges)):
            tokenizer = self._bare if number else self._control
            found = (
                self._plain.encode(text[start:end])
                if number % 2
                else tokenizer.encode(text[start:end], add_special_tokens=False)
            )
            whole.ids.extend(found.ids)
            whole.offsets.extend((start + a, start + b) for a, b in found.offsets)
        return whole


def read_template(path: Path | None) -> str | None:
    """Read a chat template.

    Raises:
        ConfigError: It can't be read.
    """
    if path is None:
        return None
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}", hint="a chat template is a Jinja file") from None


def _copy(backend: Any) -> Any:
    """A copy of a tokenizer that neither truncates nor pads."""
    from tokenizers import Tokenizer

    copy = Tokenizer.from_str(backend.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy


def _any_of(texts: Iterable[str]) -> re.Pattern[str]:
    """Matches any of them, the longest first; nothing if there are none."""
    longest_first = sorted(texts, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
