"""`tessy verify`: which responses are right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from rich.console import Console
from rich.table import Table

from tessy.cli.options import CommandOptions, command
from tessy.display import visible
from tessy.settings import SECONDS, Option, UnitName
from tessy.verifiers.limits import ProgramLimits

if TYPE_CHECKING:
    from tessy.verifiers.verify import VerifyResult

_USUAL = ProgramLimits()


class VerifyOptions(CommandOptions):
    """What is verified, and how."""

    responses: Annotated[str, Option(argument=True)]
    """A run's folder, a `.jsonl` or `.parquet` file, or a Hugging Face data set with `messages`,
    whose last has thinking and answer."""
    verifier: Annotated[str, Option("with")]
    """`exact`, `number`, `math`, `choice`, `reasoning-gym`, `code` or `auto`, each with `:COLUMN`
    for another column than its own; or `python:MODULE:FACTORY`."""
    out: Annotated[Path | None, Option(unset="verdicts are only counted")] = None
    """Write each verdict to this file, a line of JSON."""
    group: Annotated[str | None, Option(unset="no groups")] = None
    """Count for each value of this column, too."""
    limit: Annotated[int | None, Option(unset="all")] = Field(default=None, ge=1)
    """Only the first responses."""
    concurrency: Annotated[int | None, Option(unset="one for each core")] = Field(
        default=None, ge=1
    )
    """Programs and checks that run at once."""
    cpu_seconds: Annotated[int, SECONDS, Option()] = Field(default=_USUAL.cpu_s, ge=1)
    """Processor time of a program's test; limits by the clock grow with it."""
    memory_mb: Annotated[int, UnitName("MiB"), Option()] = Field(default=_USUAL.memory_mb, ge=1)
    """Memory of a program."""
    unsafe_no_sandbox: Annotated[bool, Option()] = False
    """Run programs without isolation: they can do what you can do."""


@command()
def verify(options: VerifyOptions) -> None:
    """Verify the final answers of a run, or of any data set, and count what is right.

    All responses are checked for the columns that the verifier needs before any is verified.
    """
    from tessy.verifiers.verify import verify

    result = verify(
        options.responses,
        options.verifier,
        out=options.out,
        group=options.group,
        limit=options.limit,
        concurrency=options.concurrency,
        cpu_seconds=options.cpu_seconds,
        memory_mb=options.memory_mb,
        sandbox=not options.unsafe_no_sandbox,
        say=options.say,
    )
    Console(highlight=False, markup=False).print(_table(result, options.group))


def _table(result: VerifyResult, group: str | None) -> Table:
    """Counts by outcome, of all and of each group."""
    from tessy.verifiers.protocol import VerdictOutcome

    rows = Table(box=None, pad_edge=False, header_style="bold")
    rows.add_column(visible(group) if group else "")
    for name in ("responses", *VerdictOutcome, "share right", "score"):
        rows.add_column(name, justify="right")
    for name, counts in [("all", result.total), *sorted(result.groups.items())]:
        outcomes = [str(counts.outcomes[outcome]) for outcome in VerdictOutcome]
        shares = (f"{counts.right_share:.1%}", f"{counts.mean_score:.3f}")
        rows.add_row(visible(name), str(counts.count), *outcomes, *shares)
    return rows
