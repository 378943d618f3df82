"""The questions to select from: read once, and checked; of each, a few numbers are kept.

Questions themselves are not held in memory (`tessy.data.questions`). Beside what is kept there,
16 bytes a question: a hash of its conversation, by which a measurement of another question with
the same id is known, and its place in the order by id. With a count, 12 more.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from tessy.data.exact import dumps
from tessy.data.questions import Question, Questions, id_hash, read
from tessy.errors import DataError, meant
from tessy.selection.draw import lot

NO_STRATUM = "(none)"
"""The stratum of questions that have no value in the column."""
_LONGEST = 200
"""Characters of a stratum's name; longer values that begin alike are one stratum."""


@dataclass(frozen=True, slots=True, eq=False)
class AskedQuestions:
    """Questions, and numbers about each; arrays have an item for each row, good or bad.

    Attributes:
        questions: The questions.
        good: Whether a row is a good question.
        texts: A hash of the conversation; see `text_hash`.
        lots: What the question is drawn by; empty if none are drawn.
        strata: The number of its stratum; 0 without strata. Empty if none are drawn.
        names: The names of the strata.
    """

    questions: Questions
    good: NDArray[np.bool_]
    texts: NDArray[np.uint64]
    lots: NDArray[np.uint64]
    strata: NDArray[np.int32]
    names: tuple[str, ...]
    _order: NDArray[np.int64]
    _hashes: NDArray[np.uint64]

    def find(self, question_id: str) -> int | None:
        """The row of the question with an id; None if there is none."""
        wanted = np.uint64(id_hash(question_id))
        at = int(np.searchsorted(self._hashes, wanted))
        if at == len(self._hashes) or self._hashes[at] != wanted:
            return None
        return int(self._order[at])


def text_hash(messages: Iterable[Mapping[str, str]]) -> int:
    """A hash of a conversation, of 64 bits."""
    raw = dumps([dict(message) for message in messages], orjson.OPT_SORT_KEYS)
    return int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest())


def read_asked(
    source: str | Path,
    *,
    limit: int | None = None,
    skip_bad: bool = False,
    question_column: str | None = None,
    stratify: str | None = None,
    seed: int | None = None,
) -> AskedQuestions:
    """Read all questions once, and check them.

    Args:
        source: The questions, as for `tessy.data.questions.read`.
        limit: Use only the first lines.
        skip_bad: Return bad lines instead of raising an error.
        question_column: The column of the question; None for the one that is there.
        stratify: The column of the strata; None for none.
        seed: Of the draw; None if nothing is drawn.

    Raises:
        DataError: Lines are bad, or no question has the column of the strata.
    """
    notes = _QuestionNotes(stratify, seed)
    questions = read(
        source, limit=limit, skip_bad=skip_bad, column=question_column, check=notes.add
    )
    notes.refuse_no_strata()
    rows = len(questions.row_hashes)
    good = np.zeros(rows, bool)
    good[questions.numbers()] = True
    numbers = np.flatnonzero(good)
    order = numbers[np.argsort(questions.id_hashes[numbers], kind="stable")]
    return AskedQuestions(
        questions,
        good,
        texts=_padded(notes.texts, np.uint64, rows),
        lots=_padded(notes.lots, np.uint64, rows if seed is not None else 0),
        strata=_padded(notes.strata, np.int32, rows if seed is not None else 0),
        names=tuple(notes.names),
        _order=order,
        _hashes=questions.id_hashes[order],
    )


class _QuestionNotes:
    """What is noted of each question while all are checked.

    Args:
        stratify: The column of the strata; None for none.
        seed: Of the draw; None if nothing is drawn.
    """

    def __init__(self, stratify: str | None, seed: int | None) -> None:
        self._column, self._seed = stratify, seed
        self.texts, self.lots, self.strata = array("Q"), array("Q"), array("i")
        self.names: dict[str, int] = {} if stratify else {NO_STRATUM: 0}
        self._columns: dict[str, None] = {}
        self._has_strata = False

    def add(self, question: Question) -> None:
        """Note a question; bad rows before it get zeros."""
        _put(self.texts, question.number, text_hash(question.messages))
        if self._seed is None:
            return
        _put(self.lots, question.number, lot(question.id, self._seed))
        if self._column is not None:
            _put(self.strata, question.number, self._stratum(question.extra, self._column))

    def _stratum(self, extra: dict[str, Any], column: str) -> int:
        if column in extra:
            self._has_strata = True
        elif not self._has_strata:
            self._columns.update(dict.fromkeys(extra))
        value = extra.get(column)
        name = NO_STRATUM if value is None else value
        if not isinstance(name, str):
            name = dumps(name).decode()
        return self.names.setdefault(name[:_LONGEST], len(self.names))

    def refuse_no_strata(self) -> None:
        """Refuse a column that no question has.

        Raises:
            DataError: No question has it.
        """
        if self._column is None or self._has_strata:
            return
        columns = sorted(self._columns)
        raise DataError(
            f"no question has a column {self._column!r} for --stratify",
            hint=f"{meant(self._column, columns)}there are {', '.join(columns) or 'no others'}",
        )


def _put(numbers: array[int], at: int, value: int) -> None:
    numbers.extend([0] * (at - len(numbers)))
    numbers.append(value)


def _padded(numbers: array[int], kind: Any, rows: int) -> NDArray[Any]:
    found = np.zeros(rows, kind)
    found[: len(numbers)] = np.frombuffer(numbers, kind) if numbers else []
    return found
