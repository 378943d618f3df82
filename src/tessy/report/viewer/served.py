"""The runs that a viewer shows: each with its index, its reviews and what it came to."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tessy.errors import JournalError, RunMismatch, TessyError
from tessy.report.viewer.filters import Filter
from tessy.report.viewer.search import SampleList, Search
from tessy.report.viewer.totals import SampleTotals
from tessy.report.viewer.updates import IndexState, IndexUpdater
from tessy.runs.folder import CANARY, RunFolder
from tessy.runs.missing import no_run
from tessy.runs.reviews import ReviewCache

_DEEPEST = 4
"""Folders within a folder that are looked into for runs."""


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A run to show.

    Attributes:
        name: What it is called among the others.
        path: Its folder.
        remote: It is a copy of a run at a URL.
    """

    name: str
    path: Path
    remote: bool = False


def find_runs(places: Sequence[tuple[str, Path, bool]]) -> list[FoundRun]:
    """The runs at some places: a run's folder, or a folder with runs in it.

    Args:
        places: What the user wrote, the folder, and whether it is a copy of one at a URL.

    Raises:
        JournalError: There is no run at one of them.
    """
    found: dict[Path, FoundRun] = {}
    for name, path, remote in places:
        if _is_run(path):
            here = [FoundRun(name, path, remote)]
        else:
            inside = _runs_in(path, _DEEPEST) if path.is_dir() else ()
            here = [FoundRun(str(each.relative_to(path)), each) for each in inside]
        if not here:
            what, hint = no_run(path)
            raise JournalError(f"{what}, and no run is in it" if path.is_dir() else what, hint=hint)
        for run in here:
            found.setdefault(run.path.resolve(), run)
    return list(found.values())


def _is_run(path: Path) -> bool:
    return bool(RunFolder(path).started_shards())


def _runs_in(path: Path, depth: int) -> Iterator[Path]:
    try:
        inside = sorted(each for each in path.iterdir() if each.is_dir() and not each.is_symlink())
    except OSError:
        return
    for each in inside:
        with suppress(JournalError):  # of another version
            if _is_run(each):
                yield each
                if _is_run(each / CANARY):
                    yield each / CANARY
            elif depth > 1:
                yield from _runs_in(each, depth - 1)


class ViewedRun:
    """A run, its index and its reviews.

    Args:
        number: Its place among the runs, from 0.
        found: Where it is.
        read_only: Readers can't decide anything.

    Attributes:
        number: Its place among the runs, from 0.
        name: What it is called among the others.
        folder: Its folder.
        writable: Readers can decide about samples.
        updater: Of its index.
        search: Of its index.
        reviews: What readers decided.

    Raises:
        JournalError: There is no run.
        ViewError: The index can't be kept.
    """

    def __init__(self, number: int, found: FoundRun, *, read_only: bool) -> None:
        self.number = number
        self.name = found.name
        self.folder = RunFolder(found.path)
        self.writable = not (read_only or found.remote) and os.access(found.path, os.W_OK)
        self.updater = IndexUpdater(self.folder, remote=found.remote)
        self.reviews = ReviewCache(found.path)
        self.search = Search(
            self.updater.index_path,
            self.reviews,
            several=self.folder.run_toml.samples_per_question,
            evaluation=lambda: self.evaluated is not None,
        )
        self._totals: tuple[IndexState, SampleTotals] | None = None

    @property
    def evaluated(self) -> str | None:
        """The model that it is an evaluation of; None for another run."""
        return self.folder.run_toml.evaluated()

    @property
    def verifier(self) -> str | None:
        """The verifier that it names; None without one."""
        return self.folder.run_toml.verifier()

    @property
    def method(self) -> str | None:
        """Its method, or what it evaluates; None if `run.toml` can't be read."""
        if (model := self.evaluated) is not None:
            return f"evaluation of {model}"
        with suppress(RunMismatch):  # the samples can be shown without
            return self.folder.run_toml.method()
        return None

    @property
    def models(self) -> dict[str, str]:
        """Its models' names, by role; empty if they are not known."""
        if (model := self.evaluated) is not None:
            return {"evaluated": model}
        with suppress(RunMismatch):
            return {str(role): str(name) for role, name in self.folder.run_toml.models().items()}
        return {}

    def totals(self) -> SampleTotals:
        """What all samples come to; kept until something changes."""
        state = self.updater.state
        if self._totals is None or self._totals[0] != state:
            self._totals = state, self.search.totals(Filter())
        return self._totals[1]

    def page(self, wanted: Filter, number: int) -> SampleList:
        """A page of the samples of a filter; see `Search.page`."""
        return self.search.page(wanted, number, None if wanted.narrows else self.totals())


class ViewedRuns:
    """All runs that are shown, in the order in which they were found.

    Args:
        places: What the user wrote, the folder, and whether it is a copy of one at a URL.
        read_only: Readers can't decide anything.

    Raises:
        JournalError: There is no run at one of them.
        ViewError: An index can't be kept.
    """

    def __init__(self, places: Sequence[tuple[str, Path, bool]], *, read_only: bool) -> None:
        found = find_runs(places)
        self._folders = not {path.resolve() for _, path, _ in places} <= {
            run.path.resolve() for run in found
        }
        self._places = places
        self._read_only = read_only
        self._looking = asyncio.Lock()
        self._runs = [ViewedRun(n, run, read_only=read_only) for n, run in enumerate(found)]

    def __iter__(self) -> Iterator[ViewedRun]:
        return iter(self._runs)

    def __len__(self) -> int:
        return len(self._runs)

    def __getitem__(self, number: int) -> ViewedRun:
        return self._runs[number]

    @property
    def single(self) -> bool:
        """Whether there is one run, and no more can begin."""
        return len(self._runs) == 1 and not self._folders

    async def look(self) -> None:
        """Add the runs that have begun in a folder of runs."""
        if not self._folders:
            return
        async with self._looking:
            for found in await asyncio.to_thread(self._new):
                with suppress(TessyError):  # its journal is not complete yet
                    number, read_only = len(self._runs), self._read_only
                    run = await asyncio.to_thread(ViewedRun, number, found, read_only=read_only)
                    await run.updater.start(at_once=False)
                    self._runs.append(run)

    def _new(self) -> list[FoundRun]:
        known = {run.folder.path.resolve() for run in self._runs}
        new: list[FoundRun] = []
        for place in self._places:
            with suppress(TessyError):  # it is gone
                new += [run for run in find_runs([place]) if run.path.resolve() not in known]
        return new

    async def start(self) -> None:
        """Start to keep the indexes; the first page of a single run has rows at once."""
        started: list[ViewedRun] = []
        try:
            for run in self._runs:
                await run.updater.start(at_once=len(self._runs) == 1)
                started.append(run)
        except BaseException:
            await _close(started)
            raise

    async def close(self) -> None:
        """Stop keeping the indexes, and end the pages' streams."""
        async with self._looking:
            await _close(self._runs)


async def _close(runs: Iterable[ViewedRun]) -> None:
    found = await asyncio.gather(*(run.updater.close() for run in runs), return_exceptions=True)
    for error in found:
        if isinstance(error, BaseException) and not isinstance(error, TessyError):
            raise error
