"""`tessy synth`: writes a data set from questions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import Field, model_validator

from tessy.cli.options import CommandOptions, command
from tessy.cli.tables import print_table
from tessy.config import Config
from tessy.settings.definitions import Location, Option

if TYPE_CHECKING:
    from tessy.runs.counters import RunResult
    from tessy.runs.progress import Progress


class RunOptions(CommandOptions):
    """Options of `tessy synth` and `tessy eval`."""

    questions: Annotated[str, Option(argument=True)]
    """Questions: a file (`.jsonl`, `.json`, `.csv`, `.tsv`, `.parquet`, `.arrow`), a folder of
    shards, a quoted glob, `-` for standard input, or a Hugging Face data set
    (`owner/name:config:split`). Files may be at a URL, such as `s3://`."""
    out: Annotated[Location, Option()]
    """The run's folder, or its URL (docs/remote.md); an unfinished run in it is resumed."""
    config: Annotated[Path | None, Option(unset="none")] = None
    """A TOML file with settings; options override it."""
    limit: Annotated[int | None, Option(unset="all")] = Field(default=None, ge=1)
    """Use only the first questions."""
    question_column: Annotated[str | None, Option(unset="the one that is there")] = None
    """The column of the question: text, or a list of messages. Other columns are copied."""
    skip_bad: Annotated[bool, Option()] = False
    """Record bad lines, and questions that the verifier refuses, as failures instead of refusing to
    start."""


class SynthOptions(RunOptions):
    """Options of `tessy synth`."""

    retry_failed: Annotated[bool, Option()] = False
    """Write failed samples again."""
    shard: Annotated[str | None, Option(unset="all shards")] = None
    """Write only shard `I/N` of the run, counted from 0, while other processes may write the
    others, also on other machines; `tessy merge` then writes the data set."""
    log_to: Annotated[tuple[str, ...], Option(unset="nowhere")] = ()
    """Log the run's figures: `wandb:PROJECT`, `mlflow:EXPERIMENT` or `tensorboard:FOLDER`; what is
    after the `:` may be left out. The tracker's package has to be installed."""
    on: Annotated[str | None, Option(unset="this machine", panel="On a cluster")] = None
    """A Ray cluster that writes the shards: `ray` for the one of this machine, or
    `ray://HOST:PORT`."""
    shard_cpus: Annotated[float, Option(panel="On a cluster")] = Field(default=1.0, gt=0, le=1024)
    """The cores of a node that each shard takes there."""
    dry_run: Annotated[bool, Option(panel="Before a long run")] = False
    """Tell what the run will cost and write nothing to `out`; by what was measured of idle servers
    and by assumptions, or by a `sample`."""
    sample: Annotated[int | None, Option(unset="assumptions", panel="Before a long run")] = Field(
        default=None, ge=1
    )
    """With `dry_run`: write so many of the questions, drawn at random; what is written is
    deleted."""
    gpus: Annotated[int | None, Option(unset="not told", panel="Before a long run")] = Field(
        default=None, ge=2
    )
    """With `dry_run`: tell how to split so many GPUs between the models."""
    canary: Annotated[int | None, Option(unset="all are written", panel="Before a long run")] = (
        Field(default=None, ge=1)
    )
    """Stop after so many samples, of whole questions, and compare them with the teacher alone on
    the same questions, whose samples go into a folder within `out`. Without this option the run
    goes on."""

    @model_validator(mode="after")
    def _fit_together(self) -> SynthOptions:
        for name, value in (("--sample", self.sample), ("--gpus", self.gpus)):
            if value is not None and not self.dry_run:
                raise ValueError(f"{name} {value} is for --dry-run, which is not given")
        if self.canary is not None and self.dry_run:
            raise ValueError("--canary writes samples and --dry-run none: give one of them")
        if self.shard is not None and (self.canary is not None or self.dry_run):
            raise ValueError("--shard is for writing: --canary and --dry-run are of the whole run")
        if self.on is not None and (self.shard or self.canary or self.dry_run):
            raise ValueError("--on writes all shards: not with --shard, --canary or --dry-run")
        return self


@command()
def synth(options: SynthOptions, config: Config) -> None:
    """Write a data set: student and teacher think in turns, or by another method of the paper.

    The same command resumes a run that was stopped.
    """
    from tessy.runs.progress import Progress, Show
    from tessy.synthesis.run import synthesize

    progress = Progress(Show.QUIET if options.quiet else Show.AUTO)
    if options.dry_run:
        _estimate(options, config, progress)
        return
    limit = options.limit
    if options.canary is not None:
        from tessy.evaluation.canary import canary_limit, check_canary

        check_canary(
            config,
            options.questions,
            limit=options.limit,
            skip_bad=options.skip_bad,
            column=options.question_column,
        )
        limit = canary_limit(options.canary, config, options.limit)
    if options.on is not None:
        _on_cluster(options, config, progress)
        return
    result = synthesize(
        options.questions,
        out=options.out,
        config=config,
        limit=limit,
        skip_bad=options.skip_bad,
        question_column=options.question_column,
        retry_failed=options.retry_failed,
        shard=options.shard,
        log_to=options.log_to,
        progress=progress,
    )
    _tell(result, options, progress)
    if limit is not None and options.canary is not None:
        _compare(options, config, limit, progress)
    if result.total and not result.finished and options.shard is None:  # merging says it of all
        raise typer.Exit(1)


def _on_cluster(options: SynthOptions, config: Config, progress: Progress) -> None:
    """Have a Ray cluster write the shards."""
    from tessy.ray.driver import ClusterRun, synthesize_on
    from tessy.runs.plan import WRITTEN_AGAIN

    assert options.on is not None
    run = ClusterRun(
        address=options.on,
        source=options.questions,
        out=options.out,
        config=config,
        cpus=options.shard_cpus,
        limit=options.limit,
        skip_bad=options.skip_bad,
        column=options.question_column,
        retry=WRITTEN_AGAIN if options.retry_failed else (),
        log_to=options.log_to,
    )
    result = synthesize_on(run, progress)
    _tell(result, options, progress)
    if result.total and not result.finished:
        raise typer.Exit(1)


def _tell(result: RunResult, options: SynthOptions, progress: Progress) -> None:
    """Print the result of a run.

    Raises:
        typer.Exit: It was stopped, or no sample finished.
    """
    from tessy.runs.progress import short_summary

    if options.quiet:
        typer.echo(short_summary(result), err=True)
    progress.summarise(result)
    if result.stopped:
        raise typer.Exit(130)


def _estimate(options: SynthOptions, config: Config, progress: Progress) -> None:
    """Print what a run will cost."""
    from tessy.evaluation.dry_run import dry_run
    from tessy.evaluation.told import rows
    from tessy.event_loop import run_loop

    found = run_loop(
        dry_run(
            options.questions,
            out=options.out,
            config=config,
            sample=options.sample,
            limit=options.limit,
            skip_bad=options.skip_bad,
            question_column=options.question_column,
            retry_failed=options.retry_failed,
            progress=progress,
        )
    )
    if found is None:
        typer.echo("stopped: no cost is told, since the short ones of a sample end first", err=True)
        raise typer.Exit(130)
    for label, text in rows(found, options.gpus):
        typer.echo(f" {label:18} {text}".rstrip())


def _compare(options: SynthOptions, config: Config, limit: int, progress: Progress) -> None:
    """Have the teacher alone write the canary's questions, and print how the two compare."""
    from tessy.evaluation.canary import compare, table

    found = compare(
        options.questions,
        out=options.out,
        config=config,
        limit=limit,
        most=options.limit,
        skip_bad=options.skip_bad,
        question_column=options.question_column,
        progress=progress,
    )
    if found is None:
        typer.echo("stopped: the same command goes on with the teacher alone", err=True)
        raise typer.Exit(130)
    print_table(table(found))
    then = "the same command without --canary, or with a larger one, goes on"
    typer.echo(then if found.left else "that was the whole run: nothing is left", err=True)
