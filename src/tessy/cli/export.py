"""`tessy export`: a run as data for a tool that trains."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_FILTERS = "Filters"
_CARD = "Hugging Face (--to hf)"


def export(
    runs: Annotated[
        list[str],
        typer.Argument(
            help="A run's folder, also while the run goes on; or records: a dataset.jsonl, Parquet "
            "that `export` wrote, a Hugging Face data set. Several are put together.",
        ),
    ],
    to: Annotated[str, typer.Option(help="trl, sharegpt, alpaca, parquet or hf.")],
    out: Annotated[Path, typer.Option(help="A new folder.")],
    mask: Annotated[
        str | None,
        typer.Option(
            help="For trl: keep the loss on what the teacher wrote (capability), on what the "
            "student wrote (style), or on the whole response (none)."
        ),
    ] = None,
    validation: Annotated[
        float | None,
        typer.Option(help="Share of the questions whose samples go into a validation split."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another one puts other questions there.")] = 0,
    min_teacher_share: Annotated[
        float | None, typer.Option(help="Least share of tokens.", rich_help_panel=_FILTERS)
    ] = None,
    max_teacher_share: Annotated[
        float | None, typer.Option(help="Greatest share of tokens.", rich_help_panel=_FILTERS)
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            help="Longest response, as its models counted; with --tokenizer, longest conversation.",
            rich_help_panel=_FILTERS,
        ),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="Count with this one: a folder or a Hugging Face id.", rich_help_panel=_FILTERS
        ),
    ] = None,
    drop_forced: Annotated[
        bool,
        typer.Option(
            "--drop-forced",
            help="Drop samples with words that were kept although their predictor called them the "
            "other kind.",
            rich_help_panel=_FILTERS,
        ),
    ] = False,
    near_duplicates: Annotated[
        float | None,
        typer.Option(
            help="Drop responses as like an earlier one as this: 0.8, say.",
            rich_help_panel=_FILTERS,
        ),
    ] = None,
    decontaminate: Annotated[
        list[str] | None,
        typer.Option(
            help="Drop samples that share words with these test questions: a .jsonl or .parquet "
            "file, or a Hugging Face data set; may be repeated.",
            rich_help_panel=_FILTERS,
        ),
    ] = None,
    ngram: Annotated[
        int, typer.Option(help="So many words in a row.", rich_help_panel=_FILTERS)
    ] = 13,
    licence: Annotated[
        str | None,
        typer.Option(help="Of the data: apache-2.0, cc-by-4.0, other, …", rich_help_panel=_CARD),
    ] = None,
    push: Annotated[
        str | None, typer.Option(help="Upload it to OWNER/NAME.", rich_help_panel=_CARD)
    ] = None,
    public: Annotated[
        bool,
        typer.Option("--public", help="Made there for all to see.", rich_help_panel=_CARD),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an earlier export.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")] = False,
) -> None:
    """Export a data set in the form that a tool for training wants.

    What a filter drops stands in `dropped.jsonl` with its reason: kept + dropped = read.
    """
    from tessy.cli import shipping

    shipping.export(
        runs,
        out,
        {
            "to": to,
            "mask": mask,
            "validation": validation,
            "seed": seed,
            "min_teacher_share": min_teacher_share,
            "max_teacher_share": max_teacher_share,
            "max_tokens": max_tokens,
            "tokenizer": tokenizer,
            "drop_forced": drop_forced,
            "near_duplicates": near_duplicates,
            "decontaminate": tuple(decontaminate or ()),
            "ngram": ngram,
            "licence": licence,
            "push": push,
            "public": public,
        },
        force=force,
        quiet=quiet,
    )
