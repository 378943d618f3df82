"""Asks the index: pages of a list, and the samples before and after one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tessy.errors import InputError, ViewError
from tessy.method.trajectory import Failure
from tessy.report.viewer.filters import Filter, Status
from tessy.report.viewer.index import TOKENIZE, IndexRow

PAGE = 50
"""Samples on a page."""
_COLUMNS = ", ".join(field.name for field in fields(IndexRow))
_STATUS_TESTS = {
    Status.FINISHED: "reason is null",
    Status.FAILED: "reason is not null",
    Status.RUNNING: "0",  # the index has only samples that ended
}


@dataclass(frozen=True, slots=True)
class SampleList:
    """A page of a list.

    Attributes:
        rows: Its samples, in the order of the questions.
        total: Samples on all pages.
    """

    rows: tuple[IndexRow, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The samples beside one, among those of a filter.

    Attributes:
        previous: The id of the one before.
        next: The id of the one after.
        page: The page of the list with the sample.
    """

    previous: str | None
    next: str | None
    page: int


class Search:
    """A run's index, open for reading.

    Raises:
        ViewError: In its methods: the index can't be read.
        InputError: In its methods: the text of the filter holds no word.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def page(self, wanted: Filter, number: int) -> SampleList:
        """A page of the samples of a filter.

        Args:
            wanted: The filter.
            number: From 1.
        """
        where, values = _where(wanted)
        with self._open() as connection:
            (total,) = connection.execute(
                f"select count(*) from samples {where}", values
            ).fetchone()  # fmt: skip
            rows = connection.execute(
                f"select {_COLUMNS} from samples {where} order by position limit ? offset ?",
                (*values, PAGE, (number - 1) * PAGE),
            )
            return SampleList(tuple(map(_row, rows)), total)

    def neighbours(self, wanted: Filter, sample_id: str) -> Neighbours:
        """The samples before and after one; none while the index does not have it."""
        with self._open() as connection:

            def first(columns: str, test: str, order: str = "") -> Any:
                where, values = _where(wanted, (test, sample_id))
                found = connection.execute(f"select {columns} from samples {where} {order}", values)
                return (found.fetchone() or (None,))[0]

            here = "(select position from samples where id = ?)"
            return Neighbours(
                previous=first("id", f"position < {here}", "order by position desc limit 1"),
                next=first("id", f"position > {here}", "order by position limit 1"),
                page=first("count(*)", f"position < {here}") // PAGE + 1,
            )

    def statuses(self) -> dict[str, int]:
        """How many samples finished, and how many failed for each reason."""
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


def _where(wanted: Filter, *more: tuple[str, Any]) -> tuple[str, list[Any]]:
    """The `where` clause of a filter and more tests, and its values."""
    tests = [
        ("share >= ? / 100.0", wanted.share_least),
        ("share <= ? / 100.0", wanted.share_most),
        ("tokens >= ?", wanted.tokens_least),
        ("tokens <= ?", wanted.tokens_most),
        ("instr(id, ?) > 0", wanted.id or None),
        ("words in (select rowid from words where words match ?)", _match(wanted.text)),
        ("reason = ?", wanted.status if isinstance(wanted.status, Failure) else None),
        *more,
    ]
    asked = [(test, value) for test, value in tests if value is not None]
    clauses = [test for test, _ in asked]
    if isinstance(wanted.status, Status):
        clauses.append(_STATUS_TESTS[wanted.status])
    where = f"where {' and '.join(clauses)}" if clauses else ""
    return where, [value for _, value in asked]


def _match(text: str) -> str | None:
    """A full-text query for samples with all words of a text, each given by its beginning."""
    if not text:
        return None
    words = terms(text)
    if not words:
        raise InputError(f"text = {text!r}: there is no word in it")
    return " ".join(f'"{word}"*' for word in words)


def _row(row: Any) -> IndexRow:
    position, sample_id, reason, *rest = row
    return IndexRow(position, sample_id, Failure(reason) if reason else None, *rest)
