"""Two responses to one question, word by word. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from tessy.data.pieces import Piece
from tessy.data.record import THINK_CLOSE
from tessy.method.trajectory import Role

_WORD = re.compile(r"\S+")
_EXACT = 4_000_000
"""Pairs of words up to which all are compared; beyond, frequent words anchor nothing."""


@dataclass(frozen=True, slots=True)
class WordChange:
    """A place where a text differs from another.

    Attributes:
        start: Where its own words begin; half-open character offsets.
        end: Where they end; `start` if it has none here.
        gone: The other's words here, with the blanks between them.
    """

    start: int
    end: int
    gone: str


@dataclass(frozen=True, slots=True)
class ComparedPiece:
    """A stretch of a response beside another one.

    Attributes:
        text: The text; of the other response if it is `gone`.
        role: Its author; None for the markers around the thinking, and for what is gone.
        new: The other response does not have it here.
        gone: Only the other response has it here.
    """

    text: str
    role: Role | None
    new: bool = False
    gone: bool = False


def changes(base: str, text: str) -> list[WordChange]:
    """Where the words of a text differ from those of another, in order.

    Args:
        base: The other text.
        text: The text; blanks are not compared.
    """
    before, after = list(_WORD.finditer(base)), list(_WORD.finditer(text))
    found = SequenceMatcher(
        None,
        [word[0] for word in before],
        [word[0] for word in after],
        autojunk=len(before) * len(after) > _EXACT,
    ).get_opcodes()
    return [
        _change(before[a:b], after[c:d], base, after[c].start() if c < len(after) else len(text))
        for kind, a, b, c, d in found
        if kind != "equal"
    ]


def response_changes(base: str, text: str) -> list[WordChange]:
    """As `changes`, of two responses: thinking with thinking, answer with answer.

    Args:
        base: The other response: markers, thinking and answer.
        text: The response.
    """
    before, _, other_answer = base.partition(THINK_CLOSE)
    thinking, close, answer = text.partition(THINK_CLOSE)
    begins = len(thinking) + len(close)
    return changes(before, thinking) + [
        WordChange(begins + each.start, begins + each.end, each.gone)
        for each in changes(other_answer, answer)
    ]


def _change(gone: list[re.Match[str]], new: list[re.Match[str]], base: str, at: int) -> WordChange:
    text = base[gone[0].start() : gone[-1].end()] if gone else ""
    return WordChange(new[0].start() if new else at, new[-1].end() if new else at, text)


def compared(pieces: Sequence[Piece], base: str) -> Iterator[ComparedPiece]:
    """The kept text of a response, with its authors and where it differs from another.

    Args:
        pieces: Who wrote what.
        base: The other response's text.
    """
    kept = [piece for piece in pieces if not piece.discarded]
    text = "".join(piece.text for piece in kept)
    found = response_changes(base, text)
    edges = sorted({edge for change in found for edge in (change.start, change.end)})
    gone: dict[int, str] = {}
    for change in found:  # thinking without an end and the missing answer are at one place
        if change.gone:
            gone[change.start] = " ".join(filter(None, (gone.get(change.start), change.gone)))
    new = [(change.start, change.end) for change in found if change.start < change.end]
    at = 0
    for piece in kept:
        end = at + len(piece.text)
        inside = [edge for edge in edges if at < edge < end]
        for start, stop in zip([at, *inside], [*inside, end], strict=True):
            if start in gone:
                yield ComparedPiece(gone.pop(start), None, gone=True)
            while new and new[0][1] <= start:
                new.pop(0)
            is_new = bool(new) and new[0][0] <= start
            yield ComparedPiece(text[start:stop], piece.role, new=is_new)
        at = end
    for left in gone.values():
        yield ComparedPiece(left, None, gone=True)
