"""`tessy report`: what a run came to, as a page, as Markdown, or as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tessy.cli import options

_SCORING = "Likelihood under the student"


def report(
    run: Annotated[Path, typer.Argument(help="The run's folder.")],
    against: Annotated[
        list[Path] | None,
        typer.Option(help="Another run of the same questions, put beside it; may be repeated."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The page; by default report.html in the run's folder.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write all numbers to this file.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write it as Markdown, too.")] = None,
    student_tokenizer: Annotated[
        str | None,
        typer.Option(
            help="Folder or Hugging Face id: similarity counts its tokens. By default that of the "
            "run's settings; without any, words."
        ),
    ] = None,
    words: Annotated[
        bool, typer.Option("--words", help="Similarity counts words in any case.")
    ] = False,
    traces: Annotated[int, typer.Option(min=0, max=50, help="Finished samples to show.")] = 12,
    samples: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    student: Annotated[
        str | None,
        typer.Option(
            help="The student's server (`http://host:port/v1#name`), to score the texts.",
            rich_help_panel=_SCORING,
        ),
    ] = None,
    student_format: Annotated[
        str | None,
        typer.Option(
            help="Its chat format, without a tokenizer: qwen3, deepseek-r1, gpt-oss or plain.",
            rich_help_panel=_SCORING,
        ),
    ] = None,
    student_weights: Annotated[
        Path | None,
        typer.Option(
            help="A folder with the student's weights, instead of a server.",
            rich_help_panel=_SCORING,
        ),
    ] = None,
    config: options.ConfigFile = None,
    scored: Annotated[
        int, typer.Option(min=1, help="Questions to score at most.", rich_help_panel=_SCORING)
    ] = 500,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")] = False,
) -> None:
    """Report on a run: who wrote what, whether it moved to the student, what it cost.

    Writes one HTML file that opens anywhere, offline. Needs `pip install 'tessy[report]'`.
    Settings of the student's server that have no option (time-outs, the key, …) are those of
    `[student]` in a TOML file.
    """
    from tessy.cli import reporting

    reporting.report(
        [run, *(against or [])],
        files={"html": out, "json": json, "markdown": markdown},
        tokenizer=student_tokenizer,
        words=words,
        traces=traces,
        bootstrap=(samples, seed),
        scoring=reporting.Scoring(student, student_format, student_weights, config, scored),
        quiet=quiet,
    )
