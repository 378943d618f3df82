"""Asks the index: pages of a list, and what comes before and after a sample."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessy.errors import InputError, ViewError
from tessy.method.trajectory import Failure
from tessy.report.viewer.facts import Facts
from tessy.report.viewer.filters import Filter, Status
from tessy.report.viewer.index import TOKENIZE

PAGE = 50
"""Samples on a page."""
_COLUMNS = "position, id, reason, share, tokens, discarded, hand_overs, seconds, question"


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of a list.

    Attributes:
        rows: Its samples, in the order of the questions.
        total: Samples on all pages.
    """

    rows: tuple[Facts, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What lies around a sample, of those that a filter wants.

    Attributes:
        previous: The id of the one before.
        next: The id of the one behind.
        page: The page of the list on which the sample is.
    """

    previous: str | None
    next: str | None
    page: int


class Search:
    """A run's index, open for reading.

    Raises:
        ViewError: In its methods: the index can't be read.
        InputError: In its methods: the text that is looked for holds no word.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def page(self, wanted: Filter, number: int) -> Listed:
        """A page of the samples that a filter wants.

        Args:
            wanted: The filter.
            number: From 1.
        """
        where, values = _where(wanted)
        with self._open() as connection:
            total = connection.execute(f"select count(*) from samples {where}", values)
            rows = connection.execute(
                f"select {_COLUMNS} from samples {where} order by position limit ? offset ?",
                (*values, PAGE, (number - 1) * PAGE),
            )
            return Listed(tuple(_facts(row) for row in rows), total.fetchone()[0])

    def neighbours(self, wanted: Filter, sample_id: str) -> Neighbours:
        """What comes before and after a sample; nothing, as long as the index does not know it."""
        where, values = _where(wanted)
        where = where or "where 1"
        with self._open() as connection:
            known = connection.execute("select position from samples where id = ?", (sample_id,))
            (position,) = known.fetchone() or (None,)

            def beside(sign: str, order: str) -> str | None:
                row = connection.execute(
                    f"select id from samples {where} and position {sign} ?"
                    f" order by position {order} limit 1",
                    (*values, position),
                ).fetchone()
                return row[0] if row else None

            before = connection.execute(
                f"select count(*) from samples {where} and position < ?", (*values, position)
            )
            page = before.fetchone()[0] // PAGE + 1
            return Neighbours(beside("<", "desc"), beside(">", "asc"), page)

    def statuses(self) -> dict[str, int]:
        """How many samples ended how: `finished`, or a reason."""
        with self._open() as connection:
            rows = connection.execute("select reason, count(*) from samples group by reason")
            return {reason or Status.FINISHED.value: count for reason, count in rows}

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            uri = f"{self._path.as_uri()}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True)) as connection:
                yield connection
        except sqlite3.Error as error:
            raise ViewError(f"the index {self._path} can't be read: {error}") from error


def terms(text: str) -> list[str]:
    """The words of a text, as the index's tokenizer cuts them."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"create virtual table t using fts5 (text, tokenize = '{TOKENIZE}')")
        connection.execute("create virtual table v using fts5vocab (t, 'row')")
        connection.execute("insert into t values (?)", (text,))
        return [row[0] for row in connection.execute("select term from v")]


def _where(wanted: Filter) -> tuple[str, tuple[Any, ...]]:
    """The `where` of a filter, and its values."""
    found: list[tuple[str, Any]] = []
    if wanted.id:
        found.append(("instr(id, ?) > 0", wanted.id))
    if wanted.text:
        words = terms(wanted.text)
        if not words:
            raise InputError(f"text = {wanted.text!r}: there is no word in it")
        match = " ".join(f'"{word}"*' for word in words)
        found.append(("words in (select rowid from words where words match ?)", match))
    bounds = (
        ("share >= ? / 100.0", wanted.share_least),
        ("share <= ? / 100.0", wanted.share_most),
        ("tokens >= ?", wanted.tokens_least),
        ("tokens <= ?", wanted.tokens_most),
    )
    found += [(test, value) for test, value in bounds if value is not None]
    tests = [test for test, _ in found] + _status(wanted)
    reason = (wanted.status,) if isinstance(wanted.status, Failure) else ()
    values = (*(value for _, value in found), *reason)
    return ("where " + " and ".join(tests) if tests else ""), values


def _status(wanted: Filter) -> list[str]:
    if isinstance(wanted.status, Failure):
        return ["reason = ?"]
    if wanted.status is None:
        return []
    return [
        {
            Status.FINISHED: "reason is null",
            Status.FAILED: "reason is not null",
            Status.RUNNING: "0",
        }[wanted.status]
    ]


def _facts(row: Any) -> Facts:
    position, sample_id, reason, *rest = row
    return Facts(position, sample_id, Failure(reason) if reason else None, *rest)
