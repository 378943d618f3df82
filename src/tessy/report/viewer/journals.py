"""The journals of a run that is shown: those of shards that begin later are found, too."""

from __future__ import annotations

from contextlib import ExitStack, suppress

from tessy.errors import RunMismatch
from tessy.runs.database import allow_open_files
from tessy.runs.folder import RunFolder
from tessy.runs.reader import FILES
from tessy.runs.schema import EmptyJournal
from tessy.runs.shard_reader import ShardReader, total_of


class Journals:
    """The journals of a run, open for reading by one thread at a time.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._shards: dict[int, ShardReader] = {}

    def close(self) -> None:
        """Close them."""
        self._stack.close()

    def readers(self) -> dict[int, ShardReader]:
        """The journals of all shards that were started, by number."""
        shards = self._folder.started_shards()
        allow_open_files(2 * FILES * len(shards))
        for shard in shards:
            if shard.number not in self._shards:
                with suppress(EmptyJournal):  # another process is creating it
                    reader = ShardReader(shard, any_thread=True)
                    self._shards[shard.number] = self._stack.enter_context(reader)
        return self._shards

    def version(self) -> int:
        """A number that changes whenever a journal of the run is written to."""
        return sum(reader.data_version() for reader in self.readers().values())

    def counts(self) -> tuple[int, int]:
        """How many samples of the run ended, and how many are under way."""
        counts = [reader.counts() for reader in self.readers().values()]
        return sum(ended for ended, _ in counts), sum(running for _, running in counts)

    def total(self) -> int | None:
        """How many samples the run will have; None if not all of its shards were begun."""
        readers = self.readers().values()
        return total_of(readers) if len(readers) == self._shard_count() else None

    def waiting(self) -> int:
        """How many failed samples are still to be written again."""
        return sum(len(reader.waiting_ids()) for reader in self.readers().values())

    def again(self) -> int:
        """How many samples were written again after a failure."""
        return sum(len(reader.again()) for reader in self.readers().values())

    def replaced_tokens(self) -> int:
        """Tokens of failures that were replaced; see `Mark.REPLACED_TOKENS`."""
        return sum(reader.replaced_tokens() for reader in self.readers().values())

    def shards_left(self) -> int:
        """How many shards of the run were not begun."""
        return max(0, self._shard_count() - len(self.readers()))

    def left_out(self) -> int:
        """How many lines of its questions a limit left out."""
        return min((reader.left_out() for reader in self.readers().values()), default=0)

    def _shard_count(self) -> int:
        try:
            return self._folder.run_toml.shard_count() or 1
        except RunMismatch:  # run.toml can't be read
            return 1
