"""`tessy eval`: how many questions a model answers rightly."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tessy.cli import options


def evaluate(
    questions: Annotated[
        str,
        typer.Argument(help="A .jsonl or .parquet file, or a Hugging Face data set."),
    ],
    out: Annotated[Path, typer.Option(help="The run's folder; an unfinished run in it goes on.")],
    model: Annotated[str | None, typer.Option(help=f"The model: {options.MODEL}")] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="Folder or Hugging Face id of its tokenizer.")
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option("--format", help="Its chat format, without a tokenizer; see `tessy synth`."),
    ] = None,
    config: options.ConfigFile = None,
    verify: Annotated[
        str | None,
        typer.Option(
            help="Verifier, as NAME or NAME:COLUMN; auto, the default: each question names its."
        ),
    ] = None,
    runs: Annotated[
        int | None, typer.Option(min=1, help="Samples of each question; 1 by default.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="A column of the questions by which to group.")
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="0 is greedy; 0.6 by default.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Nucleus; 0.95 by default.")] = None,
    top_k: Annotated[
        int | None,
        typer.Option(help="Most probable tokens to draw from; 0 for all, 20 by default."),
    ] = None,
    thinking_tokens: Annotated[
        int | None, typer.Option(help="Longest thinking, in tokens.")
    ] = None,
    answer_tokens: Annotated[int | None, typer.Option(help="Longest answer, in tokens.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Samples under way at once.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that write them.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the run.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first questions.")] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask again for what could not be measured.")
    ] = False,
    unsafe_no_sandbox: Annotated[
        bool, typer.Option("--unsafe-no-sandbox", help="Run code that is verified without one.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but the result.")] = False,
) -> None:
    """Measure a model: pass@1 as the mean over runs, pass@k, lengths, truncations.

    The same command again goes on where it was stopped. Numbers are also in `evaluation.json`.
    """
    from rich.console import Console

    from tessy.cli.scores import table
    from tessy.evaluation.evaluate import evaluate as measure
    from tessy.evaluation.measure import UNMEASURED, EvalOutcome
    from tessy.evaluation.settings import load
    from tessy.runs.progress import Progress, Show

    chosen = load(
        config,
        {
            "student.model": model,
            "student.tokenizer": tokenizer,
            "student.format": format_,
            "student.sampling.temperature": temperature,
            "student.sampling.top_p": top_p,
            "student.sampling.top_k": top_k,
            "limits.thinking_tokens": thinking_tokens,
            "limits.answer_tokens": answer_tokens,
            "verify": verify,
            "samples_per_question": runs,
            "concurrency": concurrency,
            "workers": workers,
            "seed": seed,
            "sandbox": False if unsafe_no_sandbox else None,
        },
    )
    progress = Progress(Show.QUIET if quiet else Show.AUTO)
    found = measure(
        questions,
        out=out,
        config=chosen,
        group=group,
        limit=limit,
        retry_failed=retry_failed,
        progress=progress,
    )
    Console(markup=False).print(table(found.scores, remaining=found.run.remaining))
    if count := found.scores.whole.outcomes.get(EvalOutcome.UNMEASURED):
        reasons = ", ".join(reason.value for reason in found.run.failed if reason in UNMEASURED)
        typer.echo(f"not measured: {count:,} ({reasons}; failures.jsonl has details)", err=True)
        typer.echo("hint: fix it, then --retry-failed asks for them again", err=True)
    if found.run.stopped:
        raise typer.Exit(130)
    if not found.scores.whole.samples:
        raise typer.Exit(1)
