"""What the paper leads one to expect, compared with the results. Pure.

Each expectation is a difference of two means over the same seeds, paired, with a 95% interval. It
is met, not met, or open.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from studies.study.results import Accuracy, Mean, Results, over

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
LEVEL = 0.03
"""Shares by which an accuracy may fall and still count as level with the untouched student."""


class Met(StrEnum):
    """Whether an expectation is met."""

    YES = "met"
    """The whole interval is on the expected side."""
    NO = "not met"
    """It is on the other side."""
    OPEN = "open"
    """Zero is in it: the seeds can't tell."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """An expectation, and the result.

    Attributes:
        text: In words.
        difference: By seed; positive is as expected.
        margin: How far below zero still counts as level: 0 where a gain is expected.
    """

    text: str
    difference: Mean
    margin: float = 0.0

    @property
    def met(self) -> Met:
        """Whether it is met."""
        value, half = self.difference.value + self.margin, self.difference.half
        if value - half > 0:
            return Met.YES
        return Met.NO if value + half < 0 else Met.OPEN  # one seed has no interval: open


def last(results: Results, condition: str, arm: str) -> Accuracy | None:
    """The accuracy of the student after the last epoch on an arm's data, if it was trained."""
    found = results.trained[condition].get(arm)
    return found.last if found else None


def expectations(results: Results) -> Iterator[Expectation]:
    """The paper's findings, as far as the study can test them."""
    main, student = results.settings.main.name, results.student
    tessy = last(results, main, "tessy")
    if tessy is None:
        return
    yield Expectation(
        "TESSY's data takes the student above where it was on the target",
        tessy.target - student.target,
    )
    yield Expectation(
        f"and elsewhere leaves it level, that is, no more than {100 * LEVEL:.0f} points lower",
        tessy.elsewhere - student.elsewhere,
        LEVEL,
    )
    for arm in ("teacher-only", "teacher-think", "teacher-answer", "teacher-mix"):
        if found := last(results, main, arm):
            yield Expectation(
                f"{arm}'s data takes it less far on the target than TESSY's",
                tessy.target - found.target,
            )
            yield Expectation(
                f"{arm}'s data makes it lose elsewhere", student.elsewhere - found.elsewhere
            )
    by_share = results.by_share()
    if len(by_share) >= 3:
        yield Expectation(
            "the more of TESSY's samples are teacher-only's, the more is lost elsewhere (a slope)",
            _loss_per_quarter(by_share),
        )
    if found := last(results, main, "tessy-teacher-answers"):
        yield Expectation(
            "with the teacher's answers, TESSY's data takes it less far on the target (Fig. 9)",
            tessy.target - found.target,
        )


def _loss_per_quarter(by_share: list[tuple[int, Accuracy]]) -> Mean:
    """The slope of the loss elsewhere over quarters of Teacher-Only's samples, seed by seed."""
    quarters = [share / 25 for share, _ in by_share]
    columns = zip(*(accuracy.elsewhere.values for _, accuracy in by_share), strict=True)
    return over(-statistics.linear_regression(quarters, column).slope for column in columns)


@dataclass(frozen=True, slots=True)
class Contest:
    """TESSY's data against Teacher-Only's, in one condition.

    Attributes:
        target: How many more questions TESSY's student answers right, a share; by seed.
        elsewhere: The same elsewhere.
    """

    target: Mean
    elsewhere: Mean


def contest(results: Results, condition: str) -> Contest | None:
    """Compare TESSY's data with Teacher-Only's, if a condition has both."""
    tessy, teacher = (last(results, condition, arm) for arm in ("tessy", "teacher-only"))
    if tessy is None or teacher is None:
        return None
    return Contest(tessy.target - teacher.target, tessy.elsewhere - teacher.elsewhere)


def ahead(by: Mean) -> str:
    """Whose data does more, given how many more questions TESSY's student answers right."""
    names = {Met.YES: "TESSY", Met.NO: "Teacher-Only", Met.OPEN: "open"}
    return names[Expectation("TESSY's data does more", by).met]
