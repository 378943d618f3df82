"""The index: what lists and filters need of each sample, and a full-text index of its words.

Records are large, so looking through the journal for every filter would take minutes with 100,000
samples. The index is a cache: it is in the user's cache folder, never in the run's, is made again
whenever it does not fit the journal, and can be deleted at any time. The journal is attached
read-only.

Words have row numbers of their own (`samples.words`): a full-text index that does not keep the
text can't delete the words of a sample that was written again, so they stay under a number that
no sample has.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from tessy.data.record import MARKERS
from tessy.errors import JournalError, ViewError
from tessy.method.trajectory import Failure
from tessy.runs.contents import reading
from tessy.runs.contents import seconds as a_time
from tessy.runs.database import BROKEN, harden
from tessy.runs.folder import RunFolder
from tessy.runs.reader import checked_record

TOKENIZE = "unicode61"
_VERSION = 1
_SCHEMA = f"""
create table samples (
    position   integer primary key,   -- in the order of the questions
    id         text not null,
    reason     text,
    share      real,
    tokens     integer not null,
    discarded  integer not null,
    hand_overs integer not null,
    seconds    real not null,
    question   text not null,
    failed     integer not null,      -- how often it had failed before and was written again
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
"""Samples that are compared to see whether the journal is the one that was indexed."""
_BEGINNING = 200
"""Characters of a question that a list shows."""


@dataclass(frozen=True, slots=True)
class IndexRow:
    """A sample that ended, as a list shows it; in the order of the index's columns.

    Attributes:
        position: In the order of the questions.
        id: Unique in the run.
        reason: Why it failed; None if it finished.
        share: The teacher's share of the kept tokens, 0 to 1; None if there are none.
        tokens: Kept, of both models.
        discarded: Tokens discarded, of both models.
        hand_overs: Changes of author in the thinking.
        seconds: From its first call to its end.
        question: The beginning of the user's last message.
    """

    position: int
    id: str
    reason: Failure | None
    share: float | None
    tokens: int
    discarded: int
    hand_overs: int
    seconds: float
    question: str

    @classmethod
    def of(
        cls, position: int, sample_id: str, reason: str | None, seconds: float, record: Any
    ) -> IndexRow:
        """What a list shows of a sample.

        Args:
            position: In the order of the questions.
            sample_id: Unique in the run.
            reason: Why it failed, if it did.
            seconds: As the journal has them.
            record: A line of dataset.jsonl or failures.jsonl, as an object.
        """
        stats = record["stats"]
        tokens = stats["student_tokens"] + stats["teacher_tokens"]
        asked = [each["content"] for each in record["messages"] if each["role"] == "user"]
        line = " ".join(asked[-1][: 4 * _BEGINNING].split()) if asked else ""
        return cls(
            position=position,
            id=sample_id,
            reason=Failure(reason) if reason else None,
            share=stats["teacher_tokens"] / tokens if tokens else None,
            tokens=tokens,
            discarded=stats["student_discarded_tokens"] + stats["teacher_discarded_tokens"],
            hand_overs=stats["hand_overs"],
            seconds=seconds,
            question=line if len(line) <= _BEGINNING else line[:_BEGINNING] + "…",
        )


def searchable(record: dict[str, Any]) -> str:
    """The text of a record that is searched: question and response, without the markers."""
    texts = [message["content"] for message in record["messages"]]
    if "method" not in record:  # a failure; in others, these names are columns of the question
        texts += [record["content"], record["detail"]]
    text = "\n".join(texts)
    for marker in MARKERS:
        text = text.replace(marker, " ")
    return text


def index_path(folder: RunFolder) -> Path:
    """Where the index of a run is."""
    name = hashlib.sha256(str(folder.journal.resolve()).encode()).hexdigest()[:32]
    return _cache_folder().absolute() / "view" / f"{name}.sqlite"


def _cache_folder() -> Path:
    """`$TESSY_CACHE`, else `tessy` in the user's cache folder."""
    if own := os.environ.get("TESSY_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "tessy"


class Index:
    """A run's index, open for updates; used by one thread at a time.

    Raises:
        ViewError: It can't be kept where it should be.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.path = index_path(folder)
        self._journal = folder.journal.resolve()
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
                for statement in _SCHEMA.split(";\n"):
                    connection.execute(statement)
                connection.execute("insert into journal values (?)", (str(self._journal),))
            connection.execute("commit")
            if version not in (0, _VERSION):
                raise sqlite3.DatabaseError(f"version {version}")
            journal = self._journal.as_uri().replace("'", "''")
            connection.execute(f"attach '{journal}?mode=ro' as run")
            harden(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    def journal_version(self) -> int:
        """A number that changes whenever the journal is written to."""
        with self._errors():
            found: int = self._connection.execute("pragma run.data_version").fetchone()[0]
            return found

    def missing(self) -> list[int]:
        """Drop samples that the journal no longer has or that were written again; list the missing.

        Returns:
            Positions of the samples that are in the journal and not here, in order.
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
        """Whether some finished samples have other times in the journal: two runs' times differ."""
        step = self._connection.execute(
            f"select max(count(*) / {_PROOFS}, 1) from main.samples"
        ).fetchone()[0]
        differ = self._connection.execute(
            "select exists (select 1 from main.samples m join run.samples s using (position)"
            " where m.position % ? = 0 and m.reason is null"
            " and (m.seconds != s.seconds or m.id != s.id))",
            (step,),
        )
        return bool(differ.fetchone()[0])

    def add(self, positions: Sequence[int]) -> None:
        """Add the rows of some samples that ended."""
        with self._transaction() as connection:
            for position in positions:
                row = connection.execute(
                    # In the order in which a row is on disk, or its pages are read twice.
                    "select s.id, s.reason, s.record, s.seconds, coalesce(a.failed, 0)"
                    " from run.samples s left join run.attempts a using (id) where position = ?",
                    (position,),
                ).fetchone()
                if row is None:  # taken out a moment ago, to be written again
                    continue
                sample_id, reason, record, seconds, failed = row
                made = checked_record(self._journal, sample_id, reason, record)
                with reading(f"{self._journal}: the row of {sample_id!r}"):
                    found = IndexRow.of(position, sample_id, reason, a_time(seconds), made)
                connection.execute(
                    "insert or ignore into samples values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, null)",
                    (*astuple(found), failed),
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
                "select m.position, s.id, s.reason, s.record from main.samples m"
                " left join run.samples s using (position)"
                " where m.words is null order by m.position limit ?",
                (most,),
            ).fetchall()
            for position, *row in rows:
                gone = row[0] is None  # taken out a moment ago
                text = "" if gone else searchable(checked_record(self._journal, *row))
                number = connection.execute("insert into words (text) values (?)", (text,))
                connection.execute(
                    "update samples set words = ? where position = ?", (number.lastrowid, position)
                )
            return len(rows)

    def counts(self) -> tuple[int, int]:
        """How many samples are here, and how many of them without their words."""
        return self._pair("samples", "samples where words is null")

    def run_counts(self) -> tuple[int, int]:
        """How many samples of the journal ended, and how many are under way."""
        return self._pair("run.samples", "(select distinct id from run.turns)")

    def _pair(self, one: str, other: str) -> tuple[int, int]:
        with self._errors():
            found: tuple[int, int] = self._connection.execute(
                f"select (select count(*) from {one}), (select count(*) from {other})"
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
        if not Path(_journal_of(path) or path).exists():
            _remove(path)


def _journal_of(path: Path) -> Any:
    """The journal that an index is of; None if that is not known."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute("select path from journal").fetchone()[0]
    except (sqlite3.Error, TypeError):
        return None


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
