"""A sample as its student sees it: through the chat template, in tokens.

A student must be trained on what it will be shown. So the rendered text must begin with the exact
prompt that the template makes of the question, and hold the response unchanged. It ends with the
token that ends the turn; where a template has none, the tokenizer's end of text is put there, since
a model that never saw an end does not stop.

Text in a question or a response that looks like a special token is text, never control; `<think>`
and `</think>` are what they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from tessy.data.record import MARKERS
from tessy.errors import ConfigError
from tessy.training.dataset import TrainSample

_CHANNEL = "<|channel|>"
_SHOWN = 60


class EncodedText(NamedTuple):
    """T token ids, and each token's half-open character offsets into the rendered text."""

    ids: list[int]
    offsets: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class RenderedSample:
    """A conversation as text.

    Attributes:
        text: Up to the end of the response's turn.
        begin: Where the response begins, in characters.
        literal: Stretches that look like special tokens and are text: half-open offsets.
    """

    text: str
    begin: int
    literal: tuple[tuple[int, int], ...] = ()


class Renderer:
    """Renders samples for one student.

    Args:
        tokenizer: The student's, of transformers.
        template: A Jinja source that replaces the tokenizer's own.
        arguments: The template's own arguments.

    Raises:
        ConfigError: The tokenizer is not a fast one, has no end of text, or has no template or one
            with channels.
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
        self._tokenizer, self._template, self._arguments = tokenizer, template, arguments
        self._eos = str(tokenizer.eos_token)
        self._control = _copy(tokenizer.backend_tokenizer)
        self._plain = _copy(tokenizer.backend_tokenizer)
        self._plain.encode_special_tokens = True
        self._special = _special_tokens(self._control)

    def render(self, sample: TrainSample) -> RenderedSample:
        """Render a sample.

        Raises:
            ValueError: The template can't be used for it; the message says why.
        """
        text = self._apply(sample.messages)
        prompt = self._apply(sample.messages[:-1], add_generation_prompt=True)
        begin = text.rfind(sample.content)
        if begin < 0:
            raise ValueError("the chat template does not keep the response as it is")
        if not text.startswith(prompt):
            raise ValueError(
                f"the model is asked with …{prompt[-_SHOWN:]!r}, and the sample goes on otherwise"
            )
        end = begin + len(sample.content)
        turn_end = self._special.search(text, end)
        text = text[: turn_end.end()] if turn_end else text[:end] + self._eos
        return RenderedSample(text, begin, tuple(self._literal(text, sample.messages)))

    def encode(self, samples: Sequence[RenderedSample]) -> list[EncodedText]:
        """Encode rendered samples."""
        texts = [sample.text for sample in samples]
        encodings = self._control.encode_batch(texts, add_special_tokens=False)
        return [
            self._encode_parts(sample) if sample.literal else EncodedText(found.ids, found.offsets)
            for sample, found in zip(samples, encodings, strict=True)
        ]

    def _apply(self, messages: Sequence[dict[str, str]], **more: Any) -> str:
        try:
            text = self._tokenizer.apply_chat_template(
                list(messages),
                chat_template=self._template,
                tokenize=False,
                **self._arguments,
                **more,
            )
        except Exception as error:  # a template may raise anything
            raise ValueError(f"the chat template refuses it: {error}") from None
        return str(text)

    def _literal(self, text: str, messages: Iterable[dict[str, str]]) -> list[tuple[int, int]]:
        """Where text of the messages looks like a special token."""
        found, position = [], 0
        for message in messages:
            content = message["content"].strip()
            start = text.find(content, position)
            if start < 0:  # an earlier turn, which the template shortened
                continue
            position = start + len(content)
            matches = self._special.finditer(text, start, position)
            found += [match.span() for match in matches if match.group() not in MARKERS]
        return found

    def _encode_parts(self, sample: RenderedSample) -> EncodedText:
        """Encode the literal stretches as plain text, and what is between them as usual."""
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        edges = [0, *(edge for stretch in sample.literal for edge in stretch), len(sample.text)]
        for number, (start, end) in enumerate(pairwise(edges)):
            tokenizer = self._plain if number % 2 else self._control
            found = tokenizer.encode(sample.text[start:end], add_special_tokens=False)
            ids += found.ids
            offsets += [(start + a, start + b) for a, b in found.offsets]
        return EncodedText(ids, offsets)


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


def _special_tokens(tokenizer: Any) -> re.Pattern[str]:
    """Matches any special token, the longest first; nothing if there are none."""
    added = tokenizer.get_added_tokens_decoder().values()
    texts = sorted((token.content for token in added if token.special), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, texts)) or r"(?!)")
