"""How far a labelling of segments is from another: pure counting.

Each segment is counted first (`LabelCounts`). The figures of any group of segments, and bootstrap
intervals over segments, come from sums of these counts. Words of punctuation don't count: it means
nothing on which side of a boundary a dash is.

    style        a word or character that is style in both labellings is a hit
    boundary     a word of another kind than the word before it is a hit if it is a boundary in the
                 same direction in both; `exact`, or `near`: at most one word apart, each once
    cut          where a writer is stopped: from the start of each run of the truth, the first word
                 of the other kind; early (negative) or late (positive) in words
    calibration  words by their P(style), in ten bins of equal width (ECE, Guo et al. 2017)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

BINS = 10
"""Bins of the expected calibration error."""
FARTHEST = 10
"""Words; cuts that are farther too early or too late count as this."""

Array = NDArray[np.float64]


@dataclass(slots=True)
class LabelCounts:
    """The counts of one segment, or their sum over several.

    Attributes:
        words: Hits, predicted and true style words, [3].
        characters: Hits, predicted, true style characters, and all characters, [4].
        exact: Hits, predicted and true boundaries, [3].
        near: The same, at most one word apart, [3].
        cuts: Cuts by the number of words they are too late, [2 * FARTHEST + 1]; index `FARTHEST`
            is right on the word.
        bins: For each bin of P(style) the words, the sum of P, and the words of style, [BINS, 3].
    """

    words: Array = field(default_factory=lambda: np.zeros(3))
    characters: Array = field(default_factory=lambda: np.zeros(4))
    exact: Array = field(default_factory=lambda: np.zeros(3))
    near: Array = field(default_factory=lambda: np.zeros(3))
    cuts: Array = field(default_factory=lambda: np.zeros(2 * FARTHEST + 1))
    bins: Array = field(default_factory=lambda: np.zeros((BINS, 3)))

    def flat(self) -> Array:
        """All counts as one row of numbers."""
        parts = (self.words, self.characters, self.exact, self.near, self.cuts, self.bins)
        return np.concatenate([part.ravel() for part in parts])

    @classmethod
    def of_row(cls, row: Array) -> LabelCounts:
        """The counts of a row of `flat`, or of a sum of such rows."""
        ends = np.cumsum([3, 4, 3, 3, 2 * FARTHEST + 1])
        words, characters, exact, near, cuts, bins = np.split(row, ends)
        return cls(words, characters, exact, near, cuts, bins.reshape(BINS, 3))


@dataclass(frozen=True, slots=True)
class Labelling:
    """One labelling of a segment.

    Attributes:
        kinds: For each word that counts whether it is style, [words].
        spans: Style as half-open character offsets.
        scores: P(style) of these words, [words]; None without a classifier.
    """

    kinds: Sequence[bool]
    spans: Sequence[tuple[int, int]]
    scores: Sequence[float] | None = None


def count(truth: Labelling, found: Labelling, length: int) -> LabelCounts:
    """Count one segment.

    Args:
        truth: The labelling that is taken for right.
        found: The labelling to measure, of the same words.
        length: The length of the segment in characters.
    """
    counts = LabelCounts()
    true, said = np.array(truth.kinds, bool), np.array(found.kinds, bool)
    counts.words[:] = (true & said).sum(), said.sum(), true.sum()
    inside, marked = _mask(truth.spans, length), _mask(found.spans, length)
    counts.characters[:] = (inside & marked).sum(), marked.sum(), inside.sum(), length
    for distance, into in ((0, counts.exact), (1, counts.near)):
        pairs = [
            (_changes(true, direction), _changes(said, direction)) for direction in (True, False)
        ]
        into[:] = (
            sum(_matches(a, b, distance) for a, b in pairs),
            sum(len(b) for _, b in pairs),
            sum(len(a) for a, _ in pairs),
        )
    _count_cuts(true, said, counts.cuts)
    for score, style in zip(found.scores or (), truth.kinds, strict=False):
        if np.isnan(score):  # a first word that no label is about
            continue
        counts.bins[min(int(score * BINS), BINS - 1)] += 1, score, style
    return counts


def _mask(spans: Sequence[tuple[int, int]], length: int) -> NDArray[np.bool_]:
    """Whether each character is in a span."""
    mask = np.zeros(length, bool)
    for start, end in spans:
        mask[start:end] = True
    return mask


def _changes(kinds: NDArray[np.bool_], into: bool) -> list[int]:
    """The words at which the kind becomes `into`, except the first word."""
    return [at for at in range(1, len(kinds)) if kinds[at] == into and kinds[at - 1] != into]


def _matches(a: list[int], b: list[int], distance: int) -> int:
    """The number of pairs of two sorted lists at most `distance` apart, each value used once."""
    hits = at = 0
    for value in a:
        while at < len(b) and b[at] < value - distance:
            at += 1
        if at < len(b) and b[at] <= value + distance:
            hits += 1
            at += 1
    return hits


def _count_cuts(true: NDArray[np.bool_], said: NDArray[np.bool_], into: Array) -> None:
    """Count where `said` would stop the writer of each run of `true` but the last."""
    starts = [0, *(at for at in range(1, len(true)) if true[at] != true[at - 1])]
    for start, end in pairwise(starts):
        cut = start
        while cut < len(said) and said[cut] == true[start]:
            cut += 1
        into[max(0, min(2 * FARTHEST, cut - end + FARTHEST))] += 1


# --- Figures ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MeasuredFigure:
    """A figure with its 95% bootstrap interval over segments; nan if nothing was counted."""

    value: float
    low: float
    high: float


def _f1(hits: float, said: float, true: float) -> float:
    return 2 * hits / (said + true) if said + true else float("nan")


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _kappa(c: Array) -> float:
    """Cohen's kappa over characters."""
    hits, said, true, total = c
    observed = (total - said - true + 2 * hits) / total if total else float("nan")
    expected = (said * true + (total - said) * (total - true)) / total**2 if total else 1.0
    return float((observed - expected) / (1 - expected)) if expected < 1 else float("nan")


def _ece(bins: Array) -> float:
    total = bins[:, 0].sum()
    return float(np.abs(bins[:, 1] - bins[:, 2]).sum() / total) if total else float("nan")


def _cut_share(cuts: Array, keep: Callable[[Array], NDArray[np.bool_]]) -> float:
    late = np.arange(-FARTHEST, FARTHEST + 1, dtype=float)
    return _ratio(float(cuts[keep(late)].sum()), float(cuts.sum()))


FIGURES: dict[str, Callable[[LabelCounts], float]] = {
    "word_f1": lambda c: _f1(*c.words),
    "word_precision": lambda c: _ratio(c.words[0], c.words[1]),
    "word_recall": lambda c: _ratio(c.words[0], c.words[2]),
    "character_f1": lambda c: _f1(*c.characters[:3]),
    "character_kappa": lambda c: _kappa(c.characters),
    "style_share": lambda c: _ratio(c.characters[1], c.characters[3]),
    "boundary_precision": lambda c: _ratio(c.exact[0], c.exact[1]),
    "boundary_recall": lambda c: _ratio(c.exact[0], c.exact[2]),
    "boundary_f1": lambda c: _f1(*c.exact),
    "boundary_precision_near": lambda c: _ratio(c.near[0], c.near[1]),
    "boundary_recall_near": lambda c: _ratio(c.near[0], c.near[2]),
    "boundary_f1_near": lambda c: _f1(*c.near),
    "cut_exact": lambda c: _cut_share(c.cuts, lambda late: late == 0),
    "cut_near": lambda c: _cut_share(c.cuts, lambda late: np.abs(late) <= 1),
    "cut_early": lambda c: _cut_share(c.cuts, lambda late: late < 0),
    "cut_late": lambda c: _cut_share(c.cuts, lambda late: late > 0),
    "cut_mean_late_words": lambda c: _ratio(
        float((c.cuts * np.arange(-FARTHEST, FARTHEST + 1)).sum()), float(c.cuts.sum())
    ),
    "ece": lambda c: _ece(c.bins),
}
"""How each figure is computed from the summed counts of some segments."""


def figures(
    counts: Sequence[LabelCounts], *, samples: int = 1000, seed: int = 0
) -> dict[str, MeasuredFigure]:
    """All figures of some segments, with bootstrap intervals.

    Args:
        counts: The counts of each segment; at least one.
        samples: Bootstrap samples, each with as many segments as there are; 0 for no intervals.
        seed: The seed of the bootstrap.
    """
    table = np.stack([each.flat() for each in counts])
    chance = np.random.default_rng(seed)
    weights = chance.multinomial(len(table), np.full(len(table), 1 / len(table)), samples)
    resampled = [LabelCounts.of_row(row) for row in weights @ table]
    whole = LabelCounts.of_row(table.sum(0))
    result = {}
    for name, compute in FIGURES.items():
        drawn = [value for sample in resampled if not np.isnan(value := compute(sample))]
        low, high = np.quantile(drawn, (0.025, 0.975)) if drawn else (np.nan, np.nan)
        result[name] = MeasuredFigure(float(compute(whole)), float(low), float(high))
    return result
