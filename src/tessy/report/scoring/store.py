"""Scores of a run, kept in its folder as `scores.sqlite`, so that no sample is scored twice.

A score belongs to a text and a scorer: a sample that was written again has another text, and so
no score. Each score is on disk at once; Ctrl-C loses only what is under way.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
from pydantic import TypeAdapter

from tessy.errors import JournalError
from tessy.report.figures.likelihood import LikelihoodSums
from tessy.report.figures.sample import ReportSample
from tessy.runs.contents import reading
from tessy.runs.database import BROKEN, check_schema, connect

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
_SUMS = TypeAdapter(LikelihoodSums)


@contextmanager
def open_scores(folder: Path, scorer: str) -> Iterator[ScoreStore]:
    """Open the scores of a run, of one scorer.

    Args:
        folder: The run's.
        scorer: The scorer's key.

    Raises:
        JournalError: They can't be read or written.
    """
    path = folder / FILE
    try:
        with closing(connect(path, write=True)) as connection:
            check_schema(connection, path, _SCHEMA, set())
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")
            connection.executescript(_SCHEMA)
            yield ScoreStore(connection, scorer)
    except BROKEN as error:
        raise JournalError(
            f"{path}: {error}", hint="scores are kept there: make the folder writable"
        ) from error


@dataclass(frozen=True, slots=True)
class ScoreStore:
    """The scores of one run by one scorer."""

    _connection: sqlite3.Connection
    _scorer: str

    def get(self, sample: ReportSample) -> LikelihoodSums | None:
        """The score of a sample, if there is one."""
        row = self._connection.execute(
            "select sums from scores where text = ? and scorer = ?", (_digest(sample), self._scorer)
        ).fetchone()
        with reading(f"{FILE}: the score of {sample.id!r}"):
            return _SUMS.validate_python(orjson.loads(row[0])) if row else None

    def put(self, sample: ReportSample, sums: LikelihoodSums) -> None:
        """Keep the score of a sample."""
        self._connection.execute(
            "insert or replace into scores values (?, ?, ?, ?)",
            (_digest(sample), self._scorer, sample.id, orjson.dumps(asdict(sums))),
        )


def _digest(sample: ReportSample) -> bytes:
    """Stands for a sample's text and its authors."""
    text = [list(sample.messages), sample.content, list(sample.spans)]
    return hashlib.blake2b(orjson.dumps(text), digest_size=20).digest()
