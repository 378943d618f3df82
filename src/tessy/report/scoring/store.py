"""Scores of a run, kept in its folder as `scores.sqlite`, so that nothing is scored twice.

A score belongs to a text and a scorer: a sample that is written anew has another text, and so no
score. Whatever was scored is on disk at once; Ctrl-C loses only what is under way.
"""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from tessy.errors import JournalError
from tessy.report.figures.likelihood import Sums
from tessy.report.figures.sample import Sample

FILE = "scores.sqlite"
_SCHEMA = """
create table if not exists scores (
    text   blob not null,           -- digest of messages, content and spans
    scorer text not null,
    id     text not null,           -- of the sample
    sums   blob not null,           -- JSON: negative log-likelihood and tokens, by author
    primary key (text, scorer)
) without rowid;
"""


class Store:
    """The scores of one run by one scorer.

    Args:
        folder: The run's.
        scorer: The scorer's key.

    Raises:
        JournalError: They can't be read or written.
    """

    def __init__(self, folder: Path, scorer: str) -> None:
        self._path, self._scorer = folder / FILE, scorer
        try:
            self._connection = sqlite3.connect(self._path.absolute(), isolation_level=None)
            self._connection.execute("pragma journal_mode = wal")
            self._connection.execute("pragma synchronous = normal")
            self._connection.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise JournalError(
                f"{self._path}: {error}", hint="scores are kept there: make the folder writable"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()
        if isinstance(error, sqlite3.Error):
            raise JournalError(f"{self._path}: {error}") from error

    def get(self, sample: Sample) -> Sums | None:
        """The score of a sample, if there is one."""
        row = self._connection.execute(
            "select sums from scores where text = ? and scorer = ?", (digest(sample), self._scorer)
        ).fetchone()
        return Sums(**orjson.loads(row[0])) if row else None

    def put(self, sample: Sample, found: Sums) -> None:
        """Keep a score."""
        sums = orjson.dumps({"nll": found.nll, "tokens": found.tokens})
        self._connection.execute(
            "insert or replace into scores values (?, ?, ?, ?)",
            (digest(sample), self._scorer, sample.id, sums),
        )


def digest(sample: Sample) -> bytes:
    """What stands for a sample's text and its authors."""
    what = [list(sample.messages), sample.content, list(sample.spans)]
    return hashlib.blake2b(orjson.dumps(what), digest_size=20).digest()
