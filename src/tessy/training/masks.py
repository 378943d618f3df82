r"""Which tokens carry loss: from the spans of a record to the tokens of a training sample. Pure.

A response is divided twice, each time without gap or overlap:

    by part      thinking | answer      `</think>` and the blank lines around it end the thinking
    by author    capability | style     the teacher's text | the student's, the answer's included

`response` is all of it. A loss is one of these or several, joined by `+`: `capability+answer`
learns what the teacher wrote and the student's answer.

Three rules, each tested under its name:

*Markers*: nobody wrote `<think>\n` and `\n</think>\n\n` (role `format`). A marker, and the token
that ends the turn, goes with the text before it, whose author ended there; the first, with the
text behind it. So a model learns to stop from the same tokens that teach it what comes before.

*Seams*: a token that lies across a seam belongs to the side of its first character, where the
model stands when it chooses the token.

*Cover*: every token that begins in the response belongs to exactly one of thinking and answer,
and to exactly one of capability and style.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from tessy.errors import ConfigError

IGNORED = -100
"""The label of a token that carries no loss, as torch and transformers have it."""
THINK_END = "</think>"
_ROLES = ("student", "teacher", "format")


class Loss(StrEnum):
    """What carries loss."""

    RESPONSE = "response"
    """The whole response: no mask."""
    CAPABILITY = "capability"
    """What the teacher wrote."""
    STYLE = "style"
    """What the student wrote, the answer included."""
    THINKING = "thinking"
    """From `<think>` to `</think>`."""
    ANSWER = "answer"
    """What stands behind `</think>`, and the end of the turn."""


_AUTHORS = {"teacher": Loss.CAPABILITY, "student": Loss.STYLE}
BY_AUTHOR = frozenset(_AUTHORS.values())
"""Losses that need to know who wrote what."""


class Run(NamedTuple):
    """Neighbouring characters of one weight; offsets are half-open, into the content."""

    start: int
    end: int
    weight: int


def parse_loss(text: str) -> frozenset[Loss]:
    """Read a loss such as `response` or `capability+answer`.

    Raises:
        ConfigError: A part of it is none.
    """
    found = set()
    for name in text.split("+"):
        try:
            found.add(Loss(name.strip()))
        except ValueError:
            raise ConfigError(
                f"{name.strip()!r} is no part of a response, which are {', '.join(Loss)}",
                hint="one of them, or several joined by +",
            ) from None
    return frozenset(found)


def character_weights(
    content: str, spans: Sequence[Mapping[str, Any]] | None, loss: frozenset[Loss]
) -> list[Run]:
    """The weight of every character of a response.

    Args:
        content: The assistant's content.
        spans: `{role, start, end}` from its first character to its last; None if not known.
        loss: What carries loss.

    Returns:
        Runs of weight 1 or 0 that cover the content; neighbours differ.

    Raises:
        ValueError: The loss can't be told from this record; the message says why.
    """
    whole = len(content)
    stretches = [(0, whole, Loss.RESPONSE)]
    if loss & BY_AUTHOR:
        if spans is None:
            raise ValueError("it has no `spans`, so who wrote what is not known")
        stretches += _authors(spans)
    if loss & {Loss.THINKING, Loss.ANSWER}:
        at = _thinking_end(content, spans)
        stretches += [(0, at, Loss.THINKING), (at, whole, Loss.ANSWER)]
    return _runs([(start, end) for start, end, kind in stretches if kind in loss], whole)


def token_weights(
    offsets: Iterable[tuple[int, int]], runs: Sequence[Run], *, begin: int, end: int
) -> list[int]:
    """The weight of every token of a rendered conversation.

    Args:
        offsets: Of each token, in order: half-open character offsets into the rendered text.
        runs: Of the content, as `character_weights` gives them.
        begin: Where the content begins in the rendered text.
        end: Where the turn ends; what stands between the content and there goes with the
            content's last character (*Markers*).

    Returns:
        1 or 0 for each token; 0 outside `begin` to `end`.
    """
    starts = [run.start for run in runs]

    def weight(start: int) -> int:
        if not begin <= start < end or not runs:
            return 0
        return runs[bisect_right(starts, start - begin) - 1].weight

    return [weight(start) for start, _ in offsets]


def labels(ids: Sequence[int], weights: Sequence[int]) -> list[int]:
    """Labels as transformers and TRL take them: the id, or `IGNORED` where the weight is 0."""
    return [token if weight else IGNORED for token, weight in zip(ids, weights, strict=True)]


def check_spans(content: str, spans: Any) -> list[dict[str, Any]]:
    """Spans of a record, once they are what they should be.

    Raises:
        ValueError: They do not cover the content, or name no author; the message says where.
    """
    if not isinstance(spans, list):
        raise ValueError(f"`spans` must be a list, not {type(spans).__name__}")
    position = 0
    for number, span in enumerate(spans):
        if not isinstance(span, dict) or span.get("role") not in _ROLES:
            raise ValueError(f"spans[{number}].role must be one of {', '.join(_ROLES)}")
        start, end = span.get("start"), span.get("end")
        if start != position or not isinstance(end, int) or end < position:
            raise ValueError(
                f"spans[{number}] is {start} to {end}, where one from {position} is due"
            )
        position = end
    if position != len(content):
        raise ValueError(f"`spans` end at {position}, the response at {len(content)}")
    return spans


def _authors(spans: Sequence[Mapping[str, Any]]) -> list[tuple[int, int, Loss]]:
    """Stretches of capability and of style, markers included (*Markers*)."""
    written = [_AUTHORS[span["role"]] for span in spans if span["role"] in _AUTHORS]
    kind = written[0] if written else Loss.STYLE  # markers alone
    found = []
    for span in spans:
        kind = _AUTHORS.get(span["role"], kind)
        found.append((span["start"], span["end"], kind))
    return found


def _thinking_end(content: str, spans: Sequence[Mapping[str, Any]] | None) -> int:
    """Where the answer begins: behind the marker that ends the thinking."""
    for span in spans or ():
        inside = content[span["start"] : span["end"]]
        if span["role"] == "format" and THINK_END in inside:
            return int(span["end"])
    at = -1 if spans is not None else content.find(THINK_END)
    if at < 0:
        raise ValueError(f"it has no {THINK_END}, so where its answer begins is not known")
    end = at + len(THINK_END)
    return end + len(content[end:]) - len(content[end:].lstrip("\n"))


def _runs(trained: Sequence[tuple[int, int]], whole: int) -> list[Run]:
    """Cover `0` to `whole` with runs: 1 in any of the trained stretches, else 0."""
    found: list[Run] = []

    def add(start: int, end: int, weight: int) -> None:
        if start >= end:
            return
        if found and found[-1].weight == weight:
            found[-1] = found[-1]._replace(end=end)
        else:
            found.append(Run(start, end, weight))

    position = 0
    for start, end in sorted(trained):
        add(position, start, 0)
        add(max(position, start), end, 1)
        position = max(position, end)
    add(position, whole, 0)
    return found
