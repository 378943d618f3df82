"""Opens SQLite files of a run's folder, which may come from elsewhere.

SQLite runs code that a file holds: views, triggers, expressions of columns and indexes. So a file
is used only if its schema is exactly ours, before a single row is read. SQLite follows links, also
of the files that it keeps beside its own; so they must be regular files. A journal of changes may
name another file, which SQLite deletes when it has undone them; ours never does.
"""

from __future__ import annotations

import os
import re
import resource
import sqlite3
from contextlib import suppress
from functools import cache
from pathlib import Path

from tessy.data.files import is_there, open_file
from tessy.errors import JournalError

BROKEN = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite raises; the latter if its message quotes a text of the file that is no UTF-8."""
MOST_BYTES = 256 << 20
"""The largest value that is read."""
_OTHER_FILES = 1000
_BESIDE = ("", "-wal", "-shm", "-journal")
_NAMES_ANOTHER = bytes.fromhex("d9d505f920a163d7")
"""The end of a journal of changes that names another file (sqlite.org/fileformat2.html, 3)."""
_OCTAL = re.compile(r"\\([0-7]{3})")
_SHARED = {
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "glusterfs",
    "gpfs",
    "lustre",
    "nfs",
    "nfs4",
    "orangefs",
    "panfs",
    "pvfs2",
    "smb3",
    "smbfs",
    "vboxsf",
    "virtiofs",
    "wekafs",
}
"""File systems that several machines may use at once; those of FUSE are taken for such, too."""
_FOREIGN = "it was not written by tessy: open it only if you know where it comes from"


def journal_error(path: Path, error: Exception) -> JournalError:
    """What to raise for one of `BROKEN` about a journal.

    Args:
        path: The journal.
        error: What SQLite raised.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary one of an extended code
    damaged = code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    hint = "the file is damaged: put a copy of it back, or begin again with another --out"
    return JournalError(f"{path}: {error}", hint=hint if damaged else None)


def connect(
    path: Path, *, write: bool = False, query: str = "", any_thread: bool = False
) -> sqlite3.Connection:
    """Open an SQLite file.

    Args:
        path: The file.
        write: Open it for writing, and create it if it does not exist.
        query: More of the URI's parameters, such as `&immutable=1`.
        any_thread: Different threads use the connection, one at a time.

    Raises:
        JournalError: It is a link or no regular file, or one beside it is.
        sqlite3.Error: It can't be opened.
    """
    _check_files(path)
    if write:
        # Some SQLites take a relative "file:…" as a URI.
        connection = sqlite3.connect(path.absolute(), isolation_level=None, timeout=60.0)
    else:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro{query}",
            uri=True,
            timeout=60.0,
            check_same_thread=not any_thread,
        )
    try:
        harden(connection)
        if not write:
            connection.execute("pragma query_only = on")
    except BaseException:
        connection.close()
        raise
    return connection


def mode_for(path: Path, mounts: str | None = None) -> str:
    """The journal mode that a file's file system can have: `wal`, or `truncate` if it is shared.

    In WAL mode all processes that use a file must be on one machine (sqlite.org/wal.html, 1); in
    the older one they lock it for each transaction, as other machines see.

    Args:
        path: The file.
        mounts: The content of `/proc/self/mountinfo`; by default this machine's.
    """
    if mounts is None:
        try:
            mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
        except OSError:  # not Linux
            return "wal"
    file, kind, longest = str(path.absolute()), "", -1
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        place = _OCTAL.sub(lambda found: chr(int(found[1], 8)), fields[4]).rstrip("/")
        if (file == place or file.startswith(place + "/")) and len(place) >= longest:
            kind, longest = after.split(" ")[0], len(place)
    return "truncate" if kind in _SHARED or kind.startswith("fuse.") else "wal"


def harden(connection: sqlite3.Connection) -> None:
    """Have SQLite trust no schema, check what it reads, and refuse huge values."""
    connection.execute("pragma trusted_schema = off")
    connection.execute("pragma cell_size_check = on")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_BYTES)


def check_schema(connection: sqlite3.Connection, path: Path, schema: str, needed: set[str]) -> bool:
    """Make sure that a file holds our tables and nothing else.

    Args:
        connection: The open file.
        path: Its path, for messages.
        schema: What creates our tables.
        needed: Tables that must be there, unless there are none at all.

    Returns:
        Whether there are any tables.

    Raises:
        JournalError: It holds something else; the message names it.
        sqlite3.Error: It can't be read.
    """
    there, own = _objects(connection), _ours(schema)
    for name, (kind, text) in there.items():
        if name not in own:
            raise JournalError(f"{path} holds a {kind} {name!r}, which is not ours", hint=_FOREIGN)
        if own[name] != (kind, text):
            raise JournalError(f"{path}: its {kind} {name!r} is not as ours", hint=_FOREIGN)
    if there and (missing := sorted(needed - there.keys())):
        raise JournalError(f"{path} has no table {missing[0]!r}", hint=_FOREIGN)
    return bool(there)


def allow_open_files(count: int) -> None:
    """Let this process open more files; the usual bound of 1,024 is reached with 340 shards.

    Args:
        count: How many, beside those of the rest of the program.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):  # then SQLite says that it can't open a file
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


@cache
def _ours(schema: str) -> dict[str, tuple[str, str]]:
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(schema)
        return _objects(connection)
    finally:
        connection.close()


def _objects(connection: sqlite3.Connection) -> dict[str, tuple[str, str]]:
    """Kind and definition of all tables, indexes, views and triggers, by name."""
    rows = connection.execute("select name, type, sql from sqlite_master")
    return {
        str(name): (str(kind), _plain(str(sql)))
        for name, kind, sql in rows
        if not (kind == "index" and sql is None)  # those of a table's own constraints
    }


def _plain(sql: str) -> str:
    """A definition without comments, and with one blank for several."""
    return " ".join(re.sub(r"--[^\n]*", " ", sql).split())


def _check_files(path: Path) -> None:
    for suffix in _BESIDE:
        file = path.with_name(path.name + suffix)
        try:
            names_another = is_there(file) and suffix == "-journal" and _names_another(file)
        except FileNotFoundError:  # SQLite has just removed it, for another process
            continue
        except OSError as error:
            raise JournalError(f"{file}: {error.strerror}", hint=_FOREIGN) from None
        if names_another:
            raise JournalError(f"{file} names a file for SQLite to delete", hint=_FOREIGN)


def _names_another(file: Path) -> bool:
    with os.fdopen(open_file(file), "rb") as opened:
        opened.seek(max(0, os.fstat(opened.fileno()).st_size - len(_NAMES_ANOTHER)))
        return opened.read() == _NAMES_ANOTHER
