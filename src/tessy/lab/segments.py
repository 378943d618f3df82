"""Segments of the world's thinking, labelled by the world itself: for a predictor of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tessy.boundary.training.segments import Segment, spans_of
from tessy.lab.corpus import example
from tessy.lab.members import Member
from tessy.lab.questions import Split
from tessy.lab.voices import Piece
from tessy.method.words import units

_MEMBERS = (Member.STUDENT, Member.TEACHER)


def segments(count: int, *, seed: int, split: Split) -> Iterator[Segment]:
    """Labelled segments, of the student's corpus and of the teacher's by turns.

    Each is a whole thinking, about 60 words long. The teacher's are partly of mixed voices, as
    what is synthesised is.

    Args:
        count: How many.
        seed: The same seed gives the same segments.
        split: Of which questions.

    Yields:
        Segments for `tessy predictor train` and `tessy predictor evaluate`.

    Raises:
        MissingExtra: reasoning-gym is not installed.
    """
    for number in range(count):
        member = _MEMBERS[number % 2]
        one = example(member, number, seed, split)
        text = "".join(piece.text for piece in one.thinking)
        words = units(text)
        yield Segment(
            id=f"{split}-{seed}-{number:06d}",
            text=text,
            spans=spans_of(words, list(_kinds(one.thinking))),
            model=f"lab:{member}",
            subject=one.family,
            source="tessy.lab",
            question=one.prompt,
            annotator="the world",
        )


def _kinds(thinking: Sequence[Piece]) -> Iterator[bool]:
    """Whether each word is style; no piece ends within a word."""
    for piece in thinking:
        yield from (piece.style for _ in units(piece.text))
