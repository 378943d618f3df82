"""A sample as its student sees it: through the chat template, in tokens.

What the student is trained on must be what it will be shown. So the rendered text must begin with
the very prompt that the template makes of the question, and hold the response exactly. It ends
with the token that ends the turn; where a template puts none there, the tokenizer's end of text
stands instead, since a model that never saw an end does not stop.

Text that looks like a special token and stands in a question or a response is text, never control
(DESIGN); `<think>` and `</think>` are what they are.
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
from tessy.training.data import Sample

_CHANNEL = "<|channel|>"
_SHOWN = 60


class Tokens(NamedTuple):
    """Ids, and each one's half-open character offsets into the rendered text."""

    ids: list[int]
    offsets: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation as text.

    Attributes:
        text: Up to the end of the response's turn.
        begin: Where the response begins.
        literal: Stretches that look like special tokens and are text.
    """

    text: str
    begin: int
    literal: tuple[tuple[int, int], ...] = ()


class Renderer:
    """Renders samples for one student.

    Args:
        tokenizer: The student's, of transformers.
        template: A Jinja source in place of the tokenizer's own.
        arguments: The template's own arguments.

    Raises:
        ConfigError: The tokenizer is no fast one, or has no template or one for channels, or no
            end of text.
    """

    def __init__(
        self, tokenizer: Any, *, template: str | None = None, arguments: dict[str, Any]
    ) -> None:
        if not tokenizer.is_fast:
            raise ConfigError(
                "the model has no fast tokenizer, so tokens can't be located in the text",
                hint="choose a model with a tokenizer.json",
            )
        used = template or tokenizer.chat_template
        if not isinstance(used, str):
            raise ConfigError(
                "the model's tokenizer has no chat template",
                hint="give one: --chat-template FILE.jinja",
            )
        if _CHANNEL in used:
            raise ConfigError(
                f"the model's chat template thinks in channels ({_CHANNEL})",
                hint="a record's thinking stands in <think>: train a student that thinks so",
            )
        if tokenizer.eos_token is None:
            raise ConfigError("the model's tokenizer has no end-of-text token (eos_token)")
        self._tokenizer, self._template, self._arguments = tokenizer, used, arguments
        self._eos = str(tokenizer.eos_token)
        self._control = _alone(tokenizer.backend_tokenizer)
        self._plain = _alone(tokenizer.backend_tokenizer)
        self._plain.encode_special_tokens = True
        self._special = _any_of(_special_tokens(self._control))

    def render(self, sample: Sample) -> Rendered:
        """Render a sample.

        Raises:
            ValueError: The template will not do for it; the message says why.
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
        text = self._ended(text, begin + len(sample.content))
        return Rendered(text, begin, tuple(self._literal(text, sample.messages)))

    def encode(self, rendered: Sequence[Rendered]) -> list[Tokens]:
        """Put rendered samples into tokens."""
        texts = [each.text for each in rendered]
        whole = self._control.encode_batch(texts, add_special_tokens=False)
        return [
            self._in_pieces(each) if each.literal else Tokens(found.ids, found.offsets)
            for each, found in zip(rendered, whole, strict=True)
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

    def _ended(self, text: str, at: int) -> str:
        """The text up to the token that ends the turn, which ends at `at`."""
        found = self._special.search(text, at)
        return text[: found.end()] if found else text[:at] + self._eos

    def _literal(self, text: str, messages: Iterable[dict[str, str]]) -> list[tuple[int, int]]:
        """Where text of the messages looks like a special token."""
        found, at = [], 0
        for message in messages:
            inside = message["content"].strip()
            start = text.find(inside, at)
            if start < 0:  # an earlier turn, which the template shortened
                continue
            at = start + len(inside)
            matches = self._special.finditer(text, start, at)
            found += [match.span() for match in matches if match.group() not in MARKERS]
        return found

    def _in_pieces(self, rendered: Rendered) -> Tokens:
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        edges = [0, *(edge for span in rendered.literal for edge in span), len(rendered.text)]
        for number, (start, end) in enumerate(pairwise(edges)):
            tokenizer = self._plain if number % 2 else self._control
            found = tokenizer.encode(rendered.text[start:end], add_special_tokens=False)
            ids += found.ids
            offsets += [(start + a, start + b) for a, b in found.offsets]
        return Tokens(ids, offsets)


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


def _alone(backend: Any) -> Any:
    """A copy that neither cuts nor pads."""
    from tokenizers import Tokenizer

    copy = Tokenizer.from_str(backend.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy


def _special_tokens(tokenizer: Any) -> list[str]:
    added = tokenizer.get_added_tokens_decoder().values()
    return [token.content for token in added if token.special]


def _any_of(texts: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(texts, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
