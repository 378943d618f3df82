"""Reads questions from JSONL, Parquet or a Hugging Face data set, and checks all of them.

A question is a row with `prompt` or `question` (text), or `messages` or `dialogs` (a list of
`{role, content}` that ends with the user). `id` is optional; other columns go into the record.
Questions with the same text are not merged.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tessy.data.rows import check_text, conversation, row_bytes, rows
from tessy.errors import DataError

_TEXT_COLUMNS = ("prompt", "question")
_CHAT_COLUMNS = ("messages", "dialogs")
_RESERVED = ("spans", "stats", "method", "models", "seed", "verdict")
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        number: Its row in the file, from 0.
        id: Its id, unique in its file; by default its number with six digits.
        messages: The conversation, ending with the user's message.
        extra: Other columns, which go into the record.
    """

    number: int
    id: str
    messages: tuple[dict[str, str], ...]
    extra: dict[str, Any] = field(default_factory=dict)

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


def read(source: str | Path, *, limit: int | None = None, skip_bad: bool = False) -> Questions:
    """Read and check every question.

    Args:
        source: A `.jsonl` or `.parquet` file, or a data set on Hugging Face (`owner/name`,
            `owner/name:split`; needs the `hub` extra).
        limit: Read and check only the first `limit` lines.
        skip_bad: Return bad lines instead of raising an error.

    Raises:
        DataError: There is no such file, it is empty, or lines are bad; the message names the first
            of them, each with the reason.
        MissingExtra: `datasets` is needed.
    """
    good: list[Question] = []
    bad: list[BadLine] = []
    digest = hashlib.sha256()
    seen: dict[str, str] = {}
    for number, (where, row) in enumerate(rows(source, what="questions")):
        digest.update(row_bytes(row))
        if limit is not None and number >= limit:
            continue
        try:
            question = _question(row, number)
            if question.id in seen:
                raise ValueError(f"id {question.id!r} is already at {seen[question.id]}")
        except ValueError as error:
            bad.append(BadLine(number, f"bad-line:{number + 1}", where, str(error)))
            continue
        seen[question.id] = where
        good.append(question)
    if bad and not skip_bad:
        raise DataError(_list(bad), hint="fix them, or record them as failures: --skip-bad")
    if not good and not bad:
        raise DataError(f"{source} contains no questions")
    return Questions(tuple(good), tuple(bad), digest.hexdigest())


def _list(bad: list[BadLine]) -> str:
    lines = [f"{len(bad)} bad line{'s' if len(bad) > 1 else ''}; nothing was started"]
    lines += [f"  {line.where}: {line.reason}" for line in bad[:_SHOWN]]
    if len(bad) > _SHOWN:
        lines.append(f"  … and {len(bad) - _SHOWN} more")
    return "\n".join(lines)


def _question(row: Any, number: int) -> Question:
    """Make a question from a row.

    Raises:
        ValueError: The row is not a question; the message says why.
    """
    if isinstance(row, ValueError):
        raise row
    if not isinstance(row, dict):
        raise ValueError(f"a question is an object, not {type(row).__name__}")
    columns = (*_TEXT_COLUMNS, *_CHAT_COLUMNS)
    column = next((name for name in columns if row.get(name) is not None), None)
    if column is None:
        there = ", ".join(row) or "nothing"
        raise ValueError(f"none of {', '.join(columns)} is there (only {there})")
    if column in _CHAT_COLUMNS:
        messages = conversation(row[column], column, last="user")
    else:
        messages = ({"role": "user", "content": check_text(row[column], column)},)
    reserved = {"id", column, *_CHAT_COLUMNS}
    extra = {
        (f"question_{key}" if key in _RESERVED else key): value
        for key, value in row.items()
        if key not in reserved
    }
    return Question(number, _id(row.get("id"), default=f"{number:06d}"), messages, extra)


def _id(value: Any, default: str) -> str:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise ValueError(f"id must be text or a whole number, not {value!r}")
    return str(value)
