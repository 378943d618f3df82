"""From samples to scores. Pure.

A sample whose answer is not accepted counts as wrong, for whatever reason: a wrong answer, none, or
thinking without an end. A sample that says nothing about the model (its server failed, its
verifier broke) is not measured: it is left out and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import orjson

from tessy.evaluation.estimate import Estimate, ks, mean, pass_at_k
from tessy.method.trajectory import UNMEASURED, Failure


class EvalOutcome(StrEnum):
    """How a sample ended."""

    RIGHT = "right"
    """The verifier accepts its answer."""
    WRONG = "wrong"
    """It has an answer that the verifier does not accept."""
    NO_ANSWER = "no_answer"
    """It is complete, but the verifier finds no answer in it."""
    TRUNCATED = "truncated"
    """A limit ended it before it had an answer."""
    BROKEN = "broken"
    """It has no answer for another reason: it repeats itself, falls silent, breaks its format."""
    UNMEASURED = "unmeasured"
    """It says nothing about the model: a call, a server or the verifier failed."""


TRUNCATIONS = (Failure.THINKING_LIMIT, Failure.ANSWER_LIMIT, Failure.CONTEXT_LIMIT)


def outcome_of(failure: Failure) -> EvalOutcome:
    """What a failure says about the model."""
    if failure in TRUNCATIONS:
        return EvalOutcome.TRUNCATED
    return EvalOutcome.UNMEASURED if failure in UNMEASURED else EvalOutcome.BROKEN


@dataclass(frozen=True, slots=True)
class EvalSample:
    """One sample of a question.

    Attributes:
        question: The question's id.
        group: The question's group; empty without groups.
        outcome: How it ended.
        thinking_tokens: Length of the thinking, in the model's tokens.
        answer_tokens: Length of the answer; of a failed sample, of everything that was written
            and not kept.
    """

    question: str
    group: str
    outcome: EvalOutcome
    thinking_tokens: int
    answer_tokens: int


@dataclass(frozen=True, slots=True)
class EvalLengths:
    """Lengths of responses, in the model's tokens; nan without responses."""

    mean: float
    median: float
    p95: float
    longest: float


@dataclass(frozen=True, slots=True)
class EvalScores:
    """The scores on some questions.

    Attributes:
        questions: Those with at least one sample that was measured.
        samples: Those that were measured.
        pass_at: pass@k by k, the mean over samples: pass@1 is the share of right ones.
        outcomes: Samples by outcome, unmeasured ones included.
        truncated: Share of the measured samples that a limit ended; nan without any.
        tokens: Lengths of thinking and answer together.
        thinking_tokens: Lengths of the thinking alone.
    """

    questions: int
    samples: int
    pass_at: dict[int, Estimate]
    outcomes: dict[EvalOutcome, int]
    truncated: float
    tokens: EvalLengths
    thinking_tokens: EvalLengths


@dataclass(frozen=True, slots=True)
class ModelScores:
    """The scores of a model.

    Attributes:
        model: Its name.
        whole: On all questions.
        groups: By group, in order of their names; empty without groups.
        right: Right samples and measured samples, by question.
    """

    model: str
    whole: EvalScores
    groups: dict[str, EvalScores] = field(default_factory=dict)
    right: dict[str, tuple[int, int]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The scores as JSON, those on all questions at the top; nan is null."""
        tree = orjson.loads(orjson.dumps(self, option=orjson.OPT_NON_STR_KEYS))
        return {"model": self.model, **tree.pop("whole"), **tree}


def measure(model: str, samples: Iterable[EvalSample]) -> ModelScores:
    """Compute all scores.

    Args:
        model: The model's name.
        samples: All of them.
    """
    every = list(samples)
    by_group: dict[str, list[EvalSample]] = {}
    for sample in every:
        by_group.setdefault(sample.group, []).append(sample)
    grouped = sorted(by_group.items()) if set(by_group) != {""} else []
    return ModelScores(
        model=model,
        whole=_scores(every),
        groups={group: _scores(members) for group, members in grouped},
        right=_right(_measured(every)),
    )


def _measured(samples: Sequence[EvalSample]) -> list[EvalSample]:
    return [sample for sample in samples if sample.outcome is not EvalOutcome.UNMEASURED]


def _right(measured: Sequence[EvalSample]) -> dict[str, tuple[int, int]]:
    """Right samples and all samples, by question."""
    total = Counter(sample.question for sample in measured)
    right = Counter(s.question for s in measured if s.outcome is EvalOutcome.RIGHT)
    return {question: (right[question], count) for question, count in total.items()}


def _scores(samples: Sequence[EvalSample]) -> EvalScores:
    measured = _measured(samples)
    counts = _right(measured).values()
    each = [n for _, n in counts]
    fewest = min((n for _, n in counts), default=1)
    outcomes = Counter(sample.outcome for sample in samples)
    return EvalScores(
        questions=len(counts),
        samples=len(measured),
        pass_at={
            k: mean([pass_at_k(right, n, k) for right, n in counts], each) for k in ks(fewest)
        },
        outcomes=dict(sorted(outcomes.items())),
        truncated=outcomes[EvalOutcome.TRUNCATED] / len(measured) if measured else np.nan,
        tokens=_lengths([each.thinking_tokens + each.answer_tokens for each in measured]),
        thinking_tokens=_lengths([each.thinking_tokens for each in measured]),
    )


def _lengths(tokens: Sequence[int]) -> EvalLengths:
    if not tokens:
        return EvalLengths(np.nan, np.nan, np.nan, np.nan)
    median, p95 = np.quantile(tokens, (0.5, 0.95))
    return EvalLengths(float(np.mean(tokens)), float(median), float(p95), float(max(tokens)))
