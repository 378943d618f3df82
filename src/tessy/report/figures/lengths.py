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
from tessy.report.figures.sample import ReportSample

BINS = 24
"""At most, the last one included."""
_BODY = 0.99
"""The share of lengths that the bins are made for; longer ones are in the last bin."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often each length occurs.

    Attributes:
        width: Of a bin; bin i holds lengths from i × width up to, not including, (i + 1) × width.
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
class LengthCounter:
    """Collects the lengths of a run's finished samples.

    Attributes:
        responses: Tokens of each response.
        spans: Words of the thinking's spans, by author; a forced span counts with its neighbour
            of the same author.
        owners: The number of each of these spans' response.
        questions: The key of each response's question.
    """

    responses: list[int] = field(default_factory=list)
    spans: dict[Role, array[int]] = field(default_factory=lambda: {r: array("q") for r in Role})
    owners: dict[Role, array[int]] = field(default_factory=lambda: {r: array("q") for r in Role})
    questions: list[bytes] = field(default_factory=list)

    def add(self, sample: ReportSample) -> None:
        """Count a sample."""
        self.questions.append(sample.question)
        self.responses.append(sample.stats["student_tokens"] + sample.stats["teacher_tokens"])
        thinking = (each for each in sample.texts if each.part is Part.THINKING)
        for role, texts in groupby(thinking, key=lambda each: each.role):
            self.spans[role].append(len("".join(each.text for each in texts).split()))
            self.owners[role].append(len(self.responses) - 1)

    def responses_to(self, questions: set[bytes] | None) -> list[int]:
        """Tokens of the responses to some questions, or to all."""
        if questions is None:
            return self.responses
        pairs = zip(self.questions, self.responses, strict=True)
        return [length for key, length in pairs if key in questions]

    def spans_of(self, questions: set[bytes] | None) -> dict[Role, NDArray[np.int64]]:
        """Words of the spans in the responses to some questions, or to all, by author."""
        found = {role: np.asarray(each, np.int64) for role, each in self.spans.items()}
        if questions is None:
            return found
        shared = np.array([key in questions for key in self.questions], bool)
        return {role: each[shared[np.asarray(self.owners[role])]] for role, each in found.items()}


def histogram(lengths: Sequence[int] | NDArray[np.int64], width: int) -> Histogram:
    """Count lengths.

    Args:
        lengths: Whole numbers, not negative.
        width: Of a bin; see `round_width`.
    """
    values = np.asarray(lengths, dtype=np.int64)
    if not len(values):
        return Histogram(width, (), math.nan, math.nan, 0)
    bins = np.minimum(values // width, BINS - 1)
    return Histogram(
        width=width,
        counts=tuple(np.bincount(bins).tolist()),
        mean=float(values.mean()),
        median=float(np.median(values)),
        longest=int(values.max()),
    )


def round_width(lengths: Sequence[int] | NDArray[np.int64]) -> int:
    """The least of 1, 2, 5, 10, 20, 50, … with which `BINS` bins hold all but the longest 1%."""
    far = float(np.quantile(lengths, _BODY)) if len(lengths) else 0.0
    power = 1
    while True:
        for width in (power, 2 * power, 5 * power):
            if width * BINS > far:
                return width
        power *= 10
