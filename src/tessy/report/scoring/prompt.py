"""A sample as token ids of the student's, each with its author.

The conversation is rendered in the student's own chat format, as training on the sample would
show it: without system prompts of a run's settings, since records don't have them. Thinking and
answer are tokenised alone, as they are in synthesis. A token that lies on a seam is that of the
author who wrote its first character.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tessy.method.trajectory import Part
from tessy.models.templates import ChatFormat
from tessy.models.tokenizers import Piece, Tokenizer
from tessy.report.figures.likelihood import AUTHORS, Sums
from tessy.report.figures.sample import Sample


@dataclass(frozen=True, slots=True)
class Prompt:
    """A sample, tokenised.

    Attributes:
        ids: Of question and response.
        authors: For each id, which of `AUTHORS` it counts for besides all; None for what no
            author wrote: the question, and markers.
    """

    ids: list[int]
    authors: list[str | None]


class Unaligned(Exception):
    """The tokens of a text do not spell it, so nobody can say who wrote them."""


async def prompt(sample: Sample, format_: ChatFormat, codec: Tokenizer) -> Prompt:
    """Tokenise a finished sample.

    Raises:
        Unaligned: The tokens do not spell the text.
        ConfigError: The chat template refuses the conversation.
    """
    made = Prompt([], [])
    for index, piece in enumerate(format_.opening(sample.messages)):
        ids = await codec.encode(piece, begin=index == 0 and format_.begin)
        _add(made, ids, [None] * len(ids))
    for part in Part:
        if part is Part.ANSWER:
            ids = await codec.encode(format_.closing())
            _add(made, ids, [None] * len(ids))
        stretches = [stretch for stretch in sample.stretches if stretch.part is part]
        if stretches:
            text = sample.content[stretches[0].start : stretches[-1].end]
            names = [
                (
                    stretch.end - stretches[0].start,
                    "answer" if part is Part.ANSWER else stretch.role,
                )
                for stretch in stretches
            ]
            _add(made, *await _written(text, names, codec))
    return made


def _add(made: Prompt, ids: Sequence[int], authors: Sequence[str | None]) -> None:
    made.ids.extend(ids)
    made.authors.extend(authors)


async def _written(
    text: str, ends: Sequence[tuple[int, str]], codec: Tokenizer
) -> tuple[list[int], list[str | None]]:
    """Ids of a text, each with the name of the stretch that its first character lies in."""
    ids: list[int] = []
    names: list[str | None] = []
    at = place = 0
    encoded = await codec.encode(Piece(text))
    for token in await codec.tokens(encoded):
        while ends[place][0] <= at and place < len(ends) - 1:
            place += 1
        ids += token.ids
        names += [ends[place][1]] * len(token.ids)
        if not text.startswith(token.text, at):
            raise Unaligned
        at += len(token.text)
    if at != len(text) or ids != encoded:
        raise Unaligned
    return ids, names


def sums(made: Prompt, logprobs: Sequence[float | None]) -> Sums:
    """Add up what a scorer said of each token.

    Args:
        made: The tokens.
        logprobs: Natural logarithm of each id's probability after those before it.
    """
    nll, tokens = dict.fromkeys(AUTHORS, 0.0), dict.fromkeys(AUTHORS, 0)
    for author, logprob in zip(made.authors, logprobs, strict=True):
        if author is not None and logprob is not None:
            for name in ("all", author):
                nll[name] -= logprob
                tokens[name] += 1
    return Sums(nll, tokens)
