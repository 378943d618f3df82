"""`tessy verify`: checks which answers are right."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from rich.table import Table

from tessy.cli.options import CommandOptions, command
from tessy.cli.tables import print_table
from tessy.display import count_of, visible, visible_line
from tessy.settings.definitions import SECONDS, Location, Option, UnitName
from tessy.verifiers.limits import ProgramLimits

if TYPE_CHECKING:
    from tessy.method.trajectory import Failure
    from tessy.verifiers.verify import VerifyResult

_USUAL = ProgramLimits()
_SHOWN = 5


class VerifyOptions(CommandOptions):
    """Options of `tessy verify`."""

    responses: Annotated[str, Option(argument=True)]
    """A run's folder, a file, a folder of shards, a quoted glob, `-` for standard input, or a
    Hugging Face data set, with `messages`, the last of which has thinking and answer."""
    verifier: Annotated[str, Option("with", also="verify")] = "auto"
    """`exact`, `number`, `math`, `choice`, `reasoning-gym`, `code` or `auto` (the one that each row
    names in its column `verifier`), each with `:COLUMN` to use a column other than its own; or
    `python:MODULE:FACTORY`. It may be written `--verify`, as in `tessy synth`."""
    out: Annotated[Location | None, Option(unset="verdicts are only counted")] = None
    """Write each verdict to this file as a line of JSON; older verdicts are replaced."""
    group: Annotated[str | None, Option(unset="no groups")] = None
    """Also count for each value of this column."""
    limit: Annotated[int | None, Option(unset="all")] = Field(default=None, ge=1)
    """Verify only the first responses."""
    skip_bad: Annotated[bool, Option()] = False
    """Skip and count rows that can't be verified instead of refusing to start."""
    concurrency: Annotated[int | None, Option(unset="one for each core")] = Field(
        default=None, ge=1
    )
    """Programs and checks to run at once."""
    cpu_seconds: Annotated[int, SECONDS, Option()] = Field(default=_USUAL.cpu_s, ge=1)
    """CPU time for each test of a program; the wall-clock limits grow with it."""
    memory_mb: Annotated[int, UnitName("MiB"), Option()] = Field(default=_USUAL.memory_mb, ge=1)
    """Memory of each program."""
    unsafe_no_sandbox: Annotated[bool, Option()] = False
    """Run programs without isolation: they can do anything that you can do."""


@command()
def verify(options: VerifyOptions) -> None:
    """Verify the final answers of a run or of any data set, and count the right ones.

    Before any work, all responses are checked for the columns that the verifier needs.
    """
    from tessy.verifiers.verify import verify

    result = verify(
        options.responses,
        options.verifier,
        out=options.out,
        group=options.group,
        limit=options.limit,
        skip_bad=options.skip_bad,
        concurrency=options.concurrency,
        cpu_seconds=options.cpu_seconds,
        memory_mb=options.memory_mb,
        sandbox=not options.unsafe_no_sandbox,
        say=options.say,
    )
    print_table(_table(result, options.group))
    for where, reason in list(result.skipped.items())[:_SHOWN]:
        options.say(f"skipped: {where}: {reason}")
    if result.skipped:
        print(f"skipped: {len(result.skipped)}, which can't be verified and are not in the table")
    if result.failed:
        print(f"not verified: {_failed(result.failed)}")
    if result.lacking:
        print(f"{visible_line(options.responses)} is not complete: {result.lacking}")


def _number(value: float | None, kind: str) -> str:
    return "–" if value is None else format(value, kind)


def _failed(failed: Counter[Failure]) -> str:
    """How many samples of a run failed, and how many of them for a wrong answer."""
    from tessy.method.trajectory import Failure

    said = f"{count_of(failed.total(), 'failed sample')} of the run"
    rejected = failed[Failure.REJECTED]
    return f"{said}, {rejected:,} of them rejected by its own verifier" if rejected else said


def _table(result: VerifyResult, group: str | None) -> Table:
    """The counts by outcome as a table, with a row for all responses and one for each group."""
    from tessy.verifiers.protocol import VerdictOutcome

    rows = Table(box=None, pad_edge=False, header_style="bold")
    rows.add_column(visible(group) if group else "")
    for name in ("responses", *VerdictOutcome, "share right", "score"):
        rows.add_column(name, justify="right")
    for name, counts in [("all", result.total), *sorted(result.groups.items())]:
        outcomes = [str(counts.outcomes[outcome]) for outcome in VerdictOutcome]
        shares = (_number(counts.right_share, ".1%"), _number(counts.mean_score, ".3f"))
        rows.add_row(visible(name), str(counts.count), *outcomes, *shares)
    return rows
