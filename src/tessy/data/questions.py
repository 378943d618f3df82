"""Reads questions from files or a Hugging Face data set, and checks all of them.

A question is a row with a column that holds one (`tessy.data.columns`); `id` is optional, and other
columns go into the record. Questions with the same text are not merged.

Questions are not held in memory, so there may be any number of them: all rows are read once, to
check them, and again whenever their questions are needed. Of each row 16 bytes are kept: a hash of
the row, which shows that it has not changed since, and one of the question's id, which finds ids
that are there twice and decides to which shard of a run the question belongs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tessy.data.columns import BAD_LINE, Messages, NoQuestionColumn, id_in, no_column, question_in
from tessy.data.messages import cut
from tessy.data.rows import row_bytes, rows
from tessy.data.sources import name_of
from tessy.display import count_of
from tessy.errors import DataError, InputError, bad_rows, refuse_below_one

_HASH = 8
_NO_ID = bytes(_HASH)

Hashes = NDArray[np.uint64]


class QuestionRow(dict[str, Any]):
    """What a verifier sees of a question.

    Attributes:
        columns: The columns that hold something in the file, for messages.
    """

    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        number: Its row in the file, from 0.
        id: Its id, unique in its file; by default its number with six digits.
        messages: The conversation, ending with the user's message.
        extra: Other columns, which go into the record.
        where: File and line.
        columns: The columns of the file that hold something, for messages.
    """

    number: int
    id: str
    messages: Messages
    extra: dict[str, Any] = field(default_factory=dict)
    where: str = ""
    columns: tuple[str, ...] = field(default=(), compare=False)

    @property
    def row(self) -> QuestionRow:
        """The columns for a verifier, with the last message as `prompt`."""
        made = QuestionRow(self.extra, prompt=self.messages[-1]["content"])
        made.columns = self.columns
        return made


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is not a question, or one that can't be used.

    Attributes:
        number: Its row in the file, from 0.
        id: Its id in failures.jsonl.
        where: File and line number.
        reason: What is wrong with it.
        checked: It is a question, and the check that was passed to `read` refused it.
        columns: What a row without a question has instead; empty for others.
    """

    number: int
    id: str
    where: str
    reason: str
    checked: bool = False
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Questions:
    """The questions of a source, which are read again each time that they are iterated over.

    Attributes:
        source: Where they are from; see `tessy.data.rows.rows`.
        column: The column of the question; None for the one that is there.
        bad: The bad lines, in file order.
        digest: SHA-256 of all rows, even with a limit; a resumed run must have the same.
        row_hashes: A hash of each row up to the limit, good or bad.
        id_hashes: A hash of the id of each of these rows; 0 if it has none.
        repeated: How many good questions have the messages of an earlier one.
        beyond: How many lines are beyond the limit.
        unverifiable: How many good questions lack what an answer is verified by.
    """

    source: str | Path
    column: str | None
    bad: tuple[BadLine, ...]
    digest: str
    row_hashes: Hashes
    id_hashes: Hashes
    repeated: int = 0
    beyond: int = 0
    unverifiable: int = 0

    @property
    def count(self) -> int:
        """How many good questions there are."""
        return len(self.row_hashes) - len(self.bad)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Question]:
        """The good questions, in file order; see `take`."""
        return self.take(self.numbers())

    def numbers(self, shard: int = 0, shards: int = 1) -> NDArray[np.int64]:
        """The numbers of the good questions of a shard, ascending; see `shard_of`.

        Args:
            shard: The number of the shard, from 0.
            shards: The number of shards.
        """
        wanted = self.id_hashes % np.uint64(shards) == shard
        wanted[[line.number for line in self.bad]] = False
        return np.flatnonzero(wanted)

    def among(self, ids: Iterable[str]) -> set[str]:
        """Those of some ids that are of questions up to the limit."""
        asked = list(ids)
        hashes = _numbers(bytearray(b"".join(map(_id_hash, asked))))
        there = np.isin(hashes, self.id_hashes)
        return {each for each, found in zip(asked, there, strict=True) if found}

    def take(self, numbers: NDArray[np.int64]) -> Iterator[Question]:
        """Read some of the questions; rows in between are not parsed.

        Args:
            numbers: Numbers of good questions, ascending.

        Raises:
            DataError: The source can't be read any more; or a row, which is named, is no longer the
                one that was checked.
        """
        for number, where, row in _again(self.source, numbers, self.row_hashes):
            yield _question(row, number, where, self.column)

    def rows(self, numbers: NDArray[np.int64]) -> Iterator[tuple[int, Any]]:
        """Number and content of some rows, good or bad, as they are in the source.

        Args:
            numbers: Numbers of rows, ascending.

        Raises:
            DataError: As `take`.
        """
        for number, _, row in _again(self.source, numbers, self.row_hashes):
            yield number, row

    def shard_sizes(self, shards: int) -> list[int]:
        """How many good questions each shard has; see `shard_of`."""
        good = np.delete(self.id_hashes, [line.number for line in self.bad])
        found = np.bincount((good % np.uint64(shards)).astype(np.int64), minlength=shards)
        return [int(count) for count in found]


Check = Callable[[Question], None]
"""Raises an `InputError` if a question can't be used."""


def read(
    source: str | Path,
    *,
    limit: int | None = None,
    skip_bad: bool = False,
    column: str | None = None,
    check: Check | None = None,
) -> Questions:
    """Read all questions once, and check them.

    Args:
        source: A file, a folder of shards, a glob, `-` for standard input, or a data set on Hugging
            Face; see `tessy.data.rows.rows`.
        limit: Check and use only the first `limit` lines.
        skip_bad: Return bad lines instead of raising an error.
        column: The column of the question; by default the one that is there.
        check: Called with each question; one that it refuses becomes a bad line.

    Raises:
        DataError: There is no such file, it is empty, or lines are bad; the message names the first
            of them, each with the reason.
        ConfigError: The limit is below 1.
        MissingExtra: `datasets` is needed.
    """
    refuse_below_one(limit=limit)
    bad: dict[int, BadLine] = {}
    digest = hashlib.sha256(f"column {column}".encode() if column else b"")
    row_hashes, id_hashes, asked, beyond = bytearray(), bytearray(), bytearray(), 0
    for number, (where, row) in enumerate(rows(source, what="questions")):
        row_digest = _row_digest(row)
        digest.update(row_digest)
        if limit is not None and number >= limit:
            beyond += 1
            continue
        row_hashes += row_digest[:_HASH]
        try:
            question = _question(row, number, where, column)
        except ValueError as error:
            is_missing = isinstance(error, NoQuestionColumn) and column not in row
            there = _filled(row) if is_missing else ()
            bad[number] = bad_line(number, where, str(error), columns=there)
            id_hashes += _NO_ID
            asked += _NO_ID
            continue
        id_hashes += _id_hash(question.id)
        asked += hashlib.blake2b(
            row_bytes({"asked": question.messages}), digest_size=_HASH
        ).digest()
        if check is not None:
            try:
                check(question)
            except InputError as error:
                bad[number] = bad_line(number, where, str(error), checked=True)
    hashes = _numbers(row_hashes), _numbers(id_hashes)
    bad |= _duplicates(source, *hashes)
    lines = tuple(bad[number] for number in sorted(bad))
    good = np.delete(_numbers(asked), sorted(bad))
    repeated = len(good) - len(np.unique(good))
    found = Questions(source, column, lines, digest.hexdigest(), *hashes, repeated, beyond)
    if not row_hashes:
        raise DataError(f"{name_of(source)} contains no questions")
    return found if skip_bad else refuse_bad(found)


def refuse_bad(read: Questions, *, hint: str = "", may_skip: bool = True) -> Questions:
    """Refuse questions of which some are bad.

    Args:
        read: The questions.
        hint: What else to say of how to fix them.
        may_skip: The command has --skip-bad.

    Raises:
        DataError: Some are; the message names the first of them, each with the reason.
    """
    if not read.bad:
        return read
    if not read.count and all(line.columns for line in read.bad):
        raise _no_column(read)
    said = [f"{count_of(len(read.bad), 'bad line')}; nothing was started"]
    said += bad_rows((line.where, line.reason) for line in read.bad)
    skip = may_skip and bool(read.count)
    fix = "fix them" + ", or record them as failures: --skip-bad" * skip
    raise DataError("\n".join(said), hint=f"{fix}; {hint}" if hint else fix)


def _no_column(read: Questions) -> DataError:
    """No row has a question: the lines are not to be fixed one by one."""
    columns = dict.fromkeys(name for line in read.bad for name in line.columns)
    what, hint = no_column([*columns], read.column)
    return DataError(f"{name_of(read.source)}: {what}; nothing was started", hint=hint)


def bad_line(
    number: int, where: str, reason: str, *, checked: bool = False, columns: tuple[str, ...] = ()
) -> BadLine:
    """A bad line with its id."""
    return BadLine(number, f"{BAD_LINE}{number + 1}", where, cut(reason), checked, columns)


def shard_of(question_id: str, shards: int) -> int:
    """The shard of a run that writes a question, or records a bad line: it depends on its id only.

    Args:
        question_id: The id.
        shards: The number of shards.
    """
    return id_hash(question_id) % shards


def id_hash(question_id: str) -> int:
    """The hash of an id that is in `Questions.id_hashes`."""
    return int.from_bytes(_id_hash(question_id))


def _question(row: Any, number: int, where: str, column: str | None) -> Question:
    """Make a question from a row.

    Raises:
        ValueError: The row is not a question; the message says why.
    """
    messages, extra = question_in(row, column)
    return Question(number, id_in(row, number), messages, extra, where, _filled(row))


def _filled(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(key for key, value in row.items() if value is not None)


def _duplicates(source: str | Path, row_hashes: Hashes, id_hashes: Hashes) -> dict[int, BadLine]:
    """Questions whose id an earlier one has: the rows of equal hashes are read again to compare."""
    order = np.argsort(id_hashes, kind="stable")
    same = id_hashes[order][1:] == id_hashes[order][:-1]
    twice = np.union1d(order[1:][same], order[:-1][same])
    seen: dict[str, tuple[str, bool]] = {}
    found: dict[int, BadLine] = {}
    for number, where, row in _again(source, twice[id_hashes[twice] != 0], row_hashes):
        made, is_own = id_in(row, number), row.get("id") is not None
        first, is_of_first = seen.setdefault(made, (where, is_own))
        if first == where:
            continue
        said = f"id {made!r} is already at {first}"
        if not is_own:
            said = f"it has no id, and its number, {made}, is the id at {first}"
        elif not is_of_first:
            said += ", which has no id: its number is one"
        found[number] = bad_line(number, where, said)
    return found


def _again(
    source: str | Path, numbers: NDArray[np.int64], row_hashes: Hashes
) -> Iterator[tuple[int, str, Any]]:
    """Number, place and content of some rows, which were read before.

    Raises:
        DataError: A row is not the one that was read before.
    """
    if not len(numbers):
        return
    last = int(numbers[-1])
    wanted = np.zeros(last + 1, bool)
    wanted[numbers] = True
    flags, hashes = wanted.tobytes(), memoryview(row_hashes.astype(">u8").tobytes())
    found = rows(source, what="questions", wanted=chain(flags, repeat(0)))
    number = -1
    for number, (where, row) in enumerate(found):
        if not flags[number]:
            continue
        if _row_digest(row)[:_HASH] != hashes[number * _HASH : (number + 1) * _HASH]:
            raise _changed(f"{where}: this is no longer the row that was checked")
        yield number, where, row
        if number == last:
            return
    raise _changed(f"{name_of(source)} ends after row {number + 1:,}; more were checked")


def drawn(numbers: NDArray[np.int64], most: int, seed: int = 0) -> NDArray[np.int64]:
    """At most so many numbers of questions, drawn at random, in their order.

    At equal distances, a file whose sources alternate would give one of them alone.

    Args:
        numbers: Shape (questions,), ascending.
        most: How many at the most.
        seed: Another seed draws others.
    """
    if len(numbers) <= most:
        return numbers
    return np.sort(np.random.default_rng(seed).choice(numbers, most, replace=False))


def _changed(said: str) -> DataError:
    return DataError(
        said, hint="the questions must not change while they are used: put the old ones back"
    )


def _row_digest(row: Any) -> bytes:
    return hashlib.sha256(row_bytes(row)).digest()


def _id_hash(question_id: str) -> bytes:
    return hashlib.blake2b(question_id.encode(), digest_size=_HASH).digest()


def _numbers(hashes: bytearray) -> Hashes:
    return np.frombuffer(hashes, ">u8").astype(np.uint64)
