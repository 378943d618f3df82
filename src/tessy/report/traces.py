"""Samples that a page shows: some finished ones, and failures, cut to what a page can hold.

Which finished samples are shown hangs on their questions alone, so two runs of the same questions
show the same ones.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice, zip_longest

from tessy.data.pieces import Piece, pieces
from tessy.method.trajectory import Failure
from tessy.report.figures.sample import Sample

HEAD, TAIL = 6000, 4000
"""Characters of a long trace that are shown: its beginning and its end."""
FAILED_TAIL = 2500
"""Characters of a failed trace that are shown: what is wrong stands at its end."""
MOST_FAILURES = 150
_PROMPT = 1500
_DISCARD = 400
_REST = "…"


@dataclass(frozen=True, slots=True)
class Shown:
    """A sample as a page shows it.

    Attributes:
        id: Its id.
        prompt: The beginning of the question.
        pieces: Who wrote what, and what was discarded where.
        left_out: Characters of the response that are not shown.
        failure: Why it failed, if it did.
        detail: What exactly.
        student_tokens: Kept.
        teacher_tokens: Kept.
        discarded_tokens: Of both.
        turns: How many.
        seconds: Spent on it.
    """

    id: str
    prompt: str
    pieces: tuple[Piece, ...]
    left_out: int
    failure: Failure | None
    detail: str
    student_tokens: int
    teacher_tokens: int
    discarded_tokens: int
    turns: int
    seconds: float


@dataclass(slots=True)
class Chosen:
    """Chooses samples to show while they go by.

    Attributes:
        most: Finished samples to keep.
    """

    most: int
    _finished: list[tuple[int, str, Shown]] = field(default_factory=list)
    _failed: dict[Failure, list[Shown]] = field(default_factory=dict)

    def add(self, sample: Sample) -> None:
        """See a sample go by."""
        if sample.failure is not None:
            kept = self._failed.setdefault(sample.failure, [])
            if len(kept) < MOST_FAILURES:
                kept.append(shown(sample, head=0, tail=FAILED_TAIL))
            return
        rank = -int.from_bytes(sample.question)
        if len(self._finished) < self.most:
            heapq.heappush(self._finished, (rank, sample.id, shown(sample)))
        elif self._finished and (rank, sample.id) > self._finished[0][:2]:
            heapq.heapreplace(self._finished, (rank, sample.id, shown(sample)))

    @property
    def finished(self) -> list[Shown]:
        """Those kept, by their question's key."""
        return [each for _, _, each in sorted(self._finished, key=lambda kept: kept[:2])][::-1]

    @property
    def failed(self) -> list[Shown]:
        """Failures, some of each reason if there are too many."""
        turns = chain.from_iterable(zip_longest(*self._failed.values()))
        taken = set(map(id, islice((each for each in turns if each), MOST_FAILURES)))
        return [each for group in self._failed.values() for each in group if id(each) in taken]


def shown(sample: Sample, *, head: int = HEAD, tail: int = TAIL) -> Shown:
    """Cut a sample to what a page can hold.

    Args:
        sample: The sample.
        head: Characters of its beginning to show,
        tail: and of its end.
    """
    stats = sample.stats
    length = len(sample.content)
    left_out = max(0, length - head - tail)
    found = pieces(sample.content, sample.spans, sample.trace.get("discards") or ())
    if left_out:
        found = _without_middle(found, head, length - tail, left_out)
    return Shown(
        id=sample.id,
        prompt=_beginning(sample.prompt, _PROMPT),
        pieces=tuple(_short(piece) for piece in found if piece.text),
        left_out=left_out,
        failure=sample.failure,
        detail=sample.detail,
        student_tokens=stats["student_tokens"],
        teacher_tokens=stats["teacher_tokens"],
        discarded_tokens=stats["student_discarded_tokens"] + stats["teacher_discarded_tokens"],
        turns=stats["turns"],
        seconds=sample.seconds,
    )


def _without_middle(found: Iterator[Piece], start: int, end: int, left_out: int) -> Iterator[Piece]:
    """Leave out what lies between two offsets, and say so once."""
    at, said = 0, False
    for piece in found:
        before = at
        at += 0 if piece.discarded else len(piece.text)
        if at <= start or before >= end:
            yield piece
            continue
        if piece.discarded:
            continue
        if before < start:
            yield _part(piece, piece.text[: start - before])
        if not said:
            said = True
            yield Piece(f"\n[… {left_out:,} characters left out …]\n", None)
        if at > end:
            yield _part(piece, piece.text[end - before :])


def _part(piece: Piece, text: str) -> Piece:
    return Piece(text, piece.role, piece.forced, piece.discarded, piece.opens)


def _short(piece: Piece) -> Piece:
    return _part(piece, _beginning(piece.text, _DISCARD)) if piece.discarded else piece


def _beginning(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + _REST
