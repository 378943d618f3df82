"""The columns of a row that hold a question.

prompt, question, problem      a text, or a list of messages
instruction, and `input`       Alpaca's: two texts, joined by a line end
messages, dialogs              a list of `{role, content}` that ends with the user
conversations                  ShareGPT's: a list of `{from, value}` that ends with the human
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from tessy.data.messages import check_text, conversation, cut
from tessy.errors import meant, nearest

Messages = tuple[dict[str, str], ...]
BAD_LINE = "bad-line:"
"""How ids of bad lines begin."""
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
_LONGEST_ID = 500
_NOT_ONE_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SHOWN = 20


def bad_line_number(sample_id: str) -> int | None:
    """The row of a bad line, from 0, by its id in failures.jsonl; None for the id of a question."""
    number = sample_id.removeprefix(BAD_LINE)
    return int(number) - 1 if number != sample_id and number.isdecimal() else None


class NoQuestionColumn(ValueError):
    """A row has no column that holds its question."""


def question_in(row: Any, column: str | None) -> tuple[Messages, dict[str, Any]]:
    """The messages of the question in a row, and the other columns, which go into the record.

    Args:
        row: The row; a `ValueError` where it can't be read.
        column: The column of the question; None for the one that is there.

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
    return messages, extra


def no_column(columns: Collection[str], column: str | None) -> tuple[str, str]:
    """What is wrong if no row has a column for its question, and what to write instead.

    Args:
        columns: The columns that are there.
        column: The one that was named; None if none was.
    """
    there = cut(", ".join(columns))
    if column is not None:
        hint = f"{meant(column, columns)}--question-column names one of {there}"
        return f"no row has a column {column!r}", hint
    near = next((each for each in columns if nearest(each, _COLUMNS)), None)
    hint = f"did you mean --question-column {near}? " if near else "--question-column names it: "
    what = f"no row has a question: none of {', '.join(_COLUMNS)} is there"
    return what, f"{hint}there are {there}"


def id_in(row: dict[str, Any], number: int) -> str:
    """The id of the question in a row; by default the row's number with six digits.

    Args:
        row: The row.
        number: Its number in the source, from 0.

    Raises:
        ValueError: The id is not a line of text, or a whole number.
    """
    value = row.get("id")
    if value is None:
        return f"{number:06d}"
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"id must be text or a whole number, not {cut(repr(value))}")
    made = str(value)
    if not made.strip() or _NOT_ONE_LINE.search(made) or len(made) > _LONGEST_ID:
        raise ValueError(
            f"id {cut(made, _SHOWN)!r} must be a line of text of at most {_LONGEST_ID} characters"
        )
    if made.startswith(BAD_LINE):
        raise ValueError(f"id {made!r}: {BAD_LINE}N is the id of a bad line; give it another")
    return made


def _asked(row: dict[str, Any], column: str | None) -> tuple[Messages, Collection[str]]:
    """The messages of a question, and the columns that they are from.

    Raises:
        ValueError: There are none, or several that differ.
    """
    there = [name for name in _COLUMNS if row.get(name) not in (None, "", [])]
    if column is not None:
        if column in row and row[column] is None:
            raise ValueError(f"{column} is empty")
        if column not in row:
            raise NoQuestionColumn(f"{column} is not there (only {', '.join(row) or 'nothing'})")
        return _messages(row, column), ("id", column)
    if not there:
        if empty := next((name for name in _COLUMNS if name in row), None):
            raise ValueError(f"{empty} is empty")
        raise NoQuestionColumn(
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
