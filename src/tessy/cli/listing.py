"""Prints a list of a run's samples, and how each ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tessy.cli.paint import named, unfinished
from tessy.display import visible_line
from tessy.report.viewer.filters import Filter, Status, VerdictFilter
from tessy.runs.folder import RunFolder
from tessy.runs.progress import right_of
from tessy.runs.reader import JournalReader
from tessy.runs.shard_reader import ListedSample
from tessy.verifiers.protocol import VerdictOutcome


def paint_list(
    console: Console, run: Path, wanted: Filter, limit: int, *, remote: bool = False
) -> None:
    """Print how many answers of a run are right, and its first samples and how each ended.

    Args:
        console: Where to print it.
        run: The run's folder.
        wanted: Which samples to list, by status and verdict.
        limit: The maximum number of samples to list.
        remote: The folder is a copy of a run at a URL.

    Raises:
        JournalError: The folder contains no run.
    """
    with JournalReader(RunFolder(run)) as reader:
        if (evaluated := RunFolder(run).run_toml.evaluated()) is not None:
            console.print(Text(f"evaluation of {visible_line(evaluated)}", style="bold"))
        totals = reader.totals()
        if (right := right_of(totals)) is not None:
            console.print(Text(f"right: {right}", style="bold"), soft_wrap=True)
        ended = (sample for sample in reader.listed() if _is_wanted(sample, wanted))
        shown = list(islice(ended, limit))
        every = totals.ended - len(shown)
        more = sum(1 for _ in ended) if wanted.narrows else every
        lacking = reader.lacking()
        running = reader.running() if _wants_running(wanted) else []
        is_empty = not shown and not running
        there = _kinds(reader.listed()) if is_empty and wanted.narrows else ""
    for sample in shown:
        console.print(Text.assemble(visible_line(sample.id), "  ", _end(sample)))
    running_shown = running[: limit - len(shown)]
    state = unfinished(run, remote=remote) if running_shown else ""
    for sample_id in running_shown:
        console.print(Text.assemble(visible_line(sample_id), "  ", (state, "yellow")))
    if lacking:
        console.print(Text(f"not complete: {lacking}", style="dim"))
    if more := more + len(running) - len(running_shown):
        console.print(Text(f"… and {more:,} more: --limit", style="dim"))
    elif is_empty:
        no_such = f"no such sample; there are {there or 'none that has ended'}"
        console.print(Text(no_such if wanted.narrows else "no sample has ended yet", style="dim"))


def _is_wanted(sample: ListedSample, wanted: Filter) -> bool:
    status = sample.failure or Status.FINISHED
    if wanted.status is Status.FAILED and sample.failure is None:
        return False
    if wanted.status not in (None, Status.FAILED, status):
        return False
    if sample.failure is None:
        return wanted.verdict in (None, sample.verdict or VerdictFilter.UNVERIFIED)
    return wanted.verdict in (None, sample.verdict)


def _wants_running(wanted: Filter) -> bool:
    return wanted.verdict is None and wanted.status in (None, Status.RUNNING)


def _kinds(samples: Iterable[ListedSample]) -> str:
    """How many samples there are of each status and verdict; failed ones may have a verdict."""
    ends, verdicts = Counter[str](), Counter[str]()
    for sample in samples:
        ends[sample.failure or Status.FINISHED] += 1
        if verdict := sample.verdict or (None if sample.failure else VerdictFilter.UNVERIFIED):
            verdicts[verdict] += 1
    if verdicts.keys() == {VerdictFilter.UNVERIFIED}:
        verdicts.clear()
    counts = [*ends.most_common(), *verdicts.most_common()]
    return ", ".join(f"{count:,} {visible_line(name)}" for name, count in counts)


def _end(sample: ListedSample) -> Text:
    """How a sample is listed: only a wrong answer and a failure are not green."""
    if sample.failure is not None:
        return Text(sample.failure, style="red")
    outcome = next((each for each in VerdictOutcome if each == sample.verdict), None)
    if outcome is None:
        return Text("finished", style="green")
    return Text.assemble("finished, ", named(outcome))
