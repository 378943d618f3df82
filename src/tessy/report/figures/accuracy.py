"""How many answers are right, and whether one run has more than another on the same questions.

*Right* and *wrong* are the verifier's verdicts; a failed sample that counts as a wrong answer
(`tessy.runs.totals.is_wrong`) is wrong, too. Other failed samples, and those that were not
verified, are counted by themselves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from tessy.method.trajectory import UNMEASURED, Failure
from tessy.report.figures.intervals import (
    Bootstrap,
    Interval,
    QuestionSums,
    ratios,
    right_share,
)
from tessy.report.figures.sample import ReportSample
from tessy.runs.totals import is_wrong
from tessy.verifiers.protocol import VerdictOutcome

_WRONG = frozenset({VerdictOutcome.WRONG, VerdictOutcome.NO_ANSWER})


class _Verified(NamedTuple):
    right: int = 0
    verified: int = 0


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The verdicts on a run.

    Attributes:
        right: Samples whose answer is right.
        wrong: Samples whose answer is wrong, or has none where one is expected.
        failed_wrong: Of the wrong ones, those that failed, so that they are in no data set.
        unverified: Finished samples without a verdict, and those that the verifier could not check.
        errors: The latter.
        failed: Samples that failed for another reason.
        share: Right ones, of all with a verdict.
        share_of_ended: Right ones, of all with a verdict and those that the models failed; nan
            where some questions have no reference: those of failed samples are not known.
    """

    right: int
    wrong: int
    failed_wrong: int
    unverified: int
    errors: int
    failed: int
    share: Interval
    share_of_ended: Interval

    @property
    def verified(self) -> int:
        """Samples with a verdict."""
        return self.right + self.wrong


@dataclass(frozen=True, slots=True)
class PairedAccuracy:
    """Two runs on the questions on which both were verified.

    Attributes:
        questions: How many these are.
        first: The first run's share of right samples, the mean over questions.
        second: The second run's.
        difference: First minus second, with its interval by bootstrap over questions.
        only_first: Questions that only the first run has right.
        only_second: Questions that only the second run has right.
        p: McNemar's exact two-sided test (Psychometrika 12, 1947) of whether the two are equally
            often right; nan if a run has several samples of a question, or none differ.
    """

    questions: int
    first: float
    second: float
    difference: Interval
    only_first: int
    only_second: int
    p: float


@dataclass(slots=True)
class AccuracyCounter:
    """Counts the verdicts on a run's samples.

    Attributes:
        evaluation: They are of an evaluation.
        verifier: Their run has a verifier.
        unverifiable: How many questions of their run can't be verified.
        by_question: Right samples and samples with a verdict, by question.
    """

    evaluation: bool = False
    verifier: bool = False
    unverifiable: int = 0
    by_question: dict[bytes, _Verified] = field(default_factory=dict)
    _failed_wrong: int = 0
    _without: int = 0
    _unverified: int = 0
    _errors: int = 0
    _failed: dict[bytes, int] = field(default_factory=dict)
    _unmeasured: int = 0

    def add(self, sample: ReportSample) -> None:
        """Count a sample."""
        failure, right = sample.failure, sample.verdict is VerdictOutcome.RIGHT
        wrong = failure is not None and is_wrong(failure, evaluation=self.evaluation)
        if wrong or right or sample.verdict in _WRONG:
            before = self.by_question.get(sample.question, _Verified())
            self.by_question[sample.question] = _Verified(before.right + right, before.verified + 1)
            self._failed_wrong += wrong
        elif failure in (None, Failure.VERIFIER_ERROR):
            self._unverified += 1
            without = failure is None and sample.verdict is None
            self._without += without
            self._errors += not without
        elif failure in UNMEASURED:
            self._unmeasured += 1
        else:
            self._failed[sample.question] = self._failed.get(sample.question, 0) + 1

    def accuracy(self) -> Accuracy | None:
        """The verdicts; None if nothing was to be verified."""
        if not self.by_question and not self.verifier:
            return None
        right = sum(found.right for found in self.by_question.values())
        verified = sum(found.verified for found in self.by_question.values())
        keys = list(self.by_question | self._failed)
        table = np.array([(*self._of(key), self._failed.get(key, 0)) for key in keys], float)
        rights, checked, failed = table.reshape(-1, 3).T
        of_ended = right_share(QuestionSums.over(rights, checked + failed))
        if (self._without or self.unverifiable) and self._failed:
            of_ended = Interval(math.nan)
        return Accuracy(
            right=right,
            wrong=verified - right,
            failed_wrong=self._failed_wrong,
            unverified=self._unverified,
            errors=self._errors,
            failed=sum(self._failed.values()) + self._unmeasured,
            share=right_share(QuestionSums.over(rights, checked)),
            share_of_ended=of_ended,
        )

    def _of(self, question: bytes) -> _Verified:
        return self.by_question.get(question, _Verified())


def compare(
    first: Mapping[bytes, tuple[int, int]],
    second: Mapping[bytes, tuple[int, int]],
    bootstrap: Bootstrap,
) -> PairedAccuracy | None:
    """Compare two runs question by question.

    Args:
        first: Right samples and samples with a verdict, by question, of one run.
        second: The same of the other.
        bootstrap: How intervals are made.

    Returns:
        The comparison; None without a question on which both were verified.
    """
    keys = sorted(first.keys() & second.keys())
    if not keys:
        return None
    ours, theirs = (
        np.array([run[key][0] / run[key][1] for key in keys]) for run in (first, second)
    )
    (difference,) = ratios((ours - theirs)[:, None], np.ones((len(keys), 1)), keys, bootstrap)
    better, worse = int((ours > theirs).sum()), int((ours < theirs).sum())
    single = all(run[key][1] == 1 for run in (first, second) for key in keys)
    return PairedAccuracy(
        questions=len(keys),
        first=float(ours.mean()),
        second=float(theirs.mean()),
        difference=difference,
        only_first=better,
        only_second=worse,
        p=mcnemar(better, worse) if single else math.nan,
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided p-value of McNemar's test; nan if no pair differs.

    Args:
        only_first: Pairs of which only the first is a success.
        only_second: Pairs of which only the second is.
    """
    from scipy.stats import binomtest

    differing = only_first + only_second
    return float(binomtest(only_first, differing).pvalue) if differing else math.nan
