"""A response cut into pieces: who wrote what, and where text was discarded. Pure.

The terminal (`cli.paint`), pages (`report.viewer.sample`) and reports (`report.excerpts`) show it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tessy.data.record import THINK_OPEN
from tessy.method.trajectory import Part, Role

_FORMAT = "format"


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text with one author.

    Attributes:
        text: The text.
        role: Its author; None for the markers around the thinking.
        mark: See `mark_of`.
        discarded: It was rolled back here and is not part of the response.
        opens: It is the first piece of its span.
    """

    text: str
    role: Role | None
    mark: str = ""
    discarded: bool = False
    opens: bool = False


class AuthoredText(NamedTuple):
    """The text of one span of a response.

    Attributes:
        role: Who wrote it.
        part: Thinking or answer.
        text: What it says.
        mark: Why it was kept although it is of the other kind: `forced` (for *Progress*) or
            `tolerated` (too short for a hand-over); else empty.
    """

    role: Role
    part: Part
    text: str
    mark: str = ""


def mark_of(span: Mapping[str, Any]) -> str:
    """Why a span was kept although it may be of the other kind.

    It is `forced` (for *Progress*, see `tessy.method.turns`) or `tolerated` (too short for a
    hand-over, see `tessy.method.judging`); else empty.

    Args:
        span: As in a record.
    """
    return next((mark for mark in ("forced", "tolerated") if span.get(mark)), "")


def pieces(
    content: str, spans: Sequence[dict[str, Any]], discards: Sequence[dict[str, Any]] = ()
) -> Iterator[Piece]:
    """Cut a response into pieces, in order; joined, the pieces that were kept are the response.

    Args:
        content: The assistant's content, as in a record.
        spans: Its spans, as in a record.
        discards: The discards, as in a trace; each becomes a piece at its offset.
    """
    waiting = sorted(_placed(spans, discards), key=lambda placed: placed[0])
    waiting.reverse()
    for span in spans:
        role = None if span["role"] == _FORMAT else Role(span["role"])
        start, opens = span["start"], True
        mark = mark_of(span)
        while waiting and waiting[-1][0] < span["end"]:
            at, discarded = waiting.pop()
            if start < at:
                yield Piece(content[start:at], role, mark, opens=opens)
                start, opens = at, False
            yield discarded
        yield Piece(content[start : span["end"]], role, mark, opens=opens)
    for _, discarded in reversed(waiting):
        yield discarded


def _placed(
    spans: Sequence[dict[str, Any]], discards: Sequence[dict[str, Any]]
) -> Iterator[tuple[int, Piece]]:
    """Each discard with its offset into the content; a trace's offsets are within the part."""
    markers = [span["end"] for span in spans if span["role"] == _FORMAT]
    begins = {Part.THINKING: len(THINK_OPEN), Part.ANSWER: markers[-1] if markers else 0}
    for discard in discards:
        at = begins[Part(discard["part"])] + discard["at"]
        yield at, Piece(discard["text"], Role(discard["role"]), discarded=True)


def authored(content: str, spans: Sequence[Mapping[str, Any]]) -> Iterator[AuthoredText]:
    """The texts of a response's spans, in order, without the markers around the thinking.

    Args:
        content: The assistant's content, as in a record.
        spans: Its spans, as in a record.
    """
    part = Part.THINKING
    for span in spans:
        start, end = span["start"], span["end"]
        if span["role"] != _FORMAT:
            yield AuthoredText(Role(span["role"]), part, content[start:end], mark_of(span))
        elif start >= len(THINK_OPEN):  # the second marker
            part = Part.ANSWER
