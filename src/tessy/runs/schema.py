"""The tables of a journal, and what marks say about its shard.

Each transaction has a number, which its rows hold (`change`): what is new since an upload, or
since a page was made, are the rows with larger numbers. No number is used twice.
"""

from __future__ import annotations

import sqlite3
from enum import StrEnum
from pathlib import Path

from tessy.errors import JournalError
from tessy.method.trajectory import Role
from tessy.runs.database import check_schema

_VERSION = 3
_MOST_CHANGES = 1 << 53
_NEEDED = {"samples", "turns", "attempts", "marks"}
_SCHEMA = """
create table if not exists samples (
    position integer primary key,   -- in the order of the questions
    id       text not null unique,
    reason   text,                  -- of the failure; null if finished
    record   blob not null,         -- JSON, as in dataset.jsonl or failures.jsonl
    trace    blob not null,         -- compressed JSON: what was discarded
    seconds  real not null,         -- from its first call to its end, over all starts
    requests integer not null,      -- calls to both models
    change   integer not null       -- the transaction that wrote it
);
create table if not exists turns (
    id       text not null,
    batch    integer not null,
    turns    blob not null,         -- compressed JSON: turns and rejections, each with its draft
    seconds  real not null,
    requests integer not null,
    change   integer not null,      -- as above
    primary key (id, batch)
) without rowid;
create table if not exists attempts (
    id       text primary key,
    failed   integer not null,      -- how often it failed and was then written again
    change   integer not null       -- as above
) without rowid;
create table if not exists marks (
    name     text primary key,      -- see `Mark`
    value    text not null
) without rowid;
create index if not exists reasons on samples (reason);
create index if not exists changes on samples (change);
"""
BEGUN = """
select exists (select 1 from turns)
    or exists (select 1 from samples where reason is null or reason != ?)
    or exists (select 1 from attempts)
"""
"""Whether a journal contains anything other than failures with a given reason."""
WAITING = """
(samples.reason >= '' and exists (
    select 1 from marks where name = 'again'
    and samples.change <= json_extract(marks.value, '$.change')
    and samples.position < json_extract(marks.value, '$.end')
    and samples.reason in (select json_each.value from json_each(marks.value, '$.reasons'))
))
"""
"""Whether a failure is to be written again: it ended no later than a change and before a position,
for one of some reasons, all of which `Mark.AGAIN` has. It is replaced when it ends again. The
comparison is one that SQLite finds by the index of reasons."""


TOKENS = " + ".join(
    f"coalesce(json_extract(cast(record as text), '$.stats.{role}_{kind}'), 0)"
    for role in Role
    for kind in ("tokens", "discarded_tokens")
)
"""All tokens generated for a sample that ended."""


class Mark(StrEnum):
    """What a journal says about its shard."""

    JOURNAL = "journal"
    """A random id, by which it is known whether this is the same journal as before."""

    IDENTITY = "identity"
    """What all shards of a run share; see `RunToml.identity`."""
    SAMPLES = "samples"
    """How many samples the shard has, ended or not."""
    QUESTIONS = "questions"
    """How many questions of the run were used, from the first on: a limit may leave out others."""
    LEFT_OUT = "left_out"
    """How many lines a limit left out, of those that no shard up to this one has written."""
    UNVERIFIABLE = "unverifiable"
    """How many questions of the run lack what an answer is verified by."""
    AGAIN = "again"
    """Which failures are written again, as JSON; see `WAITING`."""
    REPLACED_TOKENS = "replaced_tokens"
    """Tokens generated for failures that were replaced: no record has them any more."""
    UPLOADED = "uploaded"
    """The change up to which the journal was uploaded."""
    PART = "part"
    """The name of the part that was uploaded, or restored, last."""
    PART_MARKS = "part_marks"
    """A digest of the marks in that part."""
    WRITER = "writer"
    """Who uploads the shard, or did last."""
    PARTS = "parts"
    """The change up to which finished samples are in parts of the data set."""


class EmptyJournal(JournalError):
    """No journal has tables: it was only just created, or was lost; or there is none."""


def create_tables(connection: sqlite3.Connection, more: str = "") -> None:
    """Create a journal's tables if they are not there.

    All in one transaction: a reader finds either a complete journal or none.

    Args:
        connection: The open file.
        more: SQL that belongs to it.
    """
    connection.executescript(
        f"begin immediate; {_SCHEMA} {more} pragma user_version = {_VERSION}; commit;"
    )


def last_change(connection: sqlite3.Connection) -> int:
    """The highest number that a transaction has had, as far as anybody may remember it."""
    found = connection.execute(
        "select max(coalesce((select max(change) from samples), 0),"
        " coalesce((select max(change) from turns), 0),"
        " coalesce((select max(change) from attempts), 0),"
        " coalesce((select max(cast(value as integer)) from marks where name in (?, ?)), 0))",
        (Mark.UPLOADED, Mark.PARTS),
    ).fetchone()
    if found[0] > _MOST_CHANGES:
        raise ValueError(f"it is {found[0]!r:.80}")
    return int(found[0])


def check_journal(connection: sqlite3.Connection, path: Path, *, create: bool = False) -> bool:
    """Refuse what is no journal of this version.

    Args:
        connection: The open file.
        path: Its path, for messages.
        create: It may be new, and without tables.

    Returns:
        Whether it has its tables.

    Raises:
        EmptyJournal: It has no tables: it was only just created, or was lost.
        JournalError: It has another version, or other tables.
        sqlite3.Error: It can't be read.
    """
    version = connection.execute("pragma user_version").fetchone()[0]
    if version not in (0, _VERSION):
        raise JournalError(
            f"{path}: a run of another version of tessy (journal {version}, not {_VERSION})",
            hint="resume it with that version, or start again in another folder",
        )
    begun = check_schema(connection, path, _SCHEMA, _NEEDED)
    if not begun and not create:
        raise EmptyJournal(f"{path} is empty: no sample was begun, or the journal was lost")
    return begun
