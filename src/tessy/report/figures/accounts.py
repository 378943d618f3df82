"""Accounts: what a run came to, in samples, tokens, requests and seconds.

Tokens are each model's own, as its server counts them; the tokens of all the text that is read
here are sums over both roles. *Kept* tokens stand in a response, *discarded* ones were rolled
back; the tokens of a failed sample were generated for nothing, whichever they were.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tessy.method.trajectory import Failure
from tessy.report.figures.figures import Array, Bootstrap, Figure, by_group, ratios
from tessy.report.figures.sample import Sample

COLUMNS = (
    *("student_tokens", "teacher_tokens", "student_discarded_tokens", "teacher_discarded_tokens"),
    *("thinking_tokens", "answer_tokens", "turns", "hand_overs", "requests", "seconds", "samples"),
)
"""What is counted of each sample, in this order."""

_KEPT = ("student_tokens", "teacher_tokens")
_DISCARDED = ("student_discarded_tokens", "teacher_discarded_tokens")
RATIOS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "teacher_share": (("teacher_tokens",), _KEPT),
    "discarded_share": (_DISCARDED, (*_KEPT, *_DISCARDED)),
    "tokens_a_sample": (_KEPT, ("samples",)),
    "thinking_tokens_a_sample": (("thinking_tokens",), ("samples",)),
    "answer_tokens_a_sample": (("answer_tokens",), ("samples",)),
    "turns_a_sample": (("turns",), ("samples",)),
    "hand_overs_a_sample": (("hand_overs",), ("samples",)),
    "tokens_a_request": (_KEPT, ("requests",)),
    "requests_a_sample": (("requests",), ("samples",)),
    "seconds_a_sample": (("seconds",), ("samples",)),
}
"""Figures as ratios of sums of columns: what is above the line, and below."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums and ratios of some samples.

    Attributes:
        sums: By column.
        figures: By the names in `RATIOS`.
    """

    sums: Mapping[str, float]
    figures: Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class Accounts:
    """What a run came to.

    Attributes:
        ended: Samples that ended: finished and failed ones.
        failed: Failed ones by reason, most frequent first.
        finished: Of the finished samples.
        lost: Of the failed ones.
        all: Of both.
        lost_share: Share of all generated tokens that went into failed samples.
        cut_off: Finished samples whose thinking was closed at its limit.
        set_aside: Drafts that were written and not taken, by why.
    """

    ended: int
    failed: Mapping[str, int]
    finished: Totals
    lost: Totals
    all: Totals
    lost_share: float
    cut_off: int
    set_aside: Mapping[str, int]


@dataclass(slots=True)
class Ledger:
    """Takes down the numbers of each sample.

    Attributes:
        questions: The key of each sample's question, in the order of the samples.
        failures: Why each failed; None for the finished ones.
    """

    questions: list[bytes] = field(default_factory=list)
    failures: list[Failure | None] = field(default_factory=list)
    _rows: list[list[float]] = field(default_factory=list)
    _cut_off: int = 0
    _set_aside: Counter[str] = field(default_factory=Counter)

    def add(self, sample: Sample) -> None:
        """Take down a sample."""
        stats = sample.stats
        self.questions.append(sample.question)
        self.failures.append(sample.failure)
        counted = [float(stats[name]) for name in COLUMNS[:8]]
        self._rows.append([*counted, float(sample.requests), sample.seconds, 1.0])
        self._cut_off += sample.failure is None and bool(stats["thinking_cut_off"])
        self._set_aside.update(str(d.get("why", "?")) for d in sample.trace.get("drafts") or ())

    @property
    def table(self) -> Array:
        """Shape (samples, columns)."""
        return np.array(self._rows, dtype=float).reshape(-1, len(COLUMNS))

    def accounts(self, bootstrap: Bootstrap) -> Accounts:
        """What it all comes to."""
        bad = np.array([failure is not None for failure in self.failures], bool)
        reasons = Counter(failure.value for failure in self.failures if failure)
        everything = totals(self.table, self.questions, bootstrap)
        lost = totals(self.table[bad], _only(self.questions, bad), bootstrap)
        finished = totals(self.table[~bad], _only(self.questions, ~bad), bootstrap)
        spent = _generated(everything)
        return Accounts(
            ended=len(self.failures),
            failed=dict(reasons.most_common()),
            finished=finished,
            lost=lost,
            all=everything,
            lost_share=_generated(lost) / spent if spent else float("nan"),
            cut_off=self._cut_off,
            set_aside=dict(self._set_aside.most_common()),
        )

    def finished_on(self, questions: Sequence[bytes], bootstrap: Bootstrap) -> Totals:
        """Totals of the finished samples of some questions."""
        wanted = set(questions)
        pairs = zip(self.questions, self.failures, strict=True)
        chosen = np.array([not bad and key in wanted for key, bad in pairs], bool)
        return totals(self.table[chosen], _only(self.questions, chosen), bootstrap)


def totals(table: Array, questions: Sequence[bytes], bootstrap: Bootstrap) -> Totals:
    """Sums and ratios of samples; intervals over their questions.

    Args:
        table: Shape (samples, columns), see `COLUMNS`.
        questions: The key of each row's question.
        bootstrap: How intervals are made.
    """
    places = {key: place for place, key in enumerate(dict.fromkeys(questions))}
    groups = np.array([places[key] for key in questions], np.intp)
    grouped = by_group(table, groups, len(places))

    def columns(names: tuple[str, ...]) -> Array:
        total: Array = grouped[:, [COLUMNS.index(name) for name in names]].sum(1)
        return total

    above = np.stack([columns(pair[0]) for pair in RATIOS.values()], axis=1)
    below = np.stack([columns(pair[1]) for pair in RATIOS.values()], axis=1)
    figures = dict(zip(RATIOS, ratios(above, below, bootstrap), strict=True))
    sums = dict(zip(COLUMNS, map(float, table.sum(0)), strict=True))
    return Totals(sums, figures)


def _generated(found: Totals) -> float:
    return sum(found.sums[name] for name in (*_KEPT, *_DISCARDED))


def _only(keys: Sequence[bytes], chosen: NDArray[np.bool_]) -> list[bytes]:
    return [key for key, wanted in zip(keys, chosen, strict=True) if wanted]
