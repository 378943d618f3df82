"""Samples that the page shows: some finished ones, and failures, cut to what a page can hold.

Which finished samples are shown depends on their questions alone, so two runs of the same
questions show the same ones.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice, zip_longest

from tessy.data.pieces import Piece, pieces
from tessy.method.trajectory import Failure
from tessy.report.figures.sample import ReportSample

HEAD, TAIL = 6000, 4000
"""Characters of a long response that are shown: its beginning and its end."""
FAILED_TAIL = 2500
"""Characters of a failed response that are shown: its end says what is wrong."""
MOST_FAILURES = 150
_PROMPT = 1500
_DISCARD = 400


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A sample as the page shows it.

    Attributes:
        id: Its id.
        prompt: The beginning of the question.
        pieces: Who wrote what, and what was discarded where.
        left_out: Characters of the response that are not shown.
        failure: Why it failed, if it did.
        detail: What exactly went wrong.
        stats: The record's.
        seconds: Time spent on it.
    """

    id: str
    prompt: str
    pieces: tuple[Piece, ...]
    left_out: int
    failure: Failure | None
    detail: str
    stats: Mapping[str, int]
    seconds: float


@dataclass(slots=True)
class ExcerptPicker:
    """Picks the samples of a run that are shown.

    Attributes:
        most: How many finished samples to pick.
    """

    most: int
    _finished: list[tuple[bytes, str, Excerpt]] = field(default_factory=list)
    _failed: dict[Failure, list[Excerpt]] = field(default_factory=dict)

    def add(self, sample: ReportSample) -> None:
        """Pick a sample or pass over it."""
        if sample.failure is not None:
            picked = self._failed.setdefault(sample.failure, [])
            if len(picked) < MOST_FAILURES:
                picked.append(_excerpt(sample, head=0, tail=FAILED_TAIL))
            return
        rank = (sample.question, sample.id)
        if len(self._finished) < self.most or (self.most and rank < self._finished[-1][:2]):
            insort(self._finished, (*rank, _excerpt(sample, head=HEAD, tail=TAIL)))
            del self._finished[self.most :]

    @property
    def finished(self) -> list[Excerpt]:
        """The finished samples, in the order of their questions' keys."""
        return [excerpt for _, _, excerpt in self._finished]

    @property
    def failed(self) -> list[Excerpt]:
        """The failures by reason; if there are too many, about as many of each reason."""
        one_of_each = chain.from_iterable(zip_longest(*self._failed.values()))
        picked = islice(filter(None, one_of_each), MOST_FAILURES)
        return sorted(picked, key=lambda excerpt: excerpt.failure or "")


def _excerpt(sample: ReportSample, *, head: int, tail: int) -> Excerpt:
    """Cut a sample to what a page can hold.

    Args:
        sample: The sample.
        head: Characters of its beginning to show.
        tail: Characters of its end to show.
    """
    length = len(sample.content)
    left_out = max(0, length - head - tail)
    found = list(pieces(sample.content, sample.spans, sample.trace.get("discards") or ()))
    if left_out:
        note = Piece(f"\n[… {left_out:,} characters left out …]\n", None)
        found = [*_window(found, 0, head), note, *_window(found, length - tail, length)]
    return Excerpt(
        id=sample.id,
        prompt=_beginning(sample.prompt, _PROMPT),
        pieces=tuple(
            replace(piece, text=_beginning(piece.text, _DISCARD)) if piece.discarded else piece
            for piece in found
        ),
        left_out=left_out,
        failure=sample.failure,
        detail=sample.detail,
        stats=sample.stats,
        seconds=sample.seconds,
    )


def _window(found: Sequence[Piece], start: int, end: int) -> Iterator[Piece]:
    """The pieces between two offsets into the response, the outer ones cut."""
    at = 0
    for piece in found:
        if piece.discarded:
            if start <= at <= end:
                yield piece
            continue
        text = piece.text[max(0, start - at) : max(0, end - at)]
        at += len(piece.text)
        if text:
            yield replace(piece, text=text)


def _beginning(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + "…"
