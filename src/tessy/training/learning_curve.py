"""Learning curves: how many questions each epoch answers correctly (compare the paper's Fig. 11).

`evaluation.json` holds every epoch whose evaluation is complete, and what was asked. An epoch in it
is not evaluated again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from pydantic import TypeAdapter

from tessy.data.files import read_bytes, write_atomically
from tessy.display import count_of
from tessy.errors import RunMismatch
from tessy.evaluation.estimate import Estimate, Number
from tessy.evaluation.measure import EvalOutcome, ModelScores

CURVE_FILE = "evaluation.json"
UNTRAINED = 0
"""The number of the epoch that is the untrained model."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """An epoch that was evaluated.

    Attributes:
        epoch: From 1; 0 is the untrained model.
        loss: Mean over the epoch's steps; None for the untrained model.
        pass_at_1: On all questions.
        questions: Those with at least one sample that was measured.
        samples: Those that were measured.
        unmeasured: Samples that say nothing about the model, and were left out.
        truncated: Share of the measured samples that a limit ended.
        tokens: Mean length of a response, in the model's tokens.
        groups: pass@1 by group, in order of their names.
    """

    epoch: int
    loss: float | None
    pass_at_1: Estimate
    questions: int
    samples: int
    unmeasured: int
    truncated: Number
    tokens: Number
    groups: dict[str, Estimate] = field(default_factory=dict)

    def figures(self) -> dict[str, float]:
        """The scores, for trackers."""
        groups = {f"eval/group/{name}": each.value for name, each in self.groups.items()}
        return {"eval/pass_at_1": self.pass_at_1.value, "eval/tokens": self.tokens, **groups}

    def line(self, epochs: int) -> str:
        """The point in words, for the terminal; `epochs` is how many there will be."""
        name = f"epoch {self.epoch} of {epochs}" if self.epoch else "untrained"
        left_out = (
            f"; {count_of(self.unmeasured, 'sample')} could not be measured"
            if self.unmeasured
            else ""
        )
        questions = count_of(self.questions, "question")
        return f"{name}: pass@1 {shown(self.pass_at_1)} of {questions}{left_out}"


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """The points of a curve, and what they have in common.

    Attributes:
        asked: The questions and settings of all evaluations, as JSON.
        epochs: In order.
    """

    asked: dict[str, Any]
    epochs: tuple[CurvePoint, ...]

    def write(self, folder: Path) -> None:
        """Write `evaluation.json` to a folder."""
        write_atomically(folder / CURVE_FILE, orjson.dumps(self, option=orjson.OPT_INDENT_2))


_CURVE = TypeAdapter(LearningCurve)
_MOST = 16 << 20
"""Bytes of `evaluation.json`."""


def read_curve(folder: Path) -> LearningCurve | None:
    """Read `evaluation.json`; None if there is none.

    Raises:
        RunMismatch: It is no learning curve.
    """
    path = folder / CURVE_FILE
    try:
        return _CURVE.validate_json(read_bytes(path, _MOST))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RunMismatch(
            f"{path} can't be read: {error}", hint="remove it, and it is written again"
        ) from None


def point(epoch: int, loss: float | None, scores: ModelScores) -> CurvePoint:
    """The point of an epoch with these scores."""
    whole = scores.whole
    return CurvePoint(
        epoch=epoch,
        loss=loss,
        pass_at_1=whole.pass_at[1],
        questions=whole.questions,
        samples=whole.samples,
        unmeasured=whole.outcomes.get(EvalOutcome.UNMEASURED, 0),
        truncated=whole.truncated,
        tokens=whole.tokens.mean,
        groups={name: each.pass_at[1] for name, each in scores.groups.items()},
    )


def best(points: Sequence[CurvePoint]) -> CurvePoint | None:
    """The trained epoch with the highest pass@1, the first of several; None without any."""
    trained = [each for each in points if each.epoch != UNTRAINED]
    return max(trained, key=lambda each: each.pass_at_1.value, default=None)


def shown(estimate: Estimate) -> str:
    """An estimate in words, such as `43.2% (38.0–48.4)`."""
    if math.isnan(estimate.value):
        return "–"
    return f"{100 * estimate.value:.1f}% ({100 * estimate.low:.1f}–{100 * estimate.high:.1f})"
