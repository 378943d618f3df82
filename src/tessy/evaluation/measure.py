"""From what became of each sample to an evaluation. Pure.

A sample whose answer is not accepted is wrong, whatever the reason: a wrong answer, none, a
thinking without an end. One that says nothing of the model (its server was ill, its verifier
broke) is not measured: it is left out and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from tessy.evaluation.estimate import Estimate, ks, mean, pass_at_k
from tessy.method.trajectory import Failure


class Standing(StrEnum):
    """What became of a sample."""

    RIGHT = "right"
    """The verifier accepts its answer."""
    WRONG = "wrong"
    """It has an answer that the verifier does not accept."""
    NO_ANSWER = "no_answer"
    """It is whole, but the verifier finds no answer in it."""
    TRUNCATED = "truncated"
    """A limit ended it before it had an answer."""
    BROKEN = "broken"
    """It came to no answer in another way: it repeats itself, falls silent, breaks its format."""
    UNMEASURED = "unmeasured"
    """It says nothing of the model: a call, a server or the verifier failed."""


TRUNCATIONS = (Failure.THINKING_LIMIT, Failure.ANSWER_LIMIT, Failure.CONTEXT_LIMIT)
UNMEASURED = (
    Failure.MODEL_ERROR,
    Failure.REFUSED,
    Failure.PREDICTOR_ERROR,
    Failure.VERIFIER_ERROR,
    Failure.BAD_QUESTION,
)


def standing_of(failure: Failure) -> Standing:
    """What a failure says of the model."""
    if failure in TRUNCATIONS:
        return Standing.TRUNCATED
    return Standing.UNMEASURED if failure in UNMEASURED else Standing.BROKEN


@dataclass(frozen=True, slots=True)
class Run:
    """One sample of a question.

    Attributes:
        question: The question's id.
        group: What the question belongs to; empty without groups.
        standing: What became of it.
        thinking_tokens: Length of the thinking, in the model's tokens.
        answer_tokens: Length of the answer; of a sample that came to none, of all that was written
            and not kept.
    """

    question: str
    group: str
    standing: Standing
    thinking_tokens: int
    answer_tokens: int


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths of responses, in the model's tokens; nan if there are none."""

    mean: float
    median: float
    p95: float
    longest: float


@dataclass(frozen=True, slots=True)
class Scores:
    """The figures of some questions.

    Attributes:
        questions: With at least one run that was measured.
        runs: That were measured.
        pass_at: pass@k by k; pass@1 is the mean over runs.
        standings: Runs by what became of them, unmeasured ones as well.
        lengths: Of thinking and answer together.
        thinking: Of the thinking alone.
    """

    questions: int
    runs: int
    pass_at: dict[int, Estimate]
    standings: dict[Standing, int]
    lengths: Lengths
    thinking: Lengths

    @property
    def truncated(self) -> float:
        """The share of measured runs that a limit ended; nan if there are none."""
        return self.standings.get(Standing.TRUNCATED, 0) / self.runs if self.runs else np.nan


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good a model is at some questions.

    Attributes:
        model: Its name.
        whole: All questions.
        groups: By group, in order of their names; empty without groups.
        right: Right runs and measured runs, by question.
    """

    model: str
    whole: Scores
    groups: dict[str, Scores] = field(default_factory=dict)
    right: dict[str, tuple[int, int]] = field(default_factory=dict)


def measure(model: str, runs: Iterable[Run], *, samples: int = 2000) -> Evaluation:
    """Compute all figures.

    Args:
        model: The model's name.
        runs: Every sample.
        samples: Of the bootstrap.
    """
    every = list(runs)
    by_group: dict[str, list[Run]] = {}
    for run in every:
        by_group.setdefault(run.group, []).append(run)
    grouped = sorted(by_group.items()) if set(by_group) != {""} else []
    return Evaluation(
        model=model,
        whole=_scores(every, samples),
        groups={group: _scores(members, samples) for group, members in grouped},
        right={name: (c, n) for name, c, n in _by_question(every)},
    )


def _by_question(runs: Sequence[Run]) -> list[tuple[str, int, int]]:
    """Each question with a measured run: its name, right runs, measured runs."""
    measured = [run for run in runs if run.standing is not Standing.UNMEASURED]
    total = Counter(run.question for run in measured)
    right = Counter(run.question for run in measured if run.standing is Standing.RIGHT)
    return [(name, right[name], count) for name, count in total.items()]


def _scores(runs: Sequence[Run], samples: int) -> Scores:
    questions = _by_question(runs)
    least = min((n for _, _, n in questions), default=0)
    measured = [run for run in runs if run.standing is not Standing.UNMEASURED]

    def at(k: int) -> Estimate:
        return mean([pass_at_k(c, n, k) for _, c, n in questions], samples=samples)

    return Scores(
        questions=len(questions),
        runs=len(measured),
        pass_at={k: at(k) for k in (ks(least) if least else [1])},
        standings=dict(Counter(run.standing for run in runs)),
        lengths=_lengths(measured, lambda run: run.thinking_tokens + run.answer_tokens),
        thinking=_lengths(measured, lambda run: run.thinking_tokens),
    )


def _lengths(runs: Sequence[Run], length: Callable[[Run], int]) -> Lengths:
    if not runs:
        return Lengths(np.nan, np.nan, np.nan, np.nan)
    values = np.array([length(run) for run in runs], dtype=float)
    median, p95 = np.quantile(values, (0.5, 0.95))
    return Lengths(float(values.mean()), float(median), float(p95), float(values.max()))
