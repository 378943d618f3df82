"""`tessy lab study`: what each method's data does to a student."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def study(
    settings: Annotated[Path, typer.Argument(help="A TOML file: how large, which conditions.")],
    out: Annotated[Path, typer.Option(help="The study's folder; one that was begun goes on.")],
    page: Annotated[
        Path | None, typer.Option(help="Write the results here, as markdown; pictures beside it.")
    ] = None,
    notes: Annotated[
        Path | None, typer.Option(help="A reading of the results, put on the page.")
    ] = None,
    at_once: Annotated[int | None, typer.Option(min=1, help="Jobs at once; one a core.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")] = False,
) -> None:
    """Have every method write data, train the student on each, and measure it; hours.

    The same command goes on where it was stopped.
    """
    import os
    import sys

    from tessy.display import visible
    from tessy.event_loop import run_loop
    from tessy.lab.study.conduct import conduct
    from tessy.lab.study.publish import check, publish

    def tell(line: str) -> None:
        if not quiet:
            print(visible(line), file=sys.stderr, flush=True)

    if page is not None:
        check(out, page, notes)
    run_loop(conduct(settings, out, at_once=at_once or os.cpu_count() or 1, say=tell))
    if page is not None:
        command = f"tessy lab study {settings} --out {out}"
        publish(out, page, notes=notes, command=command)
        tell(f"written: {page}")
