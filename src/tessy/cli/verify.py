"""`tessy verify`: which responses are right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def verify(
    responses: Annotated[
        str,
        typer.Argument(
            help="A run's folder, a .jsonl or .parquet file, or a Hugging Face data set with "
            "`messages`, thinking and answer in the last."
        ),
    ],
    verifier: Annotated[
        str,
        typer.Option(
            "--with",
            metavar="VERIFIER",
            help="`exact`, `number`, `math`, `choice`, `reasoning-gym`, `code`, `auto`, each with "
            "`:COLUMN` for another column than its own, or `python:MODULE:FACTORY`.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Write each verdict to this file, a line of JSON.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Count for each value of this column, too.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first responses.")] = None,
    at_once: Annotated[
        int | None, typer.Option(min=1, help="Programs that run at once; by default, one a core.")
    ] = None,
    cpu_seconds: Annotated[
        int | None, typer.Option(min=1, help="Processor time of a program's test.")
    ] = None,
    memory_mb: Annotated[int | None, typer.Option(min=1, help="Memory of a program.")] = None,
    unsafe_no_sandbox: Annotated[
        bool,
        typer.Option(
            "--unsafe-no-sandbox", help="Run programs without isolation: they can do what you can."
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but the result.")] = False,
) -> None:
    """Verify the final answers of a run, or of any data set, and count what is right.

    All responses are checked for the columns that the verifier needs before any is verified.
    """
    from tessy.cli.verdicts import work
    from tessy.verifiers.limits import ProgramLimits, VerifierSettings

    usual = VerifierSettings()
    limits = ProgramLimits(
        cpu_s=cpu_seconds or usual.limits.cpu_s,
        wall_s=max(usual.limits.wall_s, 6 * (cpu_seconds or 0)),
        total_s=max(usual.limits.total_s, 60 * (cpu_seconds or 0)),
        memory_mb=memory_mb or usual.limits.memory_mb,
    )
    settings = VerifierSettings(unsafe_no_sandbox, at_once or usual.at_once, limits)
    work(responses, verifier, settings, out=out, group=group, limit=limit, quiet=quiet)
