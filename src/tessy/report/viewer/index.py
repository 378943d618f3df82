"""The side index: what lists and filters need of each sample, and a full-text index of its words.

Records are large, so looking through the journal for every filter would take minutes with 100,000
samples. The index is a cache: it lies in the user's cache folder, never in the run's, is discarded
whenever it does not fit the journal, and can be deleted at any time. The journal is attached
read-only.

Words are numbered by rows of their own (`samples.words`), since those of a sample that was written
anew can't be taken out of a full-text index that does not keep the text; they are left behind.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

import orjson

from tessy.errors import ViewError
from tessy.method.trajectory import Failure
from tessy.report.viewer.facts import facts, searchable
from tessy.runs.folder import RunFolder

TOKENIZE = "unicode61"
_VERSION = 1
_SCHEMA = f"""
create table samples (
    position   integer primary key,   -- as in the journal, and so on
    id         text not null,
    reason     text,
    share      real,
    tokens     integer not null,
    discarded     integer not null,
    hand_overs integer not null,
    seconds    real not null,
    question   text not null,
    failed     integer not null,      -- how often it had failed before, and was written anew
    words      integer                -- its row in the full-text index; null until it is there
);
create index ids on samples (id);
create index reasons on samples (reason);
create index unread on samples (position) where words is null;
create virtual table words using fts5 (
    text, content = '', detail = none, tokenize = '{TOKENIZE}'
);
create table journal (path text not null);
pragma user_version = {_VERSION};
"""
_BUSY_S = 30.0
_PROOFS = 16


def index_path(folder: RunFolder) -> Path:
    """Where the index of a run lies."""
    name = hashlib.sha256(str(folder.journal.resolve()).encode()).hexdigest()[:32]
    return _cache_folder().absolute() / "view" / f"{name}.sqlite"


def _cache_folder() -> Path:
    """`$TESSY_CACHE`, else `tessy` in the user's cache folder."""
    if own := os.environ.get("TESSY_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "tessy"


class Index:
    """A run's index, open for bringing it up to date; in one thread at a time.

    Raises:
        ViewError: It can't be kept where it should lie.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.path = index_path(folder)
        self._journal = folder.journal.resolve()
        with self._told():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _forget_lost_runs(self.path.parent)
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
                for statement in _SCHEMA.split(";\n"):
                    connection.execute(statement)
                connection.execute("insert into journal values (?)", (str(self._journal),))
            connection.execute("commit")
            if version not in (0, _VERSION):
                raise sqlite3.DatabaseError(f"version {version}")
            connection.execute(f"attach '{_quoted(self._journal)}?mode=ro' as run")
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    def journal_version(self) -> int:
        """A number that changes whenever somebody writes to the journal."""
        with self._told():
            found: int = self._connection.execute("pragma run.data_version").fetchone()[0]
            return found

    def missing(self) -> list[int]:
        """Drop what the journal has no more, or has anew; then say which samples are missing.

        Returns:
            Positions, in order.
        """
        with self._transaction() as connection:
            if self._is_of_another_run():
                connection.execute("delete from samples")
            connection.execute(
                "delete from samples where position not in (select position from run.samples)"
            )
            connection.execute(
                "delete from samples where position in ("
                "select s.position from run.attempts a join run.samples s using (id)"
                " join main.samples m using (position) where m.failed != a.failed)"
            )
            rows = connection.execute(
                "select position from run.samples"
                " where position not in (select position from main.samples) order by position"
            )
            return [row[0] for row in rows]

    def _is_of_another_run(self) -> bool:
        """Whether samples that ended once took another time then: no two runs are so alike."""
        one_in = self._connection.execute(
            f"select max(count(*) / {_PROOFS}, 1) from main.samples"
        ).fetchone()[0]
        wrong = self._connection.execute(
            "select exists (select 1 from main.samples m join run.samples s using (position)"
            " where m.position % ? = 0 and m.reason is null"
            " and (m.seconds != s.seconds or m.id != s.id))",
            (one_in,),
        )
        return bool(wrong.fetchone()[0])

    def add(self, positions: Sequence[int]) -> None:
        """Take up the facts of some samples that ended."""
        with self._transaction() as connection:
            for position in positions:
                row = connection.execute(
                    # In the order in which a row lies on disk, or its pages are read twice.
                    "select s.id, s.reason, s.record, s.seconds, coalesce(a.failed, 0)"
                    " from run.samples s left join run.attempts a using (id) where position = ?",
                    (position,),
                ).fetchone()
                if row is None:  # taken out to be written anew, a moment ago
                    continue
                sample_id, reason, record, seconds, failed = row
                failure = Failure(reason) if reason else None
                found = facts(position, sample_id, failure, seconds, orjson.loads(record))
                connection.execute(
                    "insert or ignore into samples values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, null)",
                    (*astuple(found), failed),
                )

    def read(self, most: int) -> int:
        """Take up the words of some samples whose facts are there.

        Args:
            most: So many at once.

        Returns:
            How many it were; 0 if all are read.
        """
        with self._transaction() as connection:
            rows = connection.execute(
                "select m.position, s.record from main.samples m"
                " left join run.samples s using (position)"
                " where m.words is null order by m.position limit ?",
                (most,),
            ).fetchall()
            for position, record in rows:
                text = searchable(orjson.loads(record)) if record is not None else ""
                number = connection.execute("insert into words (text) values (?)", (text,))
                connection.execute(
                    "update samples set words = ? where position = ?", (number.lastrowid, position)
                )
            return len(rows)

    def counts(self) -> tuple[int, int]:
        """Samples whose facts are there; those of them whose words are not yet."""
        return self._pair("samples", "samples where words is null")

    def run_counts(self) -> tuple[int, int]:
        """Samples of the journal that ended; those under way."""
        return self._pair("run.samples", "(select distinct id from run.turns)")

    def _pair(self, one: str, other: str) -> tuple[int, int]:
        with self._told():
            found: tuple[int, int] = self._connection.execute(
                f"select (select count(*) from {one}), (select count(*) from {other})"
            ).fetchone()
            return found

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._told():
            self._connection.execute("begin immediate")
            try:
                yield self._connection
                self._connection.execute("commit")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("rollback")
                raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise ViewError(
                f"the index {self.path} can't be kept: {error}",
                hint="delete it if it is broken, or name a folder that you can write to: "
                "TESSY_CACHE=FOLDER",
            ) from error


def _quoted(path: Path) -> str:
    return path.as_uri().replace("'", "''")


def _forget_lost_runs(folder: Path) -> None:
    """Remove indexes whose run was deleted or moved: nobody would miss them."""
    for path in folder.glob("*.sqlite"):
        if not Path(_journal_of(path) or path).exists():
            _remove(path)


def _journal_of(path: Path) -> Any:
    """Which journal an index is of; None if it does not say."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute("select path from journal").fetchone()[0]
    except (sqlite3.Error, TypeError):
        return None


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
