"""Segments of thinking for the lab's boundary predictor; their labels are known by construction."""

from __future__ import annotations

from collections.abc import Iterator

from studies.lab.corpus import example
from studies.lab.members import Member
from studies.lab.questions import Split
from tessy.boundary.training.segments import Segment, spans_of
from tessy.method.words import units

_MEMBERS = (Member.STUDENT, Member.TEACHER)


def segments(count: int, *, seed: int, split: Split) -> Iterator[Segment]:
    """Labelled segments, of the student's corpus and of the teacher's in turn.

    Each is a whole thinking, about 60 words long. Some of the teacher's are of mixed voices, as
    synthesised text is.

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
        # No piece ends within a word.
        style = [piece.style for piece in one.thinking for _ in units(piece.text)]
        yield Segment(
            id=f"{split}-{seed}-{number:06d}",
            text=text,
            spans=spans_of(units(text), style),
            model=f"lab:{member}",
            subject=one.family,
            source="tessy.lab",
            question=one.prompt,
            annotator="the world",
        )
