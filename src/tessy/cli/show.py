"""`tessy show`: a run's trajectories, in two colours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def show(
    run: Annotated[Path, typer.Argument(help="The run's folder.")],
    sample: Annotated[str | None, typer.Argument(help="A sample's id; without it, a list.")] = None,
    discarded: Annotated[
        bool, typer.Option("--discarded", help="Show what was discarded, struck through.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="Longest list.")] = 20,
) -> None:
    """Show a sample: who wrote what; `--discarded` adds what was rolled back, where it fell."""
    from rich.console import Console

    from tessy.cli.paint import paint_list, paint_sample

    console = Console()
    if sample is None:
        paint_list(console, run, limit)
    else:
        paint_sample(console, run, sample, discarded=discarded)
