"""Segments in tokens, as a network is trained on them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tessy.boundary.training.segments import Segment, is_style
from tessy.method.words import is_neutral, units

IGNORED = -100
"""The label of tokens that don't count."""


@dataclass(frozen=True, slots=True)
class Example:
    """A segment in tokens.

    Attributes:
        ids: Of context and text.
        labels: 1 for style, 0 for capability, `IGNORED` for the context and what doesn't count.
        ends: Offsets into `ids` behind which a word of the text is whole.
    """

    ids: list[int]
    labels: list[int]
    ends: tuple[int, ...]

    def cut(self, chance: random.Random) -> Example:
        """The example up to the end of a random word."""
        end = chance.choice(self.ends) if self.ends else len(self.ids)
        return replace(self, ids=self.ids[:end], labels=self.labels[:end])


def examples(
    segments: Sequence[Segment], tokenizer: Any, *, window: int, shift: bool
) -> Iterator[Example]:
    """Put segments into tokens.

    Args:
        segments: Labelled ones.
        tokenizer: A `tokenizers.Tokenizer`.
        window: Tokens to keep, from the right.
        shift: Each token gets the label of the one after it.
    """
    texts = [segment.before + segment.text for segment in segments]
    for segment, encoding in zip(
        segments, tokenizer.encode_batch(texts, add_special_tokens=False), strict=True
    ):
        begin = len(segment.before)
        words = units(segment.text)
        style = is_style(segment, words)
        offsets = [(start - begin, end - begin) for start, end in encoding.offsets[-window:]]
        labels, ends, at = [], [], 0
        for index, (start, end) in enumerate(offsets):
            while at < len(words) and words[at].word_end <= start:
                at += 1
            word = words[at] if at < len(words) else None
            inside = word is not None and end > word.word_start and end > start
            if word is None or not inside:
                labels.append(IGNORED)
                continue
            neutral = is_neutral(segment.text[word.word_start : word.word_end])
            labels.append(IGNORED if neutral or end <= 0 else int(style[at]))
            if end >= word.word_end:
                ends.append(index + 1)
        if shift:
            labels = [*labels[1:], IGNORED]
        yield Example(list(encoding.ids[-window:]), labels, tuple(ends))
