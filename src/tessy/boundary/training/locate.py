"""Finding an annotator's answer in its segment; pure.

An annotator is asked for a JSON array of strings: the style spans, verbatim and in order (paper,
section 2.2, annotates in this way). Its answer is located exactly or rejected with a reason;
nothing is guessed. Only a fence around the array is ignored, and a span that begins or ends within
a word stands for the whole word.
"""

from __future__ import annotations

import re
from enum import StrEnum

import orjson

from tessy.method.words import units


class RejectReason(StrEnum):
    """Why an annotation was rejected."""

    PROSE = "prose"
    """The answer has no JSON array, or text around it."""
    BROKEN = "broken"
    """The array is not JSON: it is cut off, or has wrong quotes."""
    NOT_STRINGS = "not_strings"
    """An element is no string, or an empty string."""
    ALTERED = "altered"
    """A span is not in the segment, letter by letter."""
    OUT_OF_ORDER = "out_of_order"
    """A span is in the segment, but only before the span that precedes it in the answer."""
    OVERLAPPING = "overlapping"
    """A span begins within an earlier one."""
    MODEL_ERROR = "model_error"
    """The model's server failed."""


class Rejected(Exception):
    """An annotation can't be used.

    Args:
        reason: Why not.
        detail: The part of the answer that is wrong.
    """

    def __init__(self, reason: RejectReason, detail: str) -> None:
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
        raise Rejected(RejectReason.PROSE, repr(text[:60]))
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        more_text = re.search(r"\]\s*\S", text) and not text.endswith("]")
        reason = RejectReason.PROSE if more_text else RejectReason.BROKEN
        raise Rejected(reason, str(error)) from None
    for index, span in enumerate(found):
        if not isinstance(span, str) or not span.strip():
            raise Rejected(RejectReason.NOT_STRINGS, f"element {index} is {span!r}")
    return list(found)


def locate(text: str, spans: list[str]) -> tuple[tuple[int, int], ...]:
    """Find spans in a text, in order.

    Args:
        text: The text of a segment.
        spans: Verbatim parts of the text.

    Returns:
        Half-open character offsets, extended to whole words; those that touch are one.

    Raises:
        Rejected: A span is not in the text, or not after the one before it.
    """
    found: list[tuple[int, int]] = []
    words = [(word.word_start, word.word_end) for word in units(text)]
    position = 0
    for span in (span.strip() for span in spans):
        start = _find(text, span, position)
        if start is None:
            raise _misplaced(text, span, found)
        end = position = start + len(span)
        inside = [word for word in words if word[0] < end and word[1] > start]
        start, end = inside[0][0], inside[-1][1]
        if found and not text[found[-1][1] : start].strip():
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return tuple(found)


def _find(text: str, span: str, position: int) -> int | None:
    """The first offset from a position on at which a span is found as whole words."""
    at = text.find(span, position)
    while at >= 0:
        end = at + len(span)
        cuts_word = text[at - 1 : at].isalnum() and span[0].isalnum()
        if not cuts_word and not (text[end : end + 1].isalnum() and span[-1].isalnum()):
            return at
        at = text.find(span, at + 1)
    return None


def _misplaced(text: str, span: str, found: list[tuple[int, int]]) -> Rejected:
    """Why a span was not found after the spans before it."""
    earlier = _find(text, span, 0)
    if earlier is None:
        return Rejected(RejectReason.ALTERED, repr(span))
    within = any(start <= earlier < end for start, end in found)
    return Rejected(RejectReason.OVERLAPPING if within else RejectReason.OUT_OF_ORDER, repr(span))
