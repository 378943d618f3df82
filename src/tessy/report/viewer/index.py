"""The index: what lists and filters need of each sample, and a full-text index of its words.

Records are large, so looking through the journals for every filter would take minutes with 100,000
samples. The index is a cache: it is in the user's cache folder, never in the run's, is made again
whenever it does not fit a journal, and can be deleted at any time. It notes how far it has read
each journal, by the numbers of the journal's transactions.

Words have row numbers of their own (`samples.words`): a full-text index that does not keep the
text can't delete the words of a sample that was written again, so they stay under a number that
no sample has.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

from tessy.data.cache import cache_folder
from tessy.errors import JournalError, ViewError
from tessy.report.viewer.indexed import SCHEMA, VERSION, IndexRow, searchable
from tessy.report.viewer.journals import Journals
from tessy.runs.contents import a_count, reading
from tessy.runs.contents import seconds as a_time
from tessy.runs.database import BROKEN, harden
from tessy.runs.folder import RunFolder
from tessy.runs.schema import Mark
from tessy.runs.shard_reader import ShardReader, checked_record

_BUSY_S = 30.0


def index_path(folder: RunFolder) -> Path:
    """Where the index of a run is."""
    name = hashlib.sha256(str(folder.path.resolve()).encode()).hexdigest()[:32]
    return cache_folder().absolute() / "view" / f"{name}.sqlite"


class Index:
    """A run's index, open for updates; used by one thread at a time.

    Args:
        folder: The run's folder.

    Attributes:
        path: The index's file.
        journals: The run's journals.

    Raises:
        ViewError: It can't be kept where it should be.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.path = index_path(folder)
        self._folder = folder
        self.journals = Journals(folder)
        with self._errors():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _remove_lost(self.path.parent)
            try:
                self._connection = self._open()
            except sqlite3.OperationalError:  # such as a full disk
                raise
            except sqlite3.DatabaseError:  # of another version, or garbage: it is only a cache
                _remove(self.path)
                self._connection = self._open()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self.path.as_uri()}?mode=rwc",
            uri=True,
            isolation_level=None,
            timeout=_BUSY_S,
            check_same_thread=False,
        )
        try:
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")
            connection.execute("begin immediate")
            version = connection.execute("pragma user_version").fetchone()[0]
            if version == 0:
                for statement in SCHEMA.split(";\n"):
                    connection.execute(statement)
                path = str(self._folder.path.resolve())
                connection.execute("insert into run values (?)", (path,))
            connection.execute("commit")
            if version not in (0, VERSION):
                raise sqlite3.DatabaseError(f"version {version}")
            harden(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """Close it."""
        self.journals.close()
        self._connection.close()

    def add(self, most: int) -> int:
        """Add the rows of samples that ended since the last call, or were written again.

        Args:
            most: How many samples at most.

        Returns:
            How many samples it were; 0 if all are here.
        """
        left = most
        with self._transaction() as connection:
            readers = self.journals.readers()
            self._remove_others(connection, readers)
            for number, reader in readers.items():
                if left:
                    left -= self._add(connection, number, reader, left)
        return most - left

    def _remove_others(
        self, connection: sqlite3.Connection, readers: dict[int, ShardReader]
    ) -> None:
        """Remove what is of other journals: those of another run that was in the folder."""
        journals = {number: reader.mark(Mark.JOURNAL) or "" for number, reader in readers.items()}
        known = dict(connection.execute("select number, journal from shards"))
        for number in known.keys() - {n for n in known if journals.get(n) == known[n]}:
            connection.execute("delete from samples where shard = ?", (number,))
            connection.execute("delete from shards where number = ?", (number,))
        connection.executemany("insert or ignore into shards values (?, ?, 0)", journals.items())

    def _add(
        self, connection: sqlite3.Connection, shard: int, reader: ShardReader, most: int
    ) -> int:
        """Add rows of a shard; returns how many."""
        (since,) = connection.execute(
            "select change from shards where number = ?", (shard,)
        ).fetchone()
        for sample_id, change in reader.replaced_since(since):
            connection.execute(
                "delete from samples where id = ? and shard = ? and change < ?",
                (sample_id, shard, change),
            )
        added = 0
        for position, change in reader.ended_since(since):
            there = connection.execute(
                "select 1 from samples where position = ? and shard = ? and change = ?",
                (position, shard, change),
            ).fetchone()
            if there is None:
                if added == most:
                    break
                self._add_row(connection, shard, reader, position)
                added += 1
            since = change
        connection.execute("update shards set change = ? where number = ?", (since, shard))
        return added

    def _add_row(
        self, connection: sqlite3.Connection, shard: int, reader: ShardReader, position: int
    ) -> None:
        if (found := reader.sample_row(position)) is None:  # of a file that was changed by hand
            return
        sample_id, reason, blob, seconds, requests, change = found
        made = checked_record(reader.path, sample_id, reason, blob)
        with reading(f"{reader.path}: the row of {sample_id!r}"):
            calls = a_count(requests, "requests")
            row = IndexRow.of(position, sample_id, reason, a_time(seconds), calls, made)
        held = connection.execute("select shard from samples where position = ?", (position,))
        if (other := held.fetchone()) is not None and other[0] != shard:
            raise JournalError(f"two shards hold the sample at position {position}")
        position, sample_id, *more = astuple(row)
        connection.execute(
            f"insert or replace into samples values (?, ?, ?, ?{', ?' * len(more)}, null)",
            (position, sample_id, shard, change, *more),
        )

    def add_words(self, most: int) -> int:
        """Add the words of some samples whose rows are here.

        Args:
            most: How many samples at most.

        Returns:
            How many samples it were; 0 if all words are here.
        """
        with self._transaction() as connection:
            rows = connection.execute(
                "select position, shard from samples where words is null order by position limit ?",
                (most,),
            ).fetchall()
            readers = self.journals.readers()
            for position, shard in rows:
                reader = readers.get(shard)
                found = reader.sample_row(position) if reader else None
                text = ""  # of one that was replaced since
                if reader is not None and found is not None:
                    text = searchable(checked_record(reader.path, *found[:3]))
                number = connection.execute("insert into words (text) values (?)", (text,))
                connection.execute(
                    "update samples set words = ? where position = ?", (number.lastrowid, position)
                )
            return len(rows)

    def counts(self) -> tuple[int, int]:
        """How many samples are here, and how many of them without their words."""
        with self._errors():
            found: tuple[int, int] = self._connection.execute(
                "select (select count(*) from samples),"
                " (select count(*) from samples where words is null)"
            ).fetchone()
            return found

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._errors():
            self._connection.execute("begin immediate")
            try:
                yield self._connection
                self._connection.execute("commit")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("rollback")
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except JournalError:  # which is an OSError
            raise
        except (*BROKEN, OSError) as error:
            raise ViewError(
                f"the index {self.path} can't be kept: {error}",
                hint="delete it if it is broken, or name a folder that you can write to: "
                "TESSY_CACHE=FOLDER",
            ) from error


def _remove_lost(folder: Path) -> None:
    """Remove indexes whose run was deleted or moved."""
    for path in folder.glob("*.sqlite"):
        if not Path(_run_of(path) or path).exists():
            _remove(path)


def _run_of(path: Path) -> Any:
    """The folder of the run that an index is of; None if that is not known."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute("select path from run").fetchone()[0]
    except (sqlite3.Error, TypeError):
        return None


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
