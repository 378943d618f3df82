"""`tessy eval`: how many questions a model answers correctly."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from tessy.cli.options import command
from tessy.cli.synth import RunOptions
from tessy.cli.tables import print_table
from tessy.display import count_of, visible
from tessy.evaluation.settings import EvaluationConfig
from tessy.settings.definitions import Option

if TYPE_CHECKING:
    from tessy.evaluation.estimate import Estimate
    from tessy.evaluation.measure import EvalScores, ModelScores


class EvalOptions(RunOptions):
    """Options of `tessy eval`."""

    group: Annotated[str | None, Option(unset="no groups")] = None
    """A column of the questions; results are also shown for each of its values."""
    retry_failed: Annotated[bool, Option()] = False
    """Write samples that could not be measured again."""


@command(
    only=[
        *(f"student.{name}" for name in ("model", "tokenizer", "format")),
        *(f"student.sampling.{name}" for name in ("temperature", "top_p", "top_k")),
        "limits.thinking_tokens",
        "limits.answer_tokens",
        "verify",
        "sandbox",
        "samples_per_question",
        "seed",
        "concurrency",
        "workers",
    ]
)
def evaluate(options: EvalOptions, config: EvaluationConfig) -> None:
    """Measure a model: pass@1 and pass@k, lengths, truncations.

    The same command resumes an evaluation that was stopped. The results are also in
    `evaluation.json`.
    """
    from tessy.evaluation.evaluate import evaluate
    from tessy.evaluation.measure import EvalOutcome
    from tessy.method.trajectory import Failure
    from tessy.runs.progress import Progress, Show

    result = evaluate(
        options.questions,
        config=config,
        out=options.out,
        group=options.group,
        limit=options.limit,
        skip_bad=options.skip_bad,
        question_column=options.question_column,
        retry_failed=options.retry_failed,
        progress=Progress(Show.QUIET if options.quiet else Show.AUTO),
    )
    scores, run = result.scores, result.run
    for table in _tables(scores, remaining=run.remaining):
        print_table(table)
    if skipped := result.unmeasured[Failure.BAD_QUESTION]:
        bad = count_of(skipped, "bad question")
        typer.echo(f"skipped {bad} (failures.jsonl has the reasons)", err=True)
    if count := scores.whole.outcomes.get(EvalOutcome.UNMEASURED):
        lost = [reason for reason in result.unmeasured if reason is not Failure.BAD_QUESTION]
        reasons = ", ".join(reason.value for reason in lost)
        typer.echo(f"not measured: {count:,} ({reasons}; failures.jsonl has details)", err=True)
        typer.echo("hint: fix it, then --retry-failed writes them again", err=True)
    if run.stopped:
        raise typer.Exit(130)
    if not scores.whole.samples:
        raise typer.Exit(1)


def _tables(scores: ModelScores, *, remaining: int = 0) -> Iterator[Table]:
    """The scores on all questions, and a row for each group.

    Args:
        scores: The scores of a model.
        remaining: Samples that have not ended because the run was stopped.
    """
    from tessy.evaluation.measure import EvalOutcome

    whole = scores.whole
    title = f"{visible(scores.model)}, 95% intervals over questions"
    if remaining:
        title += f"; {remaining:,} samples are missing: the same command resumes"
    made = Table("", title=title, title_justify="left", show_header=False)
    made.add_column(justify="right")
    made.add_row("questions", f"{whole.questions:,}")
    made.add_row("samples", f"{whole.samples:,}")
    for k in whole.pass_at:
        made.add_row(f"pass@{k}", _estimate(whole.pass_at.get(k)))
    for outcome in EvalOutcome:
        if count := whole.outcomes.get(outcome):
            made.add_row(outcome.value.replace("_", " "), f"{count:,}")
    made.add_row("tokens, mean", _number(whole.tokens.mean))
    made.add_row("tokens, median / 95%", _median(whole))
    made.add_row("of them thinking", _number(whole.thinking_tokens.mean))
    yield made
    if scores.groups:
        yield _groups(scores)


def _groups(scores: ModelScores) -> Table:
    """What differs most between groups; `evaluation.json` has all."""
    from tessy.evaluation.measure import EvalOutcome

    ks = dict.fromkeys((*[*scores.whole.pass_at][:1], *[*scores.whole.pass_at][-1:]))
    made = Table("group", box=None, pad_edge=False, header_style="bold")
    cut = EvalOutcome.TRUNCATED if EvalOutcome.TRUNCATED in scores.whole.outcomes else None
    for name in ("questions", *(f"pass@{k}" for k in ks), *filter(None, [cut]), "tokens, mean"):
        made.add_column(name, justify="right")
    for name, each in scores.groups.items():
        made.add_row(
            visible(name) or "(empty)",
            f"{each.questions:,}",
            *(_estimate(each.pass_at.get(k)) for k in ks),
            *(f"{each.outcomes.get(outcome, 0):,}" for outcome in filter(None, [cut])),
            _number(each.tokens.mean),
        )
    return made


def _estimate(estimate: Estimate | None) -> str:
    if estimate is None or math.isnan(estimate.value):
        return "–"
    low, high = 100 * estimate.low, 100 * estimate.high
    return f"{100 * estimate.value:.1f}% ({low:.1f}–{high:.1f})"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:,.0f}"


def _median(scores: EvalScores) -> str:
    return f"{_number(scores.tokens.median)} / {_number(scores.tokens.p95)}"
