"""What the paper leads one to expect, held against what came out. Pure.

Each expectation is a difference of two means over the same seeds, paired, with a 95% interval; it
is met, not met, or the seeds can't tell.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tessy.lab.study.results import Accuracy, Mean, Results, by_share, over

PAPER: dict[str, tuple[Sequence[float], Sequence[float]]] = {
    "untouched": ((55.09, 49.58, 25.35, 18.75), (60.16, 76.67, 69.17, 69.81)),
    "teacher-score": ((54.55, 48.00, 26.06, 18.32), (60.61, 75.42, 66.77, 69.53)),
    "teacher-reference": ((51.50, 43.43, 19.26, 14.22), (60.61, 71.98, 62.29, 67.80)),
    "teacher-answer": ((35.33, 33.14, 21.39, 14.01), (60.42, 74.79, 64.48, 69.40)),
    "teacher-think": ((47.90, 43.43, 24.36, 12.50), (54.29, 77.81, 69.06, 69.59)),
    "teacher-mix": ((45.51, 40.57, 21.95, 11.85), (57.39, 75.21, 61.56, 68.60)),
    "teacher-only": ((41.32, 36.57, 22.10, 8.73), (55.81, 76.88, 66.46, 67.76)),
    "tessy": ((62.87, 55.43, 36.69, 25.43), (59.34, 80.42, 70.10, 69.80)),
}
"""Table 1: code (LiveCodeBench V5, V6, Pro; OJBench), which the data is about, and what it is not
about (GPQA, AIME 24 and 25, OlympiadBench)."""


class Verdict(StrEnum):
    """What became of an expectation."""

    MET = "met"
    """The whole interval is on the side that was expected."""
    NOT_MET = "not met"
    """It is on the other side."""
    OPEN = "open"
    """Zero lies in it: these seeds can't tell."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """An expectation and what came out.

    Attributes:
        text: In words.
        difference: By seed; positive is as expected.
        margin: How far below zero still counts as level: 0 where a gain is expected.
    """

    text: str
    difference: Mean
    margin: float = 0.0

    @property
    def verdict(self) -> Verdict:
        """What became of it."""
        value, half = self.difference.value + self.margin, self.difference.half
        if not half >= 0:  # of one seed nobody knows
            return Verdict.OPEN
        if value - half > 0:
            return Verdict.MET
        return Verdict.NOT_MET if value + half < 0 else Verdict.OPEN


LEVEL = 0.03
"""Shares by which an accuracy may fall and still count as level with the untouched student."""


def difference(one: Mean, other: Mean) -> Mean:
    """The difference of two means, seed by seed."""
    return over(a - b for a, b in zip(one.values, other.values, strict=True))


def last(results: Results, condition: str, arm: str) -> Accuracy | None:
    """The accuracy of the student after the last epoch on an arm's data, if it was trained."""
    found = results.trained[condition].get(arm)
    return found.curve[-1] if found else None


def expectations(results: Results) -> Iterator[Expectation]:
    """The paper's findings, as far as the study can tell."""
    main = results.settings.conditions[0].name
    tessy = last(results, main, "tessy")
    if tessy is None:
        return
    yield Expectation(
        "TESSY's data takes the student above where it was on the target",
        difference(tessy.target, results.student.target),
    )
    yield Expectation(
        f"and elsewhere leaves it level, that is, no more than {100 * LEVEL:.0f} points lower",
        difference(tessy.elsewhere, results.student.elsewhere),
        LEVEL,
    )
    for arm in ("teacher-only", "teacher-think", "teacher-answer", "teacher-mix"):
        found = last(results, main, arm)
        if found is None:
            continue
        yield Expectation(
            f"{arm}'s data takes it less far on the target than TESSY's",
            difference(tessy.target, found.target),
        )
        yield Expectation(
            f"{arm}'s data makes it lose elsewhere",
            difference(results.student.elsewhere, found.elsewhere),
        )
    yield from _forgetting(results)
    answers = last(results, main, "tessy-teacher-answers")
    if answers is not None:
        yield Expectation(
            "with the teacher's answers, TESSY's data takes it less far on the target (Fig. 9)",
            difference(tessy.target, answers.target),
        )


def _forgetting(results: Results) -> Iterator[Expectation]:
    """More of the teacher's style, more forgotten: the slope over shares, seed by seed."""
    found = by_share(results)
    if len(found) < 3:
        return
    quarters = [share / 25 for share, _ in found]
    columns = zip(*(accuracy.elsewhere.values for _, accuracy in found), strict=True)
    yield Expectation(
        "the more of TESSY's samples are teacher-only's, the more is lost elsewhere (a slope)",
        over(-statistics.linear_regression(quarters, column).slope for column in columns),
    )


@dataclass(frozen=True, slots=True)
class Contest:
    """TESSY's data against Teacher-Only's, in one condition.

    Attributes:
        target: How many more TESSY's student answers rightly, a share; by seed.
        elsewhere: The same elsewhere.
    """

    target: Mean
    elsewhere: Mean


_AHEAD = {Verdict.MET: "TESSY", Verdict.NOT_MET: "Teacher-Only", Verdict.OPEN: "open"}


def ahead(by: Mean) -> str:
    """Whose data does more, by how many more TESSY's student answers rightly; or `open`."""
    return _AHEAD[Expectation("TESSY's data does more", by).verdict]


def contest(results: Results, condition: str) -> Contest | None:
    """Hold TESSY's data against Teacher-Only's, if a condition has both."""
    tessy, teacher = (last(results, condition, arm) for arm in ("tessy", "teacher-only"))
    if tessy is None or teacher is None:
        return None
    return Contest(
        target=difference(tessy.target, teacher.target),
        elsewhere=difference(tessy.elsewhere, teacher.elsewhere),
    )
