"""A sample as token ids of the student's, each with its author.

The conversation is rendered in the student's own chat format, as training on the sample would
show it: without system prompts of a run's settings, since records don't have them. Thinking and
answer are tokenised apart, as in synthesis. A token across the seam of two authors counts for the
author of its first character.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from tessy.method.trajectory import Part, SampleFailed
from tessy.models.templates import ChatFormat
from tessy.models.tokenizers import PromptPiece, Tokenizer
from tessy.report.figures.likelihood import AUTHORS, LikelihoodSums
from tessy.report.figures.sample import ReportSample


@dataclass(slots=True)
class SampleTokens:
    """A sample, tokenised.

    Attributes:
        ids: Of question and response.
        authors: For each id, which of `AUTHORS` it counts for besides `all`, or its label; None for
            text without an author: the question, and markers.
    """

    ids: list[int] = field(default_factory=list)
    authors: list[str | None] = field(default_factory=list)

    def add(self, ids: Sequence[int], author: str | None) -> None:
        """Add ids of one author."""
        self.ids += ids
        self.authors += [author] * len(ids)


class Unaligned(Exception):
    """The tokens of a text do not spell it, so their authors are not known."""


async def tokenize(
    sample: ReportSample,
    format_: ChatFormat,
    tokenizer: Tokenizer,
    labels: Sequence[str] | None = None,
) -> SampleTokens:
    """Tokenise a finished sample.

    Args:
        sample: The sample.
        format_: The student's chat format.
        tokenizer: The student's tokenizer.
        labels: Of each of the thinking's texts, in the place of its author.

    Raises:
        Unaligned: The tokens do not spell the text, or control tokens would.
        ConfigError: The chat template refuses the conversation.
    """
    try:
        return await _tokenize(sample, format_, tokenizer, labels)
    except SampleFailed:
        raise Unaligned from None


async def _tokenize(
    sample: ReportSample,
    format_: ChatFormat,
    tokenizer: Tokenizer,
    labels: Sequence[str] | None,
) -> SampleTokens:
    tokens = SampleTokens()
    for index, piece in enumerate(format_.opening(sample.messages)):
        tokens.add(await tokenizer.encode(piece, begin=index == 0 and format_.begin), None)
    thinking = [each for each in sample.texts if each.part is Part.THINKING]
    names = labels or [each.role.value for each in thinking]
    texts = [(name, each.text) for name, each in zip(names, thinking, strict=True)]
    await _add_texts(tokens, texts, tokenizer)
    tokens.add(await tokenizer.encode(format_.closing()), None)
    answer = [("answer", each.text) for each in sample.texts if each.part is Part.ANSWER]
    await _add_texts(tokens, answer, tokenizer)
    return tokens


async def _add_texts(
    tokens: SampleTokens, texts: Sequence[tuple[str, str]], tokenizer: Tokenizer
) -> None:  # fmt: skip
    """Tokenise texts, each given with its author, as one."""
    ends = list(accumulate(len(text) for _, text in texts))
    whole = "".join(text for _, text in texts)
    encoded = await tokenizer.encode(PromptPiece(whole))
    at = spelled = 0
    for token in await tokenizer.tokens(encoded):
        if not whole.startswith(token.text, at):
            raise Unaligned
        author, _ = texts[min(bisect_right(ends, at), len(texts) - 1)]
        tokens.add(token.ids, author)
        at += len(token.text)
        spelled += len(token.ids)
    if at != len(whole) or spelled != len(encoded):
        raise Unaligned


def likelihood_sums(tokens: SampleTokens, logprobs: Sequence[float | None]) -> LikelihoodSums:
    """Add up the log-probabilities of a sample's tokens.

    Args:
        tokens: The sample's.
        logprobs: Natural logarithm of each id's probability after those before it.
    """
    nll, counts = dict.fromkeys(AUTHORS, 0.0), dict.fromkeys(AUTHORS, 0)
    for author, logprob in zip(tokens.authors, logprobs, strict=True):
        if author is not None and logprob is not None:
            for name in ("all", author):
                nll[name] -= logprob
                counts[name] += 1
    return LikelihoodSums(nll, counts)
