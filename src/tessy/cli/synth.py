"""`tessy synth`: writes a data set from questions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field

from tessy.cli.options import CommandOptions, command
from tessy.config import Config
from tessy.settings import Option


class RunOptions(CommandOptions):
    """Options of `tessy synth` and `tessy eval`."""

    questions: Annotated[str, Option(argument=True)]
    """Questions: a file (`.jsonl`, `.json`, `.csv`, `.tsv`, `.parquet`, `.arrow`), a folder of
    shards, a quoted glob, `-` for standard input, or a Hugging Face data set
    (`owner/name:config:split`)."""
    out: Annotated[Path, Option()]
    """The run's folder; an unfinished run in it is resumed."""
    config: Annotated[Path | None, Option(unset="none")] = None
    """A TOML file with settings; options override it."""
    limit: Annotated[int | None, Option(unset="all")] = Field(default=None, ge=1)
    """Use only the first questions."""
    question_column: Annotated[str | None, Option(unset="the one that is there")] = None
    """The column of the question: text, or a list of messages. Other columns are copied."""
    skip_bad: Annotated[bool, Option()] = False
    """Record bad lines, and those that can't be verified, as failures instead of refusing to
    start."""


class SynthOptions(RunOptions):
    """Options of `tessy synth`."""

    retry_failed: Annotated[bool, Option()] = False
    """Write failed samples again."""


@command()
def synth(options: SynthOptions, config: Config) -> None:
    """Write a data set: student and teacher think in turns, or by another method of the paper.

    The same command resumes a run that was stopped.
    """
    from tessy.runs.progress import Progress, Show, short_summary
    from tessy.synthesis.run import synthesize

    progress = Progress(Show.QUIET if options.quiet else Show.AUTO)
    result = synthesize(
        options.questions,
        out=options.out,
        config=config,
        limit=options.limit,
        skip_bad=options.skip_bad,
        question_column=options.question_column,
        retry_failed=options.retry_failed,
        progress=progress,
    )
    if options.quiet:
        typer.echo(short_summary(result), err=True)
    progress.summarise(result)
    if result.stopped:
        raise typer.Exit(130)
    if result.total and not result.finished:
        raise typer.Exit(1)
