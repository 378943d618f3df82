"""Finding an annotator's answer in its segment; pure.

An annotator is asked for a JSON array of strings: the style spans, verbatim and in order (METHOD,
"Boundary predictors"). What it answers is either located exactly or rejected with a reason; nothing
is guessed. Only a fence around the array is forgiven, and a span that begins or ends within a word
is taken to mean the word.
"""

from __future__ import annotations

import re
from enum import StrEnum

import orjson

from tessy.method.words import units


class Rejection(StrEnum):
    """Why an annotation was not taken."""

    PROSE = "prose"
    """There is no JSON array in the answer, or text around it."""
    BROKEN = "broken"
    """What looks like an array is not JSON: cut off, or wrong quotes."""
    NOT_STRINGS = "not_strings"
    """An element is no string, or an empty one."""
    ALTERED = "altered"
    """A span does not stand in the segment, letter by letter."""
    OUT_OF_ORDER = "out_of_order"
    """A span stands in the segment, but before the one that was named before it."""
    OVERLAPPING = "overlapping"
    """A span begins within the one that was named before it."""
    MODEL_ERROR = "model_error"
    """The model's server failed."""


class Rejected(Exception):
    """An annotation can't be used.

    Args:
        reason: Why.
        detail: What exactly.
    """

    def __init__(self, reason: Rejection, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


_FENCE = re.compile(r"\A```\w*\n(.*?)\n?```\Z", re.DOTALL)


def parse(answer: str) -> list[str]:
    """Read an annotator's answer.

    Raises:
        Rejected: It is no JSON array of strings.
    """
    text = answer.strip()
    if fenced := _FENCE.match(text):
        text = fenced[1].strip()
    if not text.startswith("["):
        raise Rejected(Rejection.PROSE, repr(text[:60]))
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        behind = re.search(r"\]\s*\S", text)
        reason = Rejection.PROSE if behind and text.rstrip()[-1] != "]" else Rejection.BROKEN
        raise Rejected(reason, str(error)) from None
    for index, span in enumerate(found):
        if not isinstance(span, str) or not span.strip():
            raise Rejected(Rejection.NOT_STRINGS, f"element {index} is {span!r}")
    return list(found)


def locate(text: str, spans: list[str]) -> tuple[tuple[int, int], ...]:
    """Find spans in a text, in order.

    Args:
        text: The segment's.
        spans: Verbatim parts of it.

    Returns:
        Half-open character offsets, extended to whole words; those that touch are one.

    Raises:
        Rejected: One is not there, or not in its place.
    """
    found: list[tuple[int, int]] = []
    words = [(word.word_start, word.word_end) for word in units(text)]
    position = 0
    for span in (span.strip() for span in spans):
        start = _find(text, span, position)
        if start is None:
            raise _misplaced(text, span, position, found)
        end = position = start + len(span)
        inside = [word for word in words if word[0] < end and word[1] > start]
        start, end = inside[0][0], inside[-1][1]
        if found and not text[found[-1][1] : start].strip():
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return tuple(found)


def _find(text: str, span: str, position: int) -> int | None:
    """Where a span stands at or behind a position, as words of its own."""
    at = text.find(span, position)
    while at >= 0:
        before, behind = text[at - 1 : at], text[at + len(span) : at + len(span) + 1]
        if not (before.isalnum() and span[0].isalnum()) and not (
            behind.isalnum() and span[-1].isalnum()
        ):
            return at
        at = text.find(span, at + 1)
    return None


def _misplaced(text: str, span: str, position: int, found: list[tuple[int, int]]) -> Rejected:
    earlier = _find(text, span, 0)
    if earlier is None:
        return Rejected(Rejection.ALTERED, repr(span))
    within = any(start <= earlier < end for start, end in found)
    return Rejected(Rejection.OVERLAPPING if within else Rejection.OUT_OF_ORDER, repr(span))
