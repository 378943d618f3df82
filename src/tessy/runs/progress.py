"""Shows the progress of a run: a live table on a terminal, otherwise a line now and then."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from copy import copy
from enum import StrEnum
from pathlib import Path

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tessy.display import count_of, visible, visible_line
from tessy.method.trajectory import Failure, Role
from tessy.palette import TERMINAL
from tessy.runs.counters import Counters, RunResult
from tessy.runs.totals import EndedTotals, TokenTotals

_FAULTS = {
    "Unreachable": "no connection",
    "TimedOut": "no answer in time",
    "BadResponse": "broken answers",
    "ServerFailure": "errors of the server",
    "Refused": "refusals",
}
"""What a summary calls the errors of calls that were made again."""


class Show(StrEnum):
    """How to show the progress."""

    AUTO = "auto"
    """A live table on a terminal, otherwise as `PLAIN`."""
    PLAIN = "plain"
    """A plain line every few seconds."""
    QUIET = "quiet"
    """Nothing but errors."""


class Progress:
    """Shows the progress of a run.

    Args:
        show: How to show it.
        console: The console to print to; by default standard error.
        every_s: Seconds between two plain lines.
    """

    def __init__(
        self, show: Show = Show.AUTO, console: Console | None = None, every_s: float = 15.0
    ) -> None:
        self.console = console or _StandardError(stderr=True)
        self._show = show
        self._every_s = every_s
        self._summarises = True

    def say(self, line: str) -> None:
        """Print a line, unless quiet."""
        if self._show is not Show.QUIET:
            self.console.print(Text(visible(line)), style="dim", soft_wrap=True)

    @asynccontextmanager
    async def watching(self, counters: Counters) -> AsyncIterator[None]:
        """Show counters while the context is open."""
        if self._show is Show.QUIET:
            yield
        elif self._show is Show.AUTO and self.console.is_terminal:
            with Live(_Panel(counters), console=self.console, refresh_per_second=4):
                try:
                    yield
                finally:
                    counters.over = True
        else:
            task = asyncio.create_task(self._lines(counters))
            try:
                yield
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
                counters.over = True
                self.say(plain_line(counters))

    async def _lines(self, counters: Counters) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            self.say(plain_line(counters))

    def without_summary(self) -> Progress:
        """The same, for a run whose folder is deleted at its end: `summarise` prints nothing."""
        other = copy(self)
        other._summarises = False
        return other

    def summarise(self, result: RunResult) -> None:
        """Print the summary of a run, unless quiet."""
        if self._show is not Show.QUIET and self._summarises:
            self.console.print(summary(result))


class _StandardError(Console):
    def on_broken_pipe(self) -> None:
        """Be quiet once nobody reads any more, as after `2>&1 | head`: the run goes on."""
        self.quiet = True
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stderr.fileno())


class _Panel:
    """The live table."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def __rich__(self) -> RenderableType:
        counters = self._counters
        table = Table.grid(padding=(0, 2))
        table.add_row(
            ProgressBar(total=max(counters.total, 1), completed=counters.ended, width=30),
            f"{counters.ended:,} of {counters.total:,}",
            f"{counters.failed.total():,} failed",
            _running(counters),
            ", ".join([f"{duration(counters.seconds)} elapsed", *_to_go(counters)]),
        )
        speeds = Table.grid(padding=(0, 2))
        speeds.add_row(
            *(Text(speed, style=TERMINAL[role]) for role, speed in _speeds(counters)),
            *_shares_so_far(counters),
            *_bound(counters),
        )
        outer = Table.grid()
        outer.add_row(table)
        outer.add_row(speeds)
        for line in _retrying(counters):
            outer.add_row(Text(line, style="yellow"))
        return outer


def _shares(tokens: TokenTotals) -> list[str]:
    both = len(tokens.writers) > 1
    return [
        *([f"teacher share {percent(tokens.teacher_share)}"] if both else []),
        f"discarded {percent(tokens.discarded_share)}",
        f"{number(tokens.tokens_a_request)} tokens a request",
    ]


def _shares_so_far(counters: Counters) -> list[str]:
    """Those of this start; at its end, the summary has those of the data set."""
    return [] if counters.over else _shares(counters)


def _running(counters: Counters) -> str:
    waiting = 0 if counters.over else min(counters.paused, counters.running)
    paused = f" ({waiting:,} of them paused)" if waiting else ""
    return f"{counters.running:,} running{paused}"


def _bound(counters: Counters) -> list[str]:
    if counters.over or counters.retrying or not counters.bound:
        return []
    return [f"bound by the {counters.bound}"]


def _retrying(counters: Counters) -> list[str]:
    """What waits for servers that fail."""
    if counters.over:
        return []
    return [
        f"{name}'s server fails or does not answer: {count_of(calls, 'call')} will be made again"
        for name, calls in sorted(counters.retrying.items())
    ]


def _to_go(counters: Counters) -> list[str]:
    return [] if counters.eta_s is None else [f"{duration(counters.eta_s)} to go"]


def _speeds(counters: Counters) -> Iterator[tuple[Role, str]]:
    named = {counters.called[role]: role for role in reversed(counters.writers)}
    for name, role in reversed(named.items()):  # an evaluation has one model for both roles
        yield role, f"{name} {counters.tokens_a_second(role):,.0f} tokens/s"


def plain_line(counters: Counters) -> str:
    """The state of a run in one line, for logs."""
    speeds = ", ".join(speed for _, speed in _speeds(counters))
    parts = [
        f"{counters.ended:,} of {counters.total:,} done",
        f"{counters.failed.total():,} failed",
        _running(counters),
        speeds,
        *_shares_so_far(counters),
        *_bound(counters),
        *_to_go(counters),
        *_retrying(counters),
    ]
    return ", ".join(parts)


def summary(result: RunResult) -> Table:
    """The table at the end of a run."""
    counters, ended = result.counters, result.ended
    wrote = any(counters.generated.values())
    title = "stopped: the same command resumes it" if result.stopped else None
    left = result.remaining + ended.waiting
    if counters.ended == counters.ended_before and not (wrote or left):
        title = "nothing was left to write"
    table = Table(title=title, box=None)
    table.add_column(style="dim")
    table.add_column()
    if (right := right_of(ended)) is not None:
        table.add_row("right", Text(right, style="bold"))
    table.add_row("samples", result.accounts, end_section=True)
    for failure, count in sorted(ended.failed.items()):
        table.add_row("", f"{count:,} {failure}")
    if ended.waiting:
        table.add_row("", f"{ended.waiting:,} of them still to be written again")
    if result.begun_beyond:
        begun = count_of(result.begun_beyond, "more sample")
        table.add_row("", f"{begun} to do, of questions beyond the limit that were begun")
    if result.left_out:
        table.add_row("", f"{count_of(result.left_out, 'more line')} of the questions left out")
    if ended.teachers:
        told = ", ".join(f"{n:,} with {name}" for name, n in sorted(ended.teachers.items()))
        table.add_row("teachers", Text(visible_line(f"finished: {told}")))
    if any(ended.tokens.generated.values()):
        for role in ended.tokens.writers:
            kept, discarded = ended.tokens.kept[role], ended.tokens.discarded[role]
            line = f"{kept:,} tokens kept, {discarded:,} discarded"
            table.add_row(str(role), Text(line, style=TERMINAL[role]))
        table.add_row("", ", ".join(_shares(ended.tokens)))
    if ended.lost or ended.replaced:
        parts = [f"{ended.lost:,} tokens in failed samples"]
        if ended.replaced:
            parts.append(f"{ended.replaced:,} in failures that were written again")
        parts[-1] += f": {percent(ended.lost_share)} of all"
        for label, part in zip(("lost", ""), parts, strict=False):
            table.add_row(label, part)
    for name, faults in counters.faults.items():
        met = ", ".join(f"{_FAULTS.get(kind, kind)} {n:,}" for kind, n in sorted(faults.items()))
        if met:
            table.add_row(f"{name}'s server", f"faults met: {met}")
    before = counters.ended_before - counters.failed[Failure.BAD_QUESTION]
    if wrote and (before > 0 or left):
        table.add_row("this start", _of_this_start(result))
    label = "time of this start" if wrote and before > 0 else "time"
    table.add_row(label, duration(result.seconds))
    place = visible_line(result.shown(result.dataset))
    if result.dataset.suffix == ".parquet":
        place += " (not in order: tessy merge)"
    table.add_row("data set", Text(place))
    if ended.failed:
        table.add_row(
            "failures", Text(visible_line(result.shown(result.dataset.with_name("failures.jsonl"))))
        )
    return table


def right_of(ended: EndedTotals) -> str | None:
    """How many answers are right, in a line; None without a verifier.

    Args:
        ended: The samples that ended.
    """
    if ended.accuracy is None:
        return "no answer was verified" if ended.verifier and ended.ended else None
    failed, unverified = ended.failed_wrong, ended.finished - (ended.verified - ended.failed_wrong)
    aside = [f"{failed:,} {'failed' if ended.evaluation else 'rejected'}"] if failed else []
    aside += [f"{unverified:,} not verified"] if unverified else []
    if errors := ended.verdicts["error"]:
        aside.append(f"{errors:,} of them verifier errors")
    if ended.again and not ended.evaluation:
        aside.append(f"{ended.again:,} written again after a failure")
    which = "measured" if ended.evaluation else "verified"
    said = f"{ended.verdicts['right']:,} of {ended.verified:,} {which}: {percent(ended.accuracy)}"
    return f"{said} ({', '.join(aside)})" if aside else said


def _of_this_start(result: RunResult) -> str:
    """What this start added; tokens of samples that have not ended count here alone."""
    counters = result.counters
    # One may end just when the run is stopped.
    ended = max(counters.ended, result.ended.ended - result.ended.waiting)
    tokens, samples = sum(counters.generated.values()), ended - counters.ended_before
    return f"{tokens:,} tokens generated, {count_of(samples, 'sample')} ended"


def short_summary(result: RunResult) -> str:
    """The result of a run in one line."""
    return visible_line(result.in_a_line())


def percent(share: float | None) -> str:
    """A share as a percentage."""
    return "–" if share is None else f"{100 * share:.1f}%"


def number(value: float | None) -> str:
    """A number with one decimal."""
    return "–" if value is None else f"{value:.1f}"


def duration(seconds: float | None) -> str:
    """Seconds in a readable form, such as `3 min 05 s`."""
    if seconds is None:
        return "–"
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
