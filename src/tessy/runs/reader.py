"""Reads the journals of a run as one, even while the run is active."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from itertools import islice
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, Self, TypeVar

from tessy.config import Config
from tessy.display import count_of
from tessy.errors import JournalError, RunMismatch
from tessy.method.trajectory import Failure
from tessy.runs.database import allow_open_files
from tessy.runs.folder import RunFolder, ShardFolder
from tessy.runs.missing import no_run
from tessy.runs.schema import EmptyJournal, Mark
from tessy.runs.shard_reader import (
    EndedSample,
    ListedSample,
    ShardReader,
    UnfinishedSample,
    total_of,
)
from tessy.runs.totals import EndedTotals
from tessy.runs.written import Written

T = TypeVar("T")
FILES = 3
"""Files that SQLite keeps open for a journal."""


class JournalReader:
    """The journals of a run's shards, open for reading as one, even while the run is active.

    Args:
        folder: The run's folder.
        still: No process works on the run, so that nothing need be created beside the journals.

    Raises:
        JournalError: There is no journal in the folder, one can't be read, or they are not of one
            run.
    """

    def __init__(self, folder: RunFolder, *, still: bool = False) -> None:
        self._stack, self._folder = ExitStack(), folder
        with ExitStack() as stack:
            self._shards: list[ShardReader] = []
            nothing: EmptyJournal | None = None
            shards = folder.started_shards()
            _refuse_too_many(folder, shards)
            allow_open_files(FILES * len(shards))
            for shard in shards:
                try:
                    self._shards.append(stack.enter_context(ShardReader(shard, still=still)))
                except EmptyJournal as error:  # another process is creating it
                    nothing = error
            if not self._shards and nothing is not None:
                raise nothing
            if not self._shards:
                what, hint = no_run(folder.path)
                raise EmptyJournal(what, hint=hint)
            self._refuse_strangers()
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *found: Any) -> None:
        self._stack.__exit__(*found)

    def refuse_others(self, identity: str) -> None:
        """Make sure that all shards are of a run.

        Args:
            identity: What all shards of the run share; see `RunToml.identity`.

        Raises:
            RunMismatch: One was written with other settings or other questions.
        """
        for shard in self._shards:
            if shard.mark(Mark.IDENTITY) != identity and any(shard.counts()):
                raise RunMismatch(
                    f"{shard.path} was written with other settings or other questions than "
                    f"{shard.path.parent.parent.parent / 'run.toml'} says",
                    hint="put back the shard that belongs there, or give another --out",
                )

    def _refuse_strangers(self) -> None:
        known: tuple[str, Path] | None = None
        for shard in self._shards:
            identity = shard.mark(Mark.IDENTITY)
            if identity is None:
                continue
            if known is not None and known[0] != identity:
                raise JournalError(
                    f"{shard.path} was written with other settings or other questions than "
                    f"{known[1]}",
                    hint="put back the shard that belongs there",
                )
            known = (identity, shard.path)

    def ended(self, *, failed: bool | None = None) -> Iterator[EndedSample]:
        """Samples that ended, in the order of the questions.

        Args:
            failed: Only failed (True) or only finished (False) samples; None for both.

        Raises:
            JournalError: A sample is not as a run writes it; likewise from the methods below.
        """
        return self._merged(shard.ended(failed) for shard in self._shards)

    def records(self) -> Iterator[dict[str, Any]]:
        """The records of finished samples, in the order of the questions."""
        return self._merged(shard.records() for shard in self._shards)

    def lines(self, *, failed: bool) -> Iterator[bytes]:
        """The records of failed or of finished samples as lines of JSON, in order."""
        return self._merged(shard.lines(failed) for shard in self._shards)

    def listed(self) -> Iterator[ListedSample]:
        """How each sample ended, in the order of the questions; no record is read whole."""
        return self._merged(shard.listed() for shard in self._shards)

    def ended_sample(self, sample_id: str) -> EndedSample | None:
        """A sample that ended; None if it has not, or does not exist."""
        found = (shard.ended_sample(sample_id) for shard in self._shards)
        return next((sample for sample in found if sample is not None), None)

    def written(self, sample_id: str) -> Written:
        """What was written of an unfinished sample; empty if there is nothing."""
        found = (shard.written(sample_id) for shard in self._shards)
        return next((written for written in found if written.keys), Written())

    def ids(self, limit: int) -> list[tuple[str, Failure | None]]:
        """The ids of the first samples that ended, with the reason if a sample failed."""
        rows = heapq.merge(*(shard.ids(limit) for shard in self._shards), key=itemgetter(0))
        several = islice(rows, limit) if limit >= 0 else rows
        return [(sample_id, reason) for _, sample_id, reason in several]

    def reasons(self) -> Counter[Failure | None]:
        """How many samples failed for each reason, and with None how many finished."""
        return sum((shard.reasons() for shard in self._shards), Counter[Failure | None]())

    def totals(self) -> EndedTotals:
        """What the samples that ended come to; it reads every record."""
        found = EndedTotals(
            evaluation=self._folder.run_toml.evaluated() is not None,
            verifier=self._folder.run_toml.verifier() is not None,
        )
        for shard in self._shards:
            found.add(shard.totals())
        return found

    def replaced_tokens(self) -> int:
        """Tokens of failures that were replaced; see `Mark.REPLACED_TOKENS`."""
        return sum(shard.replaced_tokens() for shard in self._shards)

    def total(self) -> int | None:
        """How many samples its shards have, ended or not; None if one does not say it."""
        return total_of(self._shards)

    def left_out(self) -> int:
        """How many lines of its questions a limit left out."""
        return min((shard.left_out() for shard in self._shards), default=0)

    def unverifiable(self) -> int:
        """How many of its questions lack what an answer is verified by."""
        return max((shard.unverifiable() for shard in self._shards), default=0)

    def again(self) -> set[str]:
        """The ids of samples that were written again after a failure."""
        return {sample_id for shard in self._shards for sample_id in shard.again()}

    def waiting_ids(self) -> set[str]:
        """The ids of failed samples that are still to be written again."""
        return {sample_id for shard in self._shards for sample_id in shard.waiting_ids()}

    def lacking(self, ended: int | None = None) -> str | None:
        """What the run has not yet, in a phrase; None if all samples ended, or none is known of.

        Args:
            ended: How many samples ended, as far as the caller knows; by default as of now.
        """
        shards = self._folder.run_toml.shard_count() or len(self._shards)
        if (others := shards - len(self._shards)) > 0:
            were = "was" if others == 1 else "were"
            return f"{others:,} of {count_of(shards, 'shard')} {were} not started"
        total = self.total()
        ended = sum(shard.counts()[0] for shard in self._shards) if ended is None else ended
        left = 0 if total is None else total - ended
        found = []
        if total is not None and left > 0:
            have = "has" if left == 1 else "have"
            found.append(f"{left:,} of {count_of(total, 'sample')} {have} not ended")
        if waiting := len(self.waiting_ids()):
            found.append(f"{count_of(waiting, 'failed sample')} still to be written again")
        return "; ".join(found) or None

    def unfinished(self, part: str = "", *, limit: int, offset: int = 0) -> list[UnfinishedSample]:
        """Samples that were started and have not ended, in the order of their ids.

        Args:
            part: Only samples whose id contains this text.
            limit: The maximum number of samples to return.
            offset: The number of samples to skip.
        """
        found = [shard.unfinished(part, limit + offset) for shard in self._shards]
        rows = heapq.merge(*found, key=attrgetter("id"))
        return list(islice(rows, offset, offset + limit))

    def running(self) -> list[str]:
        """The ids of all samples that were started and have not ended, in order."""
        return sorted(sample_id for shard in self._shards for sample_id in shard.running())

    def _merged(self, found: Iterable[Iterator[tuple[int, T]]]) -> Iterator[T]:
        last = -1
        for position, value in heapq.merge(*found, key=itemgetter(0)):
            if position == last:
                raise JournalError(f"two shards hold the sample at position {position}")
            last = position
            yield value


def _refuse_too_many(folder: RunFolder, shards: list[ShardFolder]) -> None:
    """Refuse shards beyond the number that the run has.

    Raises:
        JournalError: There is such a shard.
    """
    with suppress(RunMismatch):  # what the journals hold can be read without settings
        count = folder.run_toml.shard_count()
        if count is not None and shards and shards[-1].number >= count:
            raise JournalError(
                f"{shards[-1].path}: the run has {count_of(count, 'shard')}, counted from 0",
                hint="move it elsewhere: it belongs to another run",
            )


def is_begun(folder: RunFolder, *, still: bool = False) -> bool:
    """Whether the journals of a run contain anything other than bad lines.

    Args:
        folder: The run's folder.
        still: As for `JournalReader`.

    Raises:
        JournalError: A journal can't be read.
    """
    for shard in folder.started_shards():
        with suppress(EmptyJournal), ShardReader(shard, still=still) as reader:
            if reader.is_begun():
                return True
    return False


def ended_in(
    folder: RunFolder, config: Config, questions: str, digest: str
) -> dict[str, Failure | None] | None:
    """The samples that ended in a folder, as a run that starts there finds them.

    Nothing is created or changed.

    Args:
        folder: The folder, which need not exist.
        config: The run's settings.
        questions: The source of the questions.
        digest: The digest of the questions.

    Returns:
        Their ids, with the reason if a sample failed; None if nothing was written there.

    Raises:
        TessyError: A run would refuse to start there.
    """
    folder.check_place()
    if not is_begun(folder, still=True):
        return None
    with JournalReader(folder, still=True) as journal:
        waiting = journal.waiting_ids()
        ended = {name: why for name, why in journal.ids(-1) if name not in waiting}
    folder.run_toml.refuse_other_run(config, questions, digest)
    folder.refuse_lost_journal(sum(reason is None for reason in ended.values()))
    return ended
