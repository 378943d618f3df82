"""Reading what a verifier needs from a question's columns."""

from __future__ import annotations

from typing import Any

from tessy.errors import DataError
from tessy.verifiers.protocol import Row


def present(row: Row, column: str, verifier: str) -> Any:
    """The value of a column that must be there.

    Raises:
        DataError: It is not, or it is empty.
    """
    value = row.get(column)
    if value is None or value == "":
        there = ", ".join(key for key, item in row.items() if item is not None) or "nothing"
        raise DataError(
            f"verifier {verifier}: no column {column!r} (only {there})",
            hint="NAME:COLUMN takes another column, as in number:gold",
        )
    return value


def text(row: Row, column: str, verifier: str) -> str:
    """The value of a column that must hold text, a number or a truth value, as text.

    Raises:
        DataError: It holds something else, or nothing.
    """
    value = present(row, column, verifier)
    if not isinstance(value, str | int | float):
        raise DataError(
            f"verifier {verifier}: column {column!r} must hold text or a number, "
            f"not {type(value).__name__}"
        )
    return str(value)


def shorten(value: str, length: int = 80) -> str:
    """A text as one line of at most `length` characters, for a verdict's detail."""
    line = " ".join(value.split())
    return line if len(line) <= length else line[: length - 1] + "…"
