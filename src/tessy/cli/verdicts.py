"""The work of `tessy verify`, and its table."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from tessy.cli.places import check_places
from tessy.display import visible
from tessy.verifiers.limits import VerifierSettings
from tessy.verifiers.protocol import VerdictOutcome
from tessy.verifiers.verify import VerifyResult, verify

_UNSAFE = "programs run without isolation: they can read and change whatever you can"


def work(
    source: str,
    spec: str,
    settings: VerifierSettings,
    *,
    out: Path | None,
    group: str | None,
    limit: int | None,
    quiet: bool,
) -> None:
    """Verify responses and print the counts.

    Args:
        source: Where they are.
        spec: The verifier.
        settings: How it runs programs and checks.
        out: Where to write the verdicts.
        group: A column to count by.
        limit: Only the first.
        quiet: Print nothing but the result.
    """
    check_places({"--out": out}, inputs=[source, Path(source) / "dataset.jsonl"])
    console = Console(stderr=True, quiet=quiet, highlight=False)
    if settings.unsafe_no_sandbox:
        console.print(f"[yellow]warning:[/yellow] {_UNSAFE}")
    result = verify(source, spec, settings, out=out, group=group, limit=limit, say=console.print)
    Console(highlight=False, markup=False).print(table(result, group))


def table(result: VerifyResult, group: str | None) -> Table:
    """Counts by outcome, of all and of each group.

    Args:
        result: The counts.
        group: The column that the groups are of.
    """
    rows = Table(box=None, pad_edge=False, header_style="bold")
    rows.add_column(visible(group) if group else "")
    headers = (*(outcome.value for outcome in VerdictOutcome), "share right", "score")
    for name in ("responses", *headers):
        rows.add_column(name, justify="right")
    for name, counts in [("all", result.total), *sorted(result.groups.items())]:
        numbers = [str(counts.count), *(str(counts.outcomes[each]) for each in VerdictOutcome)]
        shares = [f"{counts.right_share:.1%}", f"{counts.mean_score:.3f}"]
        rows.add_row(visible(name), *numbers, *shares)
    return rows
