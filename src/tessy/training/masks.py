r"""Which tokens carry loss: from the spans of a record to the labels of a training sample. Pure.

A response is divided twice, each time without gap or overlap:

    by part      thinking | answer      `</think>` and the blank lines around it end the thinking
    by author    capability | style     the teacher's text | the student's, the answer included

`response` is all of it. A loss is one of these or several, joined by `+`: `capability+answer`
trains on what the teacher wrote and on the student's answer.

Three rules, each tested under its name:

*Markers*: nobody wrote `<think>\n` and `\n</think>\n\n` (role `format`). A marker, and the token
that ends the turn, goes with the text before it, whose author ended there; the first marker goes
with the text after it. So a model learns to stop from the tokens that teach it what comes before.

*Seams*: a token that crosses a seam belongs to the side of its first character, which is where the
model is when it chooses the token.

*Cover*: every token that begins in the response belongs to exactly one of thinking and answer,
and to exactly one of capability and style.

Shapes: T is the number of tokens of one sample.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from tessy.errors import ConfigError

IGNORED = -100
"""The label of a token without loss, in torch and transformers."""
THINK_END = "</think>"


class LossPart(StrEnum):
    """A part of the response that can carry loss."""

    RESPONSE = "response"
    """The whole response: no mask."""
    CAPABILITY = "capability"
    """What the teacher wrote."""
    STYLE = "style"
    """What the student wrote, the answer included."""
    THINKING = "thinking"
    """From `<think>` to `</think>`."""
    ANSWER = "answer"
    """What comes after `</think>`, and the end of the turn."""


_AUTHORS = {"teacher": LossPart.CAPABILITY, "student": LossPart.STYLE}
BY_AUTHOR = frozenset(_AUTHORS.values())
"""Parts that depend on who wrote what."""


class WeightRun(NamedTuple):
    """Neighbouring characters of one weight; offsets are half-open, into the content."""

    start: int
    end: int
    weight: int


def parse_loss(text: str) -> frozenset[LossPart]:
    """Read a loss such as `response` or `capability+answer`.

    Raises:
        ConfigError: It names something that is no part of a response.
    """
    parts = set()
    for name in text.split("+"):
        try:
            parts.add(LossPart(name.strip()))
        except ValueError:
            raise ConfigError(
                f"{name.strip()!r} is no part of a response, which are {', '.join(LossPart)}",
                hint="one of them, or several joined by +",
            ) from None
    return frozenset(parts)


def checked_weights(content: str, weights: Sequence[Any]) -> list[WeightRun]:
    """The runs of an exported mask.

    Args:
        content: The assistant's content.
        weights: `[start, end, weight]`, as `tessy export --mask` writes them.

    Raises:
        ValueError: They don't cover the content, or have other weights than 0 and 1.
    """
    runs, end = list[WeightRun](), 0
    for each in weights:
        is_run = isinstance(each, list | tuple) and len(each) == 3
        if not is_run or any(type(number) is not int for number in each):
            raise ValueError("`weights` are no runs [start, end, weight] of whole numbers")
        run = WeightRun(*each)
        if run.start != end or not run.start < run.end or run.weight not in (0, 1):
            raise ValueError(f"`weights`: {list(run)} can't follow at {end:,}")
        runs.append(run)
        end = run.end
    if end != len(content):
        raise ValueError(f"`weights` end at {end:,}, the response at {len(content):,}")
    return runs


def character_weights(
    content: str, spans: Sequence[Mapping[str, Any]] | None, loss: frozenset[LossPart]
) -> list[WeightRun]:
    """The weight of every character of a response.

    Args:
        content: The assistant's content.
        spans: `{role, start, end}` from its first character to its last; None if not known.
        loss: The parts that carry loss.

    Returns:
        Runs of weight 1 or 0 that cover the content; neighbours differ.

    Raises:
        ValueError: The record doesn't say where these parts are; the message says why.
    """
    stretches = [(0, len(content), LossPart.RESPONSE)]
    if loss & BY_AUTHOR:
        if spans is None:
            raise ValueError("it has no `spans`, so who wrote what is not known")
        stretches += _by_author(spans)
    if loss & {LossPart.THINKING, LossPart.ANSWER}:
        end = _thinking_end(content, spans)
        stretches += [(0, end, LossPart.THINKING), (end, len(content), LossPart.ANSWER)]
    weights = bytearray(len(content))
    for start, end, part in stretches:
        if part in loss:
            weights[start:end] = b"\1" * (end - start)
    return _runs(weights)


def token_weights(
    offsets: Iterable[tuple[int, int]], runs: Sequence[WeightRun], *, begin: int, end: int
) -> list[int]:
    """The weight of every token of a rendered conversation.

    Args:
        offsets: Of T tokens, in order: half-open character offsets into the rendered text.
        runs: Of the content, as `character_weights` returns them.
        begin: Where the content begins in the rendered text.
        end: Where the turn ends. Text between the content and there, such as the end-of-turn
            token, has the weight of the content's last character (*Markers*).

    Returns:
        T weights: 1 or 0; 0 outside `begin` to `end`.
    """
    starts = [run.start for run in runs]

    def weight(start: int) -> int:
        if not begin <= start < end or not runs:
            return 0
        return runs[bisect_right(starts, start - begin) - 1].weight

    return [weight(start) for start, _ in offsets]


def labels(ids: Sequence[int], weights: Sequence[int]) -> list[int]:
    """Labels as transformers and TRL take them.

    Args:
        ids: T token ids.
        weights: T weights.

    Returns:
        T labels: the id, or `IGNORED` where the weight is 0.
    """
    return [token if weight else IGNORED for token, weight in zip(ids, weights, strict=True)]


def _by_author(spans: Sequence[Mapping[str, Any]]) -> list[tuple[int, int, LossPart]]:
    """Stretches of capability and of style, markers included (*Markers*)."""
    written = [_AUTHORS[span["role"]] for span in spans if span["role"] in _AUTHORS]
    part = written[0] if written else LossPart.STYLE  # there may be markers alone
    stretches = []
    for span in spans:
        part = _AUTHORS.get(span["role"], part)
        stretches.append((span["start"], span["end"], part))
    return stretches


def _thinking_end(content: str, spans: Sequence[Mapping[str, Any]] | None) -> int:
    """Where the answer begins: after the marker that ends the thinking."""
    for span in spans or ():
        inside = content[span["start"] : span["end"]]
        if span["role"] == "format" and THINK_END in inside:
            return int(span["end"])
    at = -1 if spans is not None else content.find(THINK_END)
    if at < 0:
        raise ValueError(f"it has no {THINK_END}, so where its answer begins is not known")
    after = content[at + len(THINK_END) :]
    return len(content) - len(after.lstrip("\n"))


def _runs(weights: bytearray) -> list[WeightRun]:
    runs: list[WeightRun] = []
    start = 0
    while start < len(weights):
        end = weights.find(1 - weights[start], start)
        end = len(weights) if end < 0 else end
        runs.append(WeightRun(start, end, weights[start]))
        start = end
    return runs
