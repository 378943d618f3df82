"""A response in pieces: who wrote what, and what was thrown away where it fell. Pure.

The terminal (`cli.paint`) and the pages (`view.trace`) show the same pieces.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tessy.record import THINK_OPEN
from tessy.trajectory import Part, Role

_FORMAT = "format"


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text of one kind.

    Attributes:
        text: What it says.
        role: Its author; None for the markers around the thinking.
        forced: It was kept for Progress only (see `tessy.turns`).
        thrown: It is no part of the response: it was rolled back here.
        opens: It is the first piece of its span.
    """

    text: str
    role: Role | None
    forced: bool = False
    thrown: bool = False
    opens: bool = False


def pieces(
    content: str, spans: Sequence[dict[str, Any]], discards: Sequence[dict[str, Any]] = ()
) -> Iterator[Piece]:
    """Cut a response into pieces, in order; those that are not thrown, joined, are the response.

    Args:
        content: An assistant's content, as in a record.
        spans: Who wrote which characters of it, as in a record.
        discards: What was thrown away, as in a trace; each becomes one piece, where it fell.
    """
    waiting = sorted(_placed(spans, discards), key=lambda placed: placed[0])
    waiting.reverse()
    for span in spans:
        role = None if span["role"] == _FORMAT else Role(span["role"])
        start, opens = span["start"], True
        while waiting and waiting[-1][0] < span["end"]:
            at, thrown = waiting.pop()
            if start < at:
                yield Piece(content[start:at], role, span["forced"], opens=opens)
                start, opens = at, False
            yield thrown
        yield Piece(content[start : span["end"]], role, span["forced"], opens=opens)
    for _, thrown in reversed(waiting):
        yield thrown


def _placed(
    spans: Sequence[dict[str, Any]], discards: Sequence[dict[str, Any]]
) -> Iterator[tuple[int, Piece]]:
    """Each discard with its offset into the content; a trace counts within thinking and answer."""
    markers = [span["end"] for span in spans if span["role"] == _FORMAT]
    begins = {Part.THINKING: len(THINK_OPEN), Part.ANSWER: markers[-1] if markers else 0}
    for discard in discards:
        at = begins[Part(discard["part"])] + discard["at"]
        yield at, Piece(discard["text"], Role(discard["role"]), thrown=True)
