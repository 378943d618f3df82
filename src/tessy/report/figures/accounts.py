"""Accounts: samples, tokens, requests and seconds of a run.

Tokens are each model's own, as its server counts them; tokens of a whole text are sums over both
models. *Kept* tokens are in a response, *discarded* ones were rolled back. All tokens of a failed
sample were generated in vain.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tessy.method.trajectory import Failure, Part
from tessy.report.figures.intervals import Array, Bootstrap, Interval, ratios
from tessy.report.figures.sample import ReportSample

_KEPT = ("student_tokens", "teacher_tokens")
_DISCARDED = ("student_discarded_tokens", "teacher_discarded_tokens")
_GENERATED = (*_KEPT, *_DISCARDED)
_STATS = (*_GENERATED, "thinking_tokens", "answer_tokens", "turns", "hand_overs")
COLUMNS = (*_STATS, "requests", "seconds", "thousand_words", "samples")
"""What is counted of each sample, in this order."""

RATIOS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "teacher_share": (("teacher_tokens",), _KEPT),
    "discarded_share": (_DISCARDED, _GENERATED),
    "tokens_a_sample": (_KEPT, ("samples",)),
    "student_generated_a_sample": (("student_tokens", "student_discarded_tokens"), ("samples",)),
    "teacher_generated_a_sample": (("teacher_tokens", "teacher_discarded_tokens"), ("samples",)),
    "thinking_tokens_a_sample": (("thinking_tokens",), ("samples",)),
    "answer_tokens_a_sample": (("answer_tokens",), ("samples",)),
    "turns_a_sample": (("turns",), ("samples",)),
    "hand_overs_a_sample": (("hand_overs",), ("samples",)),
    "hand_overs_in_1000_words": (("hand_overs",), ("thousand_words",)),
    "tokens_a_request": (_KEPT, ("requests",)),
    "requests_a_sample": (("requests",), ("samples",)),
    "seconds_a_sample": (("seconds",), ("samples",)),
}
"""Ratios of sums of columns: those above the line, and those below."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums and ratios of some samples.

    Attributes:
        sums: By column.
        figures: By the names in `RATIOS`.
    """

    sums: Mapping[str, float]
    figures: Mapping[str, Interval]

    @property
    def generated(self) -> float:
        """All tokens, kept or discarded."""
        return sum(self.sums[name] for name in _GENERATED)


@dataclass(frozen=True, slots=True)
class TeacherAccounts:
    """What one of several teachers wrote.

    Attributes:
        finished: Totals of the finished samples whose response it wrote with the student.
        failed: Samples that failed with it as their last teacher.
        rejected: Other drafts of samples that it wrote, and that were rejected.
    """

    finished: Totals
    failed: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts of a run.

    Attributes:
        ended: Samples that ended: finished and failed ones.
        failed: Failed ones by reason, most frequent first.
        finished: Totals of the finished samples.
        lost: Totals of the failed ones, but for bad lines, of which no model was asked.
        all: Totals of both.
        replaced: Tokens of failures that were written again and ended; `all` has none of them.
        lost_share: Share of all generated tokens, these included, that went into failures.
        cut_off: Finished samples whose thinking was closed at its limit.
        rejected: Drafts that were written and rejected: by the reason of a failure, else by why.
        teachers: By name; empty if there is only one teacher.
    """

    ended: int
    failed: Mapping[str, int]
    finished: Totals
    lost: Totals
    all: Totals
    replaced: int
    lost_share: float
    cut_off: int
    rejected: Mapping[str, int]
    teachers: Mapping[str, TeacherAccounts] = field(default_factory=dict)


@dataclass(slots=True)
class AccountsCounter:
    """Adds up the numbers of a run's samples.

    Attributes:
        questions: The key of each sample's question, in the order of the samples.
        failures: Why each sample failed; None for finished ones.
        teachers: The name of each sample's teacher; None if there is only one.
    """

    questions: list[bytes] = field(default_factory=list)
    failures: list[Failure | None] = field(default_factory=list)
    teachers: list[str | None] = field(default_factory=list)
    _rows: array[float] = field(default_factory=lambda: array("d"))
    _cut_off: int = 0
    _rejected: Counter[str] = field(default_factory=Counter)
    _rejected_of: Counter[str | None] = field(default_factory=Counter)

    def add(self, sample: ReportSample) -> None:
        """Count a sample."""
        stats = sample.stats
        self.questions.append(sample.question)
        self.failures.append(sample.failure)
        self.teachers.append(sample.teacher)
        counted = [float(stats[name]) for name in _STATS]
        thinking = "".join(each.text for each in sample.texts if each.part is Part.THINKING)
        words = len(thinking.split()) / 1000
        self._rows.extend((*counted, sample.requests, sample.seconds, words, 1.0))
        self._cut_off += sample.failure is None and bool(stats["thinking_cut_off"])
        drafts = sample.trace.get("drafts") or ()
        self._rejected.update(draft.get("reason") or draft.get("why", "?") for draft in drafts)
        self._rejected_of.update(draft.get("teacher") for draft in drafts)

    def accounts(self, bootstrap: Bootstrap, replaced: int = 0) -> Accounts:
        """The accounts of all samples.

        Args:
            bootstrap: Draws the intervals.
            replaced: Tokens of failures that were written again and ended.
        """
        failed = np.array([failure is not None for failure in self.failures], bool)
        asked = np.array([failure is not Failure.BAD_QUESTION for failure in self.failures], bool)
        reasons = Counter(failure.value for failure in self.failures if failure)
        everything = self._totals(asked, bootstrap)
        lost = self._totals(asked & failed, bootstrap)
        generated = everything.generated + replaced
        return Accounts(
            ended=len(self.failures),
            failed=dict(reasons.most_common()),
            finished=self._totals(~failed, bootstrap),
            lost=lost,
            all=everything,
            replaced=replaced,
            lost_share=(lost.generated + replaced) / generated if generated else math.nan,
            cut_off=self._cut_off,
            rejected=dict(self._rejected.most_common()),
            teachers=self._by_teacher(failed, bootstrap),
        )

    def _by_teacher(
        self, failed: NDArray[np.bool_], bootstrap: Bootstrap
    ) -> dict[str, TeacherAccounts]:
        """What each of several teachers wrote; `failed` is a mask of shape (samples,)."""
        found = {}
        for name in sorted(filter(None, {*self.teachers, *self._rejected_of})):
            own = np.array([each == name for each in self.teachers], bool)
            found[name] = TeacherAccounts(
                finished=self._totals(own & ~failed, bootstrap),
                failed=int((own & failed).sum()),
                rejected=self._rejected_of[name],
            )
        return found

    def finished_on(self, questions: Sequence[bytes], bootstrap: Bootstrap) -> Totals:
        """Totals of the finished samples of some questions."""
        wanted = set(questions)
        pairs = zip(self.questions, self.failures, strict=True)
        chosen = np.array([failure is None and key in wanted for key, failure in pairs], bool)
        return self._totals(chosen, bootstrap)

    def _totals(self, chosen: NDArray[np.bool_], bootstrap: Bootstrap) -> Totals:
        """Totals of the samples that a mask of shape (samples,) chooses."""
        table = np.frombuffer(self._rows).reshape(-1, len(COLUMNS))[chosen]
        questions = [key for key, wanted in zip(self.questions, chosen, strict=True) if wanted]
        above, below = (
            np.stack([_sum(table, names[side]) for names in RATIOS.values()], axis=1)
            for side in (0, 1)
        )
        figures = ratios(above, below, questions, bootstrap)
        return Totals(
            sums=dict(zip(COLUMNS, map(float, table.sum(0)), strict=True)),
            figures=dict(zip(RATIOS, figures, strict=True)),
        )


def _sum(table: Array, names: Sequence[str]) -> Array:
    """The sum of some columns, shape (samples,)."""
    total: Array = table[:, [COLUMNS.index(name) for name in names]].sum(1)
    return total
