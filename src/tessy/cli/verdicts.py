"""The work of `tessy verify`, and its table."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import BinaryIO

import orjson
from rich.console import Console
from rich.table import Table

from tessy.cli.places import check_places
from tessy.display import visible
from tessy.errors import ConfigError
from tessy.event_loop import run_loop
from tessy.verifiers.judge import Tally, check_all, judge
from tessy.verifiers.limits import Settings
from tessy.verifiers.protocol import Outcome, Row, Verdict
from tessy.verifiers.registry import load
from tessy.verifiers.responses import Response, read_responses

_TELL_EVERY_S = 15
_UNSAFE = "programs run without isolation: they can read and change whatever you can"


def work(
    source: str,
    spec: str,
    settings: Settings,
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
        settings: How it runs what it runs.
        out: Where to write the verdicts.
        group: A column to count by.
        limit: Only the first.
        quiet: Say nothing but the result.
    """
    check_places({"--out": out}, inputs=[source, Path(source) / "dataset.jsonl"])
    console = Console(stderr=True, quiet=quiet, highlight=False)
    if settings.unsafe_no_sandbox:
        console.print(f"[yellow]warning:[/yellow] {_UNSAFE}")
    tallies = run_loop(_verify(source, spec, settings, console, out=out, group=group, limit=limit))
    Console(highlight=False, markup=False).print(table(tallies, group))


async def _verify(
    source: str,
    spec: str,
    settings: Settings,
    console: Console,
    *,
    out: Path | None,
    group: str | None,
    limit: int | None,
) -> Mapping[str, Tally]:
    """Verify all; the tally of all is first, under the empty name."""
    tallies = {"": Tally()}
    # A first look at all responses, before anything is started.
    for _ in read_responses(source, limit=limit):
        pass
    async with aclosing(load(spec, settings)) as verifier:
        count = check_all(read_responses(source, limit=limit), verifier)
        told = time.monotonic()
        responses = read_responses(source, limit=limit)
        with _writing(out) as file:
            async for response, verdict in judge(responses, verifier, at_once=settings.at_once):
                tallies[""].add(verdict)
                if group is not None:
                    tallies.setdefault(_value(response.row, group), Tally()).add(verdict)
                if file is not None:
                    file.write(_line(response, verdict, spec))
                if time.monotonic() - told >= _TELL_EVERY_S:
                    told = time.monotonic()
                    console.print(f"{tallies[''].count} of {count} verified")
    return tallies


@contextmanager
def _writing(path: Path | None) -> Iterator[BinaryIO | None]:
    """A file that is there, whole, at the end; or none.

    Raises:
        ConfigError: It can't be written.
    """
    if path is None:
        yield None
        return
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"--out {path}: {error.strerror}") from None


def _line(response: Response, verdict: Verdict, spec: str) -> bytes:
    line = {
        "id": response.id,
        "verifier": spec,
        "outcome": verdict.outcome.value,
        "score": verdict.score,
        "detail": verdict.detail,
    }
    return orjson.dumps(line) + b"\n"


def _value(row: Row, column: str) -> str:
    """The group that a response belongs to."""
    value = row.get(column)
    return "(none)" if value is None else str(value) or "(empty)"


def table(tallies: Mapping[str, Tally], group: str | None) -> Table:
    """Counts by outcome, and for each group.

    Args:
        tallies: Those of all under the empty name, first.
        group: The column that the others are of.
    """
    rows = Table(box=None, pad_edge=False, header_style="bold")
    rows.add_column(visible(group) if group else "")
    for name in ("responses", *(outcome.value for outcome in Outcome), "share right", "score"):
        rows.add_column(name, justify="right")
    for name, tally in sorted(tallies.items()):
        counts = [str(tally.outcomes[outcome]) for outcome in Outcome]
        score = tally.scores / tally.count if tally.count else 0.0
        shares = (f"{tally.right_share:.1%}", f"{score:.3f}")
        rows.add_row(visible(name) or "all", str(tally.count), *counts, *shares)
    return rows
