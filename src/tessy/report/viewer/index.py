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
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from tessy.data.cache import cache_folder
from tessy.data.record import MARKERS
from tessy.errors import JournalError, RunMismatch, ViewError
from tessy.method.trajectory import Failure
from tessy.runs.contents import a_count, reading
from tessy.runs.contents import seconds as a_time
from tessy.runs.database import BROKEN, allow_open_files, harden
from tessy.runs.folder import RunFolder
from tessy.runs.reader import FILES
from tessy.runs.schema import EmptyJournal, Mark
from tessy.runs.shard_reader import ShardReader, checked_record, total_of
from tessy.verifiers.protocol import VerdictOutcome, outcome_of

TOKENIZE = "unicode61"
_VERSION = 4
_SCHEMA = f"""
create table samples (
    position   integer primary key,   -- in the order of the questions
    id         text not null,
    shard      integer not null,
    change     integer not null,      -- the transaction of the shard's journal that wrote it
    reason     text,
    outcome    text,                  -- of its verifier; null without one
    share      real,
    tokens     integer not null,
    teacher    integer not null,
    discarded  integer not null,
    hand_overs integer not null,
    seconds    real not null,
    requests   integer not null,
    question   text not null,
    words      integer                -- its row in the full-text index; null until it is there
);
create index ids on samples (id);
create index reasons on samples (reason);
create index unread on samples (position) where words is null;
create virtual table words using fts5 (
    text, content = '', detail = none, tokenize = '{TOKENIZE}'
);
create table shards (
    number     integer primary key,
    journal    text not null,         -- the journal's own id
    change     integer not null       -- transactions before this one have been read
);
create table run (path text not null);
pragma user_version = {_VERSION};
"""
_BUSY_S = 30.0
_BEGINNING = 200
"""Characters of a question that a list shows."""


@dataclass(frozen=True, slots=True)
class IndexRow:
    """A sample that ended, as a list shows it; in the order of the index's columns.

    Attributes:
        position: In the order of the questions.
        id: Unique in the run.
        reason: Why it failed; None if it finished.
        outcome: What its verifier decided; None without one.
        share: The teacher's share of the kept tokens, 0 to 1; None if there are none.
        tokens: Kept, of both models.
        teacher: Kept, of the teacher.
        discarded: Tokens discarded, of both models.
        hand_overs: Changes of author in the thinking.
        seconds: From its first call to its end.
        requests: Calls to both models.
        question: The beginning of the user's last message.
    """

    position: int
    id: str
    reason: Failure | None
    outcome: VerdictOutcome | None
    share: float | None
    tokens: int
    teacher: int
    discarded: int
    hand_overs: int
    seconds: float
    requests: int
    question: str

    @property
    def tokens_a_call(self) -> float:
        """Kept tokens for each call."""
        return self.tokens / max(self.requests, 1)

    @property
    def seconds_a_call(self) -> float:
        """Seconds for each call, what the sample waited for included."""
        return self.seconds / max(self.requests, 1)

    @classmethod
    def of(
        cls,
        position: int,
        sample_id: str,
        reason: str | None,
        seconds: float,
        requests: int,
        record: Any,
    ) -> IndexRow:
        """What a list shows of a sample.

        Args:
            position: In the order of the questions.
            sample_id: Unique in the run.
            reason: Why it failed, if it did.
            seconds: As the journal has them.
            requests: As the journal has them.
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
            outcome=outcome_of(record),
            share=stats["teacher_tokens"] / tokens if tokens else None,
            tokens=tokens,
            teacher=stats["teacher_tokens"],
            discarded=stats["student_discarded_tokens"] + stats["teacher_discarded_tokens"],
            hand_overs=stats["hand_overs"],
            seconds=seconds,
            requests=requests,
            question=line if len(line) <= _BEGINNING else line[:_BEGINNING] + "…",
        )


def searchable(record: dict[str, Any]) -> str:
    """The text of a record that is searched, without markers: question, response, why it failed."""
    texts = [message["content"] for message in record["messages"]]
    if "method" not in record:  # a failure; in others, these names are columns of the question
        texts += [record["content"], record["detail"]]
    text = "\n".join(texts)
    for marker in MARKERS:
        text = text.replace(marker, " ")
    return text


def index_path(folder: RunFolder) -> Path:
    """Where the index of a run is."""
    name = hashlib.sha256(str(folder.path.resolve()).encode()).hexdigest()[:32]
    return cache_folder().absolute() / "view" / f"{name}.sqlite"


class Index:
    """A run's index, open for updates; used by one thread at a time.

    Raises:
        ViewError: It can't be kept where it should be.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.path = index_path(folder)
        self._folder = folder
        self._stack = ExitStack()
        self._shards: dict[int, ShardReader] = {}
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
                path = str(self._folder.path.resolve())
                connection.execute("insert into run values (?)", (path,))
            connection.execute("commit")
            if version not in (0, _VERSION):
                raise sqlite3.DatabaseError(f"version {version}")
            harden(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """Close it."""
        self._stack.close()
        self._connection.close()

    def _readers(self) -> dict[int, ShardReader]:
        """The journals of all shards that were started, by number."""
        shards = self._folder.started_shards()
        allow_open_files(2 * FILES * len(shards))
        for shard in shards:
            if shard.number not in self._shards:
                with suppress(EmptyJournal):  # another process is creating it
                    reader = ShardReader(shard, any_thread=True)
                    self._shards[shard.number] = self._stack.enter_context(reader)
        return self._shards

    def journal_version(self) -> int:
        """A number that changes whenever a journal of the run is written to."""
        return sum(reader.data_version() for reader in self._readers().values())

    def add(self, most: int) -> int:
        """Add the rows of samples that ended since the last call, or were written again.

        Args:
            most: How many samples at most.

        Returns:
            How many samples it were; 0 if all are here.
        """
        left = most
        with self._transaction() as connection:
            readers = self._readers()
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
            readers = self._readers()
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

    def run_counts(self) -> tuple[int, int]:
        """How many samples of the run ended, and how many are under way."""
        counts = [reader.counts() for reader in self._readers().values()]
        return sum(ended for ended, _ in counts), sum(running for _, running in counts)

    def run_total(self) -> int | None:
        """How many samples the run will have; None if not all of its shards were begun."""
        readers = self._readers().values()
        return total_of(readers) if len(readers) == self._shard_count() else None

    def run_waiting(self) -> int:
        """How many failed samples are still to be written again."""
        return sum(len(reader.waiting_ids()) for reader in self._readers().values())

    def run_again(self) -> int:
        """How many samples were written again after a failure."""
        return sum(len(reader.again()) for reader in self._readers().values())

    def shards_left(self) -> int:
        """How many shards of the run were not begun."""
        return max(0, self._shard_count() - len(self._readers()))

    def run_left_out(self) -> int:
        """How many lines of its questions a limit left out."""
        return min((reader.left_out() for reader in self._readers().values()), default=0)

    def _shard_count(self) -> int:
        try:
            return self._folder.run_toml.shard_count() or 1
        except RunMismatch:  # run.toml can't be read
            return 1

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
