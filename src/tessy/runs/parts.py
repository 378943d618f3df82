"""The parts of a shard that are uploaded: each holds what a journal got since the one before it.

A part is a journal of its own, compressed, with only the rows of newer transactions. Its name says
its place:

    000017-00002c0ffee12-00001ab54a98c.sqlite.gz    number, who wrote it, who wrote the one before

A writer's name begins with a number that grows with each start. So if two processes have written
to one shard, for all locks and leases, the parts of the later one are the shard, with those that
it began from; the other's are not used (`chain`).
"""

from __future__ import annotations

import gzip
import hashlib
import re
import secrets
import shutil
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tessy.errors import JournalError
from tessy.runs import contents
from tessy.runs.database import BROKEN, connect, journal_error
from tessy.runs.schema import Mark, check_journal, create_tables, last_change

START = "start"
"""What the first part names in place of the one before."""
MOST_BYTES = 16 << 30
"""Bytes that a part may become when it is decompressed."""
_NAME = re.compile(r"(\d{6,12})-([0-9a-f]{13})-([0-9a-f]{13}|start)\.sqlite\.gz")
_EPOCH_DIGITS = 5
_OF_THIS_COPY = (Mark.UPLOADED, Mark.PART, Mark.PART_MARKS, Mark.WRITER)
"""Marks that say something about a copy of a journal, not about its shard."""
_SINCE, _UNTIL, _NAMED = "part_since", "part_until", "part_name"
"""Marks that only a part has."""
_TABLES = ("samples", "turns", "attempts")
_FORGET = """
delete from main.samples where exists (select 1 from part.attempts a
    where a.id = samples.id and samples.change < a.change);
delete from main.turns where exists (select 1 from part.attempts a
    where a.id = turns.id and turns.change < a.change);
delete from main.turns where exists (select 1 from part.samples s
    where s.id = turns.id and turns.change < s.change);
delete from main.attempts where id in (select id from part.attempts);
"""
"""What a part's rows replace: failures that were written again, and turns of samples that ended."""


@dataclass(frozen=True, slots=True)
class PartName:
    """The name of a part.

    Attributes:
        number: From 1.
        writer: Who wrote it.
        before: Who wrote the part before it, or `START`.
    """

    number: int
    writer: str
    before: str

    def __str__(self) -> str:
        return f"{self.number:06}-{self.writer}-{self.before}.sqlite.gz"

    @property
    def epoch(self) -> int:
        """The number of the start that wrote it."""
        return epoch_of(self.writer)

    @classmethod
    def parse(cls, text: str) -> PartName | None:
        """Read a file's name; None if it is no part's."""
        found = _NAME.fullmatch(text)
        return cls(int(found[1]), found[2], found[3]) if found else None


def new_writer(others: Iterable[str]) -> str:
    """A name for a process that uploads a shard; later than those of others."""
    latest = max(map(epoch_of, others), default=0)
    return f"{latest + 1:0{_EPOCH_DIGITS}x}{secrets.token_hex(4)}"


def epoch_of(writer: str) -> int:
    """The number of the start in a writer's name; 0 if it is none."""
    try:
        return int(writer[:_EPOCH_DIGITS], 16)
    except ValueError:
        return 0


def parts_of(names: Iterable[str]) -> list[PartName]:
    """The parts among the names of files."""
    return [part for name in names if (part := PartName.parse(name)) is not None]


def chain(parts: Sequence[PartName], where: str) -> list[PartName]:
    """The parts that make up a shard, in order.

    They are those of the latest writer, and what it began from.

    Args:
        parts: All parts that are there.
        where: The shard, for messages.

    Raises:
        JournalError: One of them is missing.
    """
    if not parts:
        return []
    by_place = {(part.number, part.writer): part for part in parts}
    last = max(parts, key=lambda part: (part.epoch, part.number, part.writer))
    found = [last]
    while (part := found[-1]).before != START:
        before = by_place.get((part.number - 1, part.before))
        if before is None:
            raise JournalError(
                f"{where}: part {part.number - 1:,}, of {part.before}, is missing",
                hint="put it back from a backup",
            )
        found.append(before)
    return found[::-1]


@dataclass(frozen=True, slots=True)
class CopyState:
    """What is known of a journal that is a copy of a shard elsewhere.

    Attributes:
        part: The last part that it has; None if there is none.
        writer: Who wrote it, if it was written here.
        ahead: It has rows that are in no part.
    """

    part: str | None = None
    writer: str | None = None
    ahead: bool = False


def lacking(there: Sequence[PartName], copy: CopyState) -> list[PartName] | None:
    """The parts that a copy lacks.

    Args:
        there: The chain of parts.
        copy: The copy.

    Returns:
        The parts to add to it; None if it has to be made again, because another process has gone on
        from another state than this one.
    """
    names = [str(part) for part in there]
    if copy.part is None:
        later = list(there)
    elif copy.part in names:
        later = list(there[names.index(copy.part) + 1 :])
    else:
        return None
    if all(part.writer == copy.writer for part in later):
        return []  # it was written here, and has all of them
    return None if copy.ahead or copy.part is None else later


# --- Files --------------------------------------------------------------------------------------


def copy_state(journal: Path) -> CopyState | None:
    """What a journal says about itself as a copy; None if there is none.

    Raises:
        JournalError: It can't be read.
    """
    if not journal.exists() or not journal.stat().st_size:
        return None
    try:
        with closing(connect(journal)) as connection:
            if not check_journal(connection, journal, create=True):
                return None
            marks = _marks(connection, "main", str(journal))
            ahead = last_change(connection) > int(marks.get(Mark.UPLOADED, "0"))
    except (*BROKEN, ValueError) as error:
        raise journal_error(journal, error) from None
    return CopyState(marks.get(Mark.PART), marks.get(Mark.WRITER), ahead)


@dataclass(frozen=True, slots=True)
class PartMade:
    """A part that was made.

    Attributes:
        name: Its name.
        until: The last transaction in it.
        marks: A digest of its marks.
    """

    name: PartName
    until: int
    marks: str


def make_part(journal: Path, writer: str, file: Path) -> PartMade | None:
    """Write what a journal got since its last part to a compressed file.

    Args:
        journal: The journal, which may be written at the same time.
        writer: Who uploads it.
        file: The file to write.

    Returns:
        What was made; None if there is nothing new.

    Raises:
        JournalError: The journal can't be read, or the file not be written.
    """
    plain = file.with_suffix("")
    plain.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(plain, isolation_level=None)) as new:
            create_tables(new)
        with closing(connect(journal, write=True)) as connection:
            check_journal(connection, journal)
            connection.execute("attach ? as part", (str(plain),))
            connection.execute("begin")
            made = _fill(connection, journal, writer)
            connection.execute("commit")
        if made is not None:
            with plain.open("rb") as source, gzip.open(file, "wb", compresslevel=4) as target:
                shutil.copyfileobj(source, target, 1 << 20)
    except BROKEN as error:
        raise journal_error(journal, error) from None
    except OSError as error:
        raise JournalError(f"{error.filename or file}: {error.strerror}") from None
    finally:
        plain.unlink(missing_ok=True)
    return made


def _fill(connection: sqlite3.Connection, journal: Path, writer: str) -> PartMade | None:
    marks = _marks(connection, "main", str(journal))
    since, until = int(marks.get(Mark.UPLOADED, "0")), last_change(connection)
    own = {name: text for name, text in marks.items() if name not in _OF_THIS_COPY}
    digest = _digest(own)
    if until <= since and marks.get(Mark.PART_MARKS) == digest:
        return None
    before = PartName.parse(marks.get(Mark.PART, ""))
    name = PartName(before.number + 1, writer, before.writer) if before else None
    name = name or PartName(1, writer, START)
    for table in _TABLES:
        connection.execute(
            f"insert into part.{table} select * from main.{table} where change > ?", (since,)
        )
    own |= {_SINCE: str(since), _UNTIL: str(until), _NAMED: str(name)}
    connection.executemany("insert into part.marks values (?, ?)", sorted(own.items()))
    return PartMade(name, until, digest)


def note_part(journal: Path, made: PartMade) -> None:
    """Note in a journal that a part of it was uploaded.

    Raises:
        JournalError: It can't be written.
    """
    try:
        with closing(connect(journal, write=True)) as connection:
            _note(connection, made.name, made.until, made.marks)
    except BROKEN as error:
        raise journal_error(journal, error) from None


def note_writer(journal: Path, writer: str) -> None:
    """Note in a journal who uploads it; the journal is created if it is not there.

    Raises:
        JournalError: It can't be written.
    """
    try:
        with closing(connect(journal, write=True)) as connection:
            check_journal(connection, journal, create=True)
            connection.execute("pragma journal_mode = wal")
            create_tables(connection)
            _set(connection, {Mark.WRITER: writer})
    except BROKEN as error:
        raise journal_error(journal, error) from None


def add_part(journal: Path, name: PartName, file: Path, where: str) -> None:
    """Add the rows of a part to a journal, in one transaction.

    Args:
        journal: The journal, which has all parts before; it is created for the first.
        name: The part.
        file: The compressed part.
        where: The shard, for messages.

    Raises:
        JournalError: It is no part, not the next one, or its rows do not fit.
    """
    said, plain = f"{where}/parts/{name}", file.with_suffix("")
    try:
        _inflate(file, plain, said)
        with closing(connect(plain)) as part:
            check_journal(part, plain)
        with closing(connect(journal, write=True)) as connection:
            check_journal(connection, journal, create=True)
            connection.execute("pragma journal_mode = wal")
            create_tables(connection)
            connection.execute("attach ? as part", (str(plain),))
            connection.execute("begin immediate")
            _add(connection, name, said)
            connection.execute("commit")
    except JournalError as error:  # of a file that the user has never seen
        raise JournalError(error.message.replace(str(plain), said), hint=error.hint) from None
    except (*BROKEN, OSError, EOFError, ValueError) as error:
        raise JournalError(f"{said} can't be read: {error}") from None
    finally:
        plain.unlink(missing_ok=True)


def read_part(name: PartName, file: Path, where: str) -> tuple[int, str]:
    """The last transaction in a part, and the digest of its marks.

    Args:
        name: The part.
        file: The compressed part.
        where: The shard, for messages.

    Raises:
        JournalError: It is no part.
    """
    said, plain = f"{where}/parts/{name}", file.with_suffix("")
    try:
        _inflate(file, plain, said)
        with closing(connect(plain)) as connection:
            check_journal(connection, plain)
            marks = _marks(connection, "main", said)
            until = int(marks.pop(_UNTIL, ""))
    except JournalError as error:
        raise JournalError(error.message.replace(str(plain), said), hint=error.hint) from None
    except (*BROKEN, OSError, EOFError, ValueError) as error:
        raise JournalError(f"{said} can't be read: {error}") from None
    finally:
        plain.unlink(missing_ok=True)
    return until, _digest(marks)


def _digest(marks: dict[str, str]) -> str:
    """A digest of the marks that say something about the shard."""
    left_out = {*_OF_THIS_COPY, _SINCE, _UNTIL, _NAMED}
    own = sorted((str(name), text) for name, text in marks.items() if name not in left_out)
    return hashlib.sha256(repr(own).encode()).hexdigest()


def _inflate(file: Path, plain: Path, said: str) -> None:
    left = MOST_BYTES
    with gzip.open(file) as source, plain.open("wb") as target:
        while block := source.read(1 << 20):
            left -= len(block)
            if left < 0:
                raise JournalError(f"{said} is larger than {MOST_BYTES:,} bytes")
            target.write(block)


def _add(connection: sqlite3.Connection, name: PartName, said: str) -> None:
    own = _marks(connection, "main", said)
    marks = _marks(connection, "part", said)
    since, until = int(marks.pop(_SINCE, "")), int(marks.pop(_UNTIL, ""))
    before = PartName.parse(own.get(Mark.PART, ""))
    fits = (before.number + 1, before.writer) if before else (1, START)
    if marks.pop(_NAMED, None) != str(name) or fits != (name.number, name.before):
        raise JournalError(f"{said}: it is another part than its name says, or not the next one")
    if since != int(own.get(Mark.UPLOADED, "0")) or until < since:
        raise JournalError(f"{said}: it does not go on where the part before it ends")
    for mark in (Mark.JOURNAL, Mark.IDENTITY):
        if own.get(mark) is not None and own[mark] != marks.get(mark):
            raise JournalError(f"{said} is of another run, or of another shard")
    _check_rows(connection, since, until, said)
    for statement in _FORGET.split(";"):
        connection.execute(statement)
    for table in _TABLES:
        connection.execute(f"insert into main.{table} select * from part.{table}")
    known = {Mark(mark): text for mark, text in marks.items() if mark in set(Mark)}
    _set(connection, {k: text for k, text in known.items() if k not in _OF_THIS_COPY})
    _note(connection, name, until, _digest(marks))


def _check_rows(connection: sqlite3.Connection, since: int, until: int, said: str) -> None:
    """Make sure that the rows of a part are of its own transactions, each of a sample."""
    for table in _TABLES:
        row = connection.execute(
            f"select id, change from part.{table} where typeof(id) != 'text'"
            " or typeof(change) != 'integer' or change <= ? or change > ? limit 1",
            (since, until),
        ).fetchone()
        if row is not None:
            raise JournalError(
                f"{said}: its row of {table} {row[0]!r:.80}, change {row[1]!r:.40}, is not of "
                f"transactions {since + 1:,} to {until:,}"
            )


def _marks(connection: sqlite3.Connection, schema: str, where: str) -> dict[str, str]:
    found = connection.execute(f"select name, value from {schema}.marks").fetchall()
    with contents.reading(f"{where}: its marks"):
        return {
            contents.an(str, name, "name"): contents.an(str, text, "value") for name, text in found
        }


def _note(connection: sqlite3.Connection, name: PartName, until: int, digest: str) -> None:
    _set(connection, {Mark.PART: str(name), Mark.UPLOADED: str(until), Mark.PART_MARKS: digest})


def _set(connection: sqlite3.Connection, marks: dict[Mark, str]) -> None:
    connection.executemany(
        "insert or replace into marks values (?, ?)",
        [(mark.value, text) for mark, text in marks.items()],
    )
