"""Asks the index: pages of a list, and the samples before and after one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import orjson

from tessy.errors import InputError, ViewError
from tessy.method.trajectory import Failure
from tessy.report.figures.intervals import QuestionSums
from tessy.report.viewer.filters import Filter, ReviewFilter, Sort, Status, VerdictFilter
from tessy.report.viewer.indexed import TOKENIZE, IndexRow
from tessy.report.viewer.totals import BY_QUESTION, TOTALS, SampleTotals
from tessy.runs.reviews import Review
from tessy.verifiers.protocol import VerdictOutcome

PAGE = 50
"""Samples on a page."""
_COLUMNS = ", ".join(field.name for field in fields(IndexRow))
_STATUS_TESTS = {
    Status.FINISHED: "reason is null",
    Status.FAILED: "reason is not null",
    Status.RUNNING: "0",  # the index has only samples that ended
}


_VERDICT_TESTS = {VerdictFilter.UNVERIFIED: "reason is null and outcome is null"} | {
    verdict: f"outcome = '{verdict}'"
    for verdict in VerdictFilter
    if verdict is not VerdictFilter.UNVERIFIED
}
_SORTED_BY = {
    Sort.ID: "id",
    Sort.VERDICT: "case outcome when 'wrong' then 0 when 'no_answer' then 1 when 'error' then 2"
    " when 'right' then 3 else 4 end",
    Sort.STATUS: "coalesce(reason, '')",
    Sort.SHARE: "coalesce(share, -1)",
    Sort.TOKENS: "tokens",
    Sort.DISCARDED: "discarded",
    Sort.HAND_OVERS: "hand_overs",
    Sort.TOKENS_A_CALL: "1.0 * tokens / max(requests, 1)",
    Sort.SECONDS_A_CALL: "seconds / max(requests, 1)",
    None: "position",
}
"""Never null, so that any two samples can be compared."""


@dataclass(frozen=True, slots=True)
class SampleList:
    """A page of a list.

    Attributes:
        rows: Its samples, in the order of the filter.
        totals: What the samples on all pages come to.
    """

    rows: tuple[IndexRow, ...]
    totals: SampleTotals

    @property
    def total(self) -> int:
        """Samples on all pages."""
        return self.totals.samples


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

    Args:
        path: Where it is.
        reviews: Gives what readers decided, by sample id.
        several: Gives the samples of each question.
        evaluation: Says whether it is the index of an evaluation.

    Raises:
        ViewError: In its methods: the index can't be read.
        InputError: In its methods: the text of the filter holds no word.
    """

    def __init__(
        self,
        path: Path,
        reviews: Callable[[], Mapping[str, Review]] = dict,
        several: Callable[[], int] = lambda: 1,
        evaluation: Callable[[], bool] = lambda: False,
    ) -> None:
        self._path = path
        self._reviews = reviews
        self._several = several
        self._evaluation = evaluation

    def page(self, wanted: Filter, number: int, totals: SampleTotals | None = None) -> SampleList:
        """A page of the samples of a filter.

        Args:
            wanted: The filter.
            number: From 1.
            totals: What its samples come to, if that is known.
        """
        where, values = self._where(wanted)
        order = f"{_SORTED_BY[wanted.sort]} {_direction(wanted)}, position"
        with self._open() as connection:
            if totals is None:
                totals = self._sums(connection, where, values)
            rows = connection.execute(
                f"select {_COLUMNS} from samples join (select position as here from samples {where}"
                f" order by {order} limit ? offset ?) on position = here order by {order}",
                (*values, PAGE, (number - 1) * PAGE),
            )
            return SampleList(tuple(map(_row, rows)), totals)

    def neighbours(self, wanted: Filter, sample_id: str) -> Neighbours:
        """The samples before and after one; none while the index does not have it."""
        key, way = _SORTED_BY[wanted.sort], _direction(wanted)
        back = "asc" if way == "desc" else "desc"
        after, before = ("<", ">") if way == "desc" else (">", "<")
        with self._open() as connection:
            here = connection.execute(
                f"select {key}, position from samples where id = ?", (sample_id,)
            ).fetchone()
            if here is None:
                return Neighbours(None, None, 1)

            def first(columns: str, than: str, side: str, order: str = "") -> Any:
                if wanted.sort is None:  # as SQLite can use the table's own order
                    test, asked = f"position {side} ?", here[1:]
                else:
                    test = f"({key} {than} ? or ({key} = ? and position {side} ?))"
                    asked = (here[0], *here)
                where, values = self._where(wanted, (test, asked))
                found = connection.execute(f"select {columns} from samples {where} {order}", values)
                return (found.fetchone() or (None,))[0]

            backwards = f"order by {key} {back}, position desc limit 1"
            return Neighbours(
                previous=first("id", before, "<", backwards),
                next=first("id", after, ">", f"order by {key} {way}, position limit 1"),
                page=first("count(*)", before, "<") // PAGE + 1,
            )

    def statuses(self) -> dict[str, int]:
        """How many samples finished, and how many failed for each reason."""
        with self._open() as connection:
            rows = connection.execute("select reason, count(*) from samples group by reason")
            return {reason or Status.FINISHED.value: count for reason, count in rows}

    def totals(self, wanted: Filter) -> SampleTotals:
        """What the samples of a filter come to."""
        where, values = self._where(wanted)
        with self._open() as connection:
            return self._sums(connection, where, values)

    def _sums(self, connection: sqlite3.Connection, where: str, values: list[Any]) -> SampleTotals:
        def sums_of(asked: str) -> list[Any]:
            return [value or 0 for value in connection.execute(asked, values).fetchone()]

        several, evaluation = self._several(), self._evaluation()
        sums = sums_of(f"select {TOTALS} from samples {where}")
        totals = replace(SampleTotals(*sums), evaluation=evaluation)
        if several == 1:
            return totals
        asked = BY_QUESTION.format(where=where, several=several, evaluation=evaluation)
        return replace(totals, by_question=QuestionSums(*sums_of(asked)))

    def _where(self, wanted: Filter, *more: tuple[str, tuple[Any, ...]]) -> tuple[str, list[Any]]:
        """The `where` clause of a filter and more tests, and its values."""
        tests = [*_tests(wanted), *more]
        if wanted.review is not None:
            tests.append(_review_test(wanted.review, self._reviews()))
        where = f"where {' and '.join(test for test, _ in tests)}" if tests else ""
        return where, [value for _, values in tests for value in values]

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


def _direction(wanted: Filter) -> str:
    return "desc" if wanted.sort and wanted.descending else "asc"


def _tests(wanted: Filter) -> list[tuple[str, tuple[Any, ...]]]:
    """What a filter asks of a sample: SQL, each with its values."""
    asked = [
        ("share >= ? / 100.0", wanted.share_least),
        ("share <= ? / 100.0", wanted.share_most),
        ("tokens >= ?", wanted.tokens_least),
        ("tokens <= ?", wanted.tokens_most),
        ("instr(id, ?) > 0", wanted.id or None),
        ("words in (select rowid from words where words match ?)", _match(wanted.text)),
        ("reason = ?", wanted.status if isinstance(wanted.status, Failure) else None),
    ]
    tests: list[tuple[str, tuple[Any, ...]]] = [
        (test, (value,)) for test, value in asked if value is not None
    ]
    if isinstance(wanted.status, Status):
        tests.append((_STATUS_TESTS[wanted.status], ()))
    if wanted.verdict is not None:
        tests.append((_VERDICT_TESTS[wanted.verdict], ()))
    return tests


def _review_test(
    wanted: ReviewFilter, reviews: Mapping[str, Review]
) -> tuple[str, tuple[Any, ...]]:
    """A test for what readers decided, who are few enough for a list of ids."""
    ids = [sample_id for sample_id, review in reviews.items() if _is_so(wanted, review)]
    some = "id in (select value from json_each(?))"
    test = f"not {some}" if wanted is ReviewFilter.OPEN else some
    return test, (orjson.dumps(ids).decode(),)


def _is_so(wanted: ReviewFilter, review: Review) -> bool:
    if wanted is ReviewFilter.COMMENTED:
        return bool(review.comment)
    if wanted is ReviewFilter.OPEN:
        return review.decision is not None
    return review.decision is not None and review.decision.value == wanted.value


def _match(text: str) -> str | None:
    """A full-text query for samples with all words of a text, each given by its beginning."""
    if not text:
        return None
    words = terms(text)
    if not words:
        raise InputError(f"text = {text!r}: there is no word in it")
    return " ".join(f'"{word}"*' for word in words)


def _row(row: Any) -> IndexRow:
    position, sample_id, reason, outcome, *rest = row
    failure = Failure(reason) if reason else None
    return IndexRow(
        position, sample_id, failure, VerdictOutcome(outcome) if outcome else None, *rest
    )
