"""`tessy select`: the questions that are worth the teacher's time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import Field, model_validator
from rich.table import Table

from tessy.cli.options import CommandOptions, command
from tessy.cli.tables import print_table
from tessy.display import visible_line
from tessy.selection.settings import JudgeConfig, SelectSettings, read_rubric
from tessy.settings.definitions import Location, Option

if TYPE_CHECKING:
    from tessy.selection.agreement import Agreement
    from tessy.selection.job import SelectResult

_SHOWN = 20
_JUDGE = "Judge"


class SelectOptions(CommandOptions, SelectSettings):
    """Options of `tessy select`."""

    questions: Annotated[str, Option(argument=True)]
    """Questions, as for `tessy synth`: a file, a folder of shards, a quoted glob, `-` for standard
    input, or a Hugging Face data set. Files may be at a URL, such as `s3://`."""
    out: Annotated[Location, Option()]
    """Write the selected questions, each as it was, to this file: `.jsonl` or `.parquet`, also at a
    URL; an older selection is replaced. What is dropped is beside it, in `NAME.dropped.jsonl`."""
    limit: Annotated[int | None, Option(unset="all")] = Field(default=None, ge=1)
    """Use only the first questions."""
    question_column: Annotated[str | None, Option(unset="the one that is there")] = None
    """The column of the question: text, or a list of messages."""
    skip_bad: Annotated[bool, Option()] = False
    """Drop bad lines instead of refusing to start."""
    judge_out: Annotated[Location | None, Option(unset="nobody rates", panel=_JUDGE)] = None
    """The folder of the judge's run, or its URL; an unfinished run in it is resumed."""
    rubric: Annotated[
        Path | None, Option(unset="one for problems to reason about", panel=_JUDGE)
    ] = None
    """A file with what the judge is told, and `{question}` in it; how to answer is put after it."""
    config: Annotated[Path | None, Option(unset="none", panel=_JUDGE)] = None
    """A TOML file with the judge's settings, its model below `[teacher]`; options override it."""
    retry_failed: Annotated[bool, Option(panel=_JUDGE)] = False
    """Have the judge rate questions again that got no score."""

    @model_validator(mode="after")
    def _are_the_judges(self) -> SelectOptions:
        for name, value in (("--rubric", self.rubric), ("--config", self.config)):
            if value is not None and self.judge_out is None:
                raise ValueError(f"{name} is for a judge: give --judge-out, too")
        if self.retry_failed and self.judge_out is None:
            raise ValueError("--retry-failed is for a judge: give --judge-out, too")
        return self


@command(
    only=[
        *(f"teacher.{name}" for name in ("model", "tokenizer", "format")),
        "concurrency",
    ]
)
def select(options: SelectOptions, judge: JudgeConfig) -> None:
    """Select questions by what `tessy eval` measured, by a judge, or at random.

    Every question is kept, or dropped for one reason. A judge's run resumes with the same command.
    """
    from tessy.runs.progress import Progress, Show, short_summary
    from tessy.selection.job import dropped_file, select
    from tessy.selection.judge import JudgeStopped

    if options.rubric is not None:
        prompts = judge.prompts.model_copy(update={"judge": read_rubric(options.rubric)})
        judge = judge.model_copy(update={"prompts": prompts})
    try:
        found = select(
            options.questions,
            out=options.out,
            config=options,
            judge=judge if judge.teacher.model or options.judge_out else None,
            judge_out=options.judge_out,
            limit=options.limit,
            skip_bad=options.skip_bad,
            question_column=options.question_column,
            retry_failed=options.retry_failed,
            progress=Progress(Show.QUIET if options.quiet else Show.AUTO),
        )
    except JudgeStopped as stopped:
        typer.echo(f"judge: {short_summary(stopped.run)}", err=True)
        typer.echo("stopped: the same command goes on with the judge", err=True)
        raise typer.Exit(130) from None
    if found.judged is not None:
        options.say(f"judge: {short_summary(found.judged)}")
    for table in _tables(found, options.stratify or ""):
        print_table(table)
    if found.dropped:
        options.say(f"what was dropped: {dropped_file(options.out)}")
    options.say(f"written: {options.out}")


def _tables(found: SelectResult, column: str) -> Iterator[Table]:
    """What was kept and dropped, by stratum if there are strata; and how far a judge agrees."""
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column("")
    made.add_column("", justify="right")
    made.add_column("", justify="right")
    counts = [("read", found.read), ("kept", found.kept)]
    counts += [(f"dropped: {label}", count) for label, count in found.dropped.items()]
    for name, count in counts:
        made.add_row(name, f"{count:,}", f"{count / max(1, found.read):.1%}")
    yield made
    if found.strata:
        yield _strata(found.strata, column)
    if found.agreements:
        yield _agreements(found.agreements)


def _strata(strata: dict[str, tuple[int, int]], column: str) -> Table:
    made = Table(box=None, pad_edge=False, header_style="bold")
    made.add_column(visible_line(column))
    made.add_column("drawn", justify="right")
    made.add_column("of", justify="right")
    for name, (drawn, of) in list(strata.items())[:_SHOWN]:
        made.add_row(visible_line(name) or "(empty)", f"{drawn:,}", f"{of:,}")
    if len(strata) > _SHOWN:
        made.add_row(f"… and {len(strata) - _SHOWN:,} more", "", "")
    return made


def _agreements(agreements: tuple[Agreement, ...]) -> Table:
    made = Table(box=None, pad_edge=False, header_style="bold")
    made.add_column("agreement of")
    for name in ("", "95% interval", "questions"):
        made.add_column(name, justify="right")
    made.add_column("")
    for each in agreements:
        value = "–" if each.value != each.value else f"{each.measure} {each.value:.2f}"
        interval = "–" if each.low != each.low else f"{each.low:.2f} to {each.high:.2f}"
        split = each.measure == "AUC"
        count = f"{each.count:,} and {each.others:,}" if split else f"{each.count:,}"
        made.add_row(visible_line(each.what), value, interval, count, each.verdict())
    return made
