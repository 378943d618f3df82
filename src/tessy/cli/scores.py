"""An evaluation as a table, for the terminal."""

from __future__ import annotations

import math

from rich.table import Table

from tessy.display import visible
from tessy.evaluation.estimate import Estimate
from tessy.evaluation.measure import Evaluation, Scores, Standing


def table(evaluation: Evaluation, *, remaining: int = 0) -> Table:
    """A column for all questions and one for each group.

    Args:
        evaluation: What was measured.
        remaining: Samples that have not ended, since the run was stopped.
    """
    columns = [("all", evaluation.whole), *evaluation.groups.items()]
    title = f"{visible(evaluation.model)}, 95% intervals over questions"
    if remaining:
        title += f"; {remaining:,} samples are missing: the same command goes on"
    made = Table(title=title, title_justify="left")
    made.add_column("")
    for name, _ in columns:
        made.add_column(visible(name) or "(empty)", justify="right")
    every = [scores for _, scores in columns]
    made.add_row("questions", *(f"{each.questions:,}" for each in every))
    made.add_row("runs", *(f"{each.runs:,}" for each in every))
    for k in evaluation.whole.pass_at:
        made.add_row(f"pass@{k}", *(_estimate(each.pass_at.get(k)) for each in every))
    for standing in Standing:
        if evaluation.whole.standings.get(standing):
            counts = (each.standings.get(standing, 0) for each in every)
            made.add_row(standing.value.replace("_", " "), *(f"{count:,}" for count in counts))
    made.add_row("tokens, mean", *(_number(each.lengths.mean) for each in every))
    made.add_row("tokens, median / 95%", *(_two(each) for each in every))
    made.add_row("of them thinking", *(_number(each.thinking.mean) for each in every))
    return made


def _estimate(estimate: Estimate | None) -> str:
    if estimate is None or math.isnan(estimate.value):
        return "–"
    low, high = 100 * estimate.low, 100 * estimate.high
    return f"{100 * estimate.value:.1f}% ({low:.1f}–{high:.1f})"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:,.0f}"


def _two(scores: Scores) -> str:
    return f"{_number(scores.lengths.median)} / {_number(scores.lengths.p95)}"
