"""Reads questions from files or a Hugging Face data set, and checks all of them.

A question is a row with one of these columns; `id` is optional, and other columns go into the
record. Questions with the same text are not merged.

    prompt, question, problem      a text, or a list of messages
    instruction, and `input`       Alpaca's: two texts, joined by a line end
    messages, dialogs              a list of `{role, content}` that ends with the user
    conversations                  ShareGPT's: a list of `{from, value}` that ends with the human
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tessy.data.messages import check_text, conversation, cut
from tessy.data.rows import row_bytes, rows
from tessy.data.sources import name_of
from tessy.errors import DataError

_COLUMNS = (
    "prompt",
    "question",
    "problem",
    "instruction",
    "messages",
    "dialogs",
    "conversations",
)
_BESIDE = ("system", "history", "tools")
"""Columns of other tools that belong to a question and have no place in it."""
_RESERVED = ("messages", "spans", "stats", "method", "models", "seed", "verdict")
_BAD_LINE = "bad-line:"
_LONGEST_ID = 500
_NOT_ONE_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SHOWN = 20

Messages = tuple[dict[str, str], ...]


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        number: Its row in the file, from 0.
        id: Its id, unique in its file; by default its number with six digits.
        messages: The conversation, ending with the user's message.
        extra: Other columns, which go into the record.
        where: File and line.
    """

    number: int
    id: str
    messages: Messages
    extra: dict[str, Any] = field(default_factory=dict)
    where: str = ""

    @property
    def row(self) -> dict[str, Any]:
        """The columns for a verifier, with the last message as `prompt`."""
        return {**self.extra, "prompt": self.messages[-1]["content"]}


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is not a question.

    Attributes:
        number: Its row in the file, from 0.
        id: Its id in failures.jsonl.
        where: File and line number.
        reason: What is wrong with it.
    """

    number: int
    id: str
    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class Questions:
    """The questions and bad lines of a file.

    Attributes:
        good: The questions, in file order.
        bad: The bad lines, in file order.
        digest: SHA-256 of all rows, even with a limit; a resumed run must have the same.
    """

    good: tuple[Question, ...]
    bad: tuple[BadLine, ...]
    digest: str
    limit: int | None = None

    def __len__(self) -> int:
        return len(self.good)

    def __iter__(self):
        return iter(self.good)

    def of_shard(self, number: int, shards: int):
        return (q for q in self.good if shard_of(q.id, shards) == number)

    def shard_sizes(self, shards: int) -> list[int]:
        sizes = [0] * shards
        for q in self.good:
            sizes[shard_of(q.id, shards)] += 1
        return sizes


def shard_of(question_id: str, shards: int) -> int:
    digest = hashlib.blake2b(question_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest) % shards


def read(
    source: str | Path,
    *,
    limit: int | None = None,
    skip_bad: bool = False,
    column: str | None = None,
) -> Questions:
    """Read and check every question.

    Args:
        source: A file, a folder of shards, a glob, `-` for standard input, or a data set on Hugging
            Face; see `tessy.data.rows.rows`.
        limit: Read and check only the first `limit` lines.
        skip_bad: Return bad lines instead of raising an error.
        column: The column of the question; by default the one that is there.

    Raises:
        DataError: There is no such file, it is empty, or lines are bad; the message names the first
            of them, each with the reason.
        MissingExtra: `datasets` is needed.
    """
    good: list[Question] = []
    bad: list[BadLine] = []
    digest = hashlib.sha256(f"column {column}".encode() if column else b"")
    seen: dict[str, str] = {}
    for number, (where, row) in enumerate(rows(source, what="questions")):
        digest.update(row_bytes(row))
        if limit is not None and number >= limit:
            continue
        try:
            question = _question(row, number, where, column)
            if question.id in seen:
                raise ValueError(f"id {question.id!r} is already at {seen[question.id]}")
        except ValueError as error:
            bad.append(bad_line(number, where, str(error)))
            continue
        seen[question.id] = where
        good.append(question)
    if not good and not bad:
        raise DataError(f"{name_of(source)} contains no questions")
    found = Questions(tuple(good), tuple(bad), digest.hexdigest(), limit)
    return found if skip_bad else refuse_bad(found)


def refuse_bad(read: Questions) -> Questions:
    """Refuse questions of which some are bad.

    Raises:
        DataError: Some are; the message names the first of them, each with the reason.
    """
    if not read.bad:
        return read
    bad = read.bad
    said = [f"{len(bad)} bad line{'s' if len(bad) > 1 else ''}; nothing was started"]
    said += [f"  {line.where}: {line.reason}" for line in bad[:_SHOWN]]
    if len(bad) > _SHOWN:
        said.append(f"  … and {len(bad) - _SHOWN} more")
    raise DataError("\n".join(said), hint="fix them, or record them as failures: --skip-bad")


def bad_line(number: int, where: str, reason: str) -> BadLine:
    """A bad line with its id."""
    return BadLine(number, f"{_BAD_LINE}{number + 1}", where, cut(reason))


def _question(row: Any, number: int, where: str, column: str | None) -> Question:
    """Make a question from a row.

    Raises:
        ValueError: The row is not a question; the message says why.
    """
    if isinstance(row, ValueError):
        raise row
    if not isinstance(row, dict):
        raise ValueError(f"a question is an object, not {type(row).__name__}")
    messages, used = _asked(row, column)
    extra: dict[str, Any] = {}
    for key, value in row.items():
        if key not in used:
            name = f"question_{key}" if key in _RESERVED else key
            if name in extra or (name != key and name in row):
                raise ValueError(f"{key} becomes {name} in the record, and that is there too")
            extra[name] = value
    return Question(number, _id(row.get("id"), f"{number:06d}"), messages, extra, where)


def _asked(row: dict[str, Any], column: str | None) -> tuple[Messages, Collection[str]]:
    """The messages of a question, and the columns that they are from.

    Raises:
        ValueError: There are none, or several that differ.
    """
    there = [name for name in _COLUMNS if row.get(name) not in (None, "", [])]
    if column is not None:
        if row.get(column) is None:
            raise ValueError(f"{column} is not there (only {', '.join(row) or 'nothing'})")
        return _messages(row, column), ("id", column)
    if not there:
        if empty := next((name for name in _COLUMNS if row.get(name) is not None), None):
            raise ValueError(f"{empty} is empty")
        raise ValueError(
            f"none of {', '.join(_COLUMNS)} is there (only {', '.join(row) or 'nothing'}); "
            "--question-column names another"
        )
    if beside := [name for name in _BESIDE if row.get(name) not in (None, "", [], {})]:
        how = "tools can't be called here" if beside[0] == "tools" else "write it into `messages`"
        raise ValueError(
            f"{beside[0]} has no place in a question: {how}; or name the question's column with "
            f"--question-column, and {beside[0]} is only copied to the record"
        )
    first, *others = there
    if others and len({_shape(row, name) for name in there}) > 1:
        raise ValueError(
            f"{' and '.join(there)} each hold a question, and they differ: choose one with "
            "--question-column"
        )
    used = ("id", first, "input") if first == "instruction" else ("id", first)
    return _messages(row, first), used


def _messages(row: dict[str, Any], column: str) -> Messages:
    value = row[column]
    if isinstance(value, list) or column in _COLUMNS[-3:]:
        return conversation(value, column, last="user")
    text = check_text(value, column)
    if column == "instruction" and row.get("input") not in (None, ""):
        text += "\n" + check_text(row["input"], "input")
    return ({"role": "user", "content": text},)


def _shape(row: dict[str, Any], column: str) -> object:
    """What a column asks, to compare it with another: without the answer that may follow."""
    value = row[column]
    last = value[-1] if isinstance(value, list) and len(value) > 1 else None
    if isinstance(last, dict) and last.get("role", last.get("from")) in ("assistant", "gpt"):
        row = {**row, column: value[:-1]}
    try:
        return tuple(tuple(message.items()) for message in _messages(row, column))
    except ValueError as error:
        return str(error)


def _id(value: Any, default: str) -> str:
    """The id of a question.

    Raises:
        ValueError: It is not a line of text, or a whole number.
    """
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"id must be text or a whole number, not {cut(repr(value))}")
    made = str(value)
    if not made.strip() or _NOT_ONE_LINE.search(made) or len(made) > _LONGEST_ID:
        raise ValueError(
            f"id {cut(made, _SHOWN)!r} must be a line of text of at most {_LONGEST_ID} characters"
        )
    if made.startswith(_BAD_LINE):
        raise ValueError(f"id {made!r}: {_BAD_LINE}N is the id of a bad line; give it another")
    return made
