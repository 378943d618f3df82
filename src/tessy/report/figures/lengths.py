"""Lengths of responses and spans, as histograms whose bins have round edges."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from tessy.method.trajectory import Part, Role
from tessy.report.figures.sample import Sample, Stretch

Many = NDArray[np.int64]

BINS = 24
"""At most, the last one included."""
_TAIL = 0.99


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often each length occurs.

    Attributes:
        width: Of a bin; bin i holds lengths from i × width up to, not with, (i + 1) × width.
        counts: By bin; the last one holds longer ones, too.
        mean: Of all lengths; nan if there are none.
        median: Half are shorter.
        longest: 0 if there are none.
    """

    width: int
    counts: tuple[int, ...]
    mean: float
    median: float
    longest: int


@dataclass(slots=True)
class Lengths:
    """Takes down how long things are, of finished samples.

    Attributes:
        responses: Tokens of each response.
        spans: Words of the thinking's spans, by author; forced words belong to their neighbours.
        questions: The key of each response's question.
    """

    responses: array[int] = field(default_factory=lambda: array("q"))
    spans: dict[Role, array[int]] = field(default_factory=lambda: {r: array("q") for r in Role})
    questions: list[bytes] = field(default_factory=list)

    def add(self, sample: Sample) -> None:
        """Take down a sample."""
        self.questions.append(sample.question)
        self.responses.append(sample.stats["student_tokens"] + sample.stats["teacher_tokens"])
        thinking = (s for s in sample.stretches if s.part is Part.THINKING)
        for role, run in groupby(thinking, key=_author):
            found = list(run)
            text = sample.content[found[0].start : found[-1].end]
            self.spans[role].append(len(text.split()))

    def responses_to(self, questions: set[bytes]) -> list[int]:
        """Tokens of the responses to some questions."""
        pairs = zip(self.questions, self.responses, strict=True)
        return [length for key, length in pairs if key in questions]


def _author(stretch: Stretch) -> Role:
    return stretch.role


def histogram(lengths: Sequence[int], *, width: int | None = None) -> Histogram:
    """Count lengths.

    Args:
        lengths: Whole numbers, not negative.
        width: Of a bin, so that histograms can be compared; by default a round one with which
            all but the longest hundredth fall into at most `BINS` bins.
    """
    values = np.asarray(lengths, dtype=np.int64)
    if not len(values):
        return Histogram(width or 1, (), math.nan, math.nan, 0)
    width = width or round_width(values)
    places = np.minimum(values // width, BINS - 1)
    return Histogram(
        width=width,
        counts=tuple(int(count) for count in np.bincount(places)),
        mean=float(values.mean()),
        median=float(np.median(values)),
        longest=int(values.max()),
    )


def round_width(lengths: Sequence[int] | Many) -> int:
    """The least of 1, 2, 5, 10, 20, 50, … with which `BINS` bins hold all but the longest 1%."""
    if not len(lengths):
        return 1
    far = float(np.quantile(np.asarray(lengths), _TAIL))
    width, steps = 1, (2, 2.5, 2)
    for step in (steps[n % 3] for n in range(60)):
        if width * BINS > far:
            break
        width = round(width * step)
    return width
