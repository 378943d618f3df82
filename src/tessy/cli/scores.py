"""An evaluation as a table, for the terminal."""

from __future__ import annotations

import math

from rich.table import Table

from tessy.evaluation.estimate import Estimate
from tessy.evaluation.measure import EvalOutcome, EvalScores, ModelScores
from tessy.printable import visible


def table(scores: ModelScores, *, remaining: int = 0) -> Table:
    """A column for all questions and one for each group.

    Args:
        scores: Of a model.
        remaining: Samples that have not ended, since the run was stopped.
    """
    columns = [("all", scores.whole), *scores.groups.items()]
    title = f"{visible(scores.model)}, 95% intervals over questions"
    if remaining:
        title += f"; {remaining:,} samples are missing: the same command resumes"
    made = Table(title=title, title_justify="left")
    made.add_column("")
    for name, _ in columns:
        made.add_column(visible(name) or "(empty)", justify="right")
    every = [each for _, each in columns]
    made.add_row("questions", *(f"{each.questions:,}" for each in every))
    made.add_row("samples", *(f"{each.samples:,}" for each in every))
    for k in scores.whole.pass_at:
        made.add_row(f"pass@{k}", *(_estimate(each.pass_at.get(k)) for each in every))
    for outcome in EvalOutcome:
        if scores.whole.outcomes.get(outcome):
            counts = (each.outcomes.get(outcome, 0) for each in every)
            made.add_row(outcome.value.replace("_", " "), *(f"{count:,}" for count in counts))
    made.add_row("tokens, mean", *(_number(each.tokens.mean) for each in every))
    made.add_row("tokens, median / 95%", *(_two(each) for each in every))
    made.add_row("of them thinking", *(_number(each.thinking_tokens.mean) for each in every))
    return made


def _estimate(estimate: Estimate | None) -> str:
    if estimate is None or math.isnan(estimate.value):
        return "–"
    low, high = 100 * estimate.low, 100 * estimate.high
    return f"{100 * estimate.value:.1f}% ({low:.1f}–{high:.1f})"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:,.0f}"


def _two(scores: EvalScores) -> str:
    return f"{_number(scores.tokens.median)} / {_number(scores.tokens.p95)}"
