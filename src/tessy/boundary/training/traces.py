"""Reading the thinking of a data set or of a run, to draw segments from.

The thinking of a row is in `thinking`, `reasoning_content` or `reasoning`, or between `<think>` and
`</think>` in the last message of `messages`, in `response`, `content` or `text`. Other fields are
optional: `id`, `model`, `subject` (or `domain`), `source`, `question_id` (or `question`, `prompt`,
or the first message).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessy.boundary.training.segments import ReasoningTrace
from tessy.data.rows import rows
from tessy.errors import DataError, bad_rows

_THINKING = ("thinking", "reasoning_content", "reasoning")
_RESPONSE = ("response", "content", "text")
_MARKED = re.compile(r"<think>(.*?)(?:</think>|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TracesRead:
    """The traces of a source.

    Attributes:
        traces: The traces, in file order.
        without: The number of rows without thinking.
    """

    traces: tuple[ReasoningTrace, ...]
    without: int


def read_traces(source: str | Path) -> TracesRead:
    """Read traces.

    Args:
        source: A run's folder, files, or a Hugging Face data set; see `tessy.data.rows.rows`.

    Raises:
        DataError: There is no such source, a line is broken, or no row holds any thinking.
    """
    found: list[ReasoningTrace] = []
    bad: list[tuple[str, str]] = []
    without: list[str] = []
    for number, (where, row) in enumerate(rows(source, what="traces")):
        if not isinstance(row, dict):
            bad.append((where, str(row) if isinstance(row, ValueError) else "not an object"))
            continue
        thinking = thinking_of(row)
        if thinking:
            found.append(_trace(row, thinking, number))
        else:
            without.append(where)
    if bad:
        raise DataError("\n".join([f"{len(bad)} bad lines", *bad_rows(bad)]))
    if not found:
        raise DataError(
            f"{source}: no row of {len(without)} holds any thinking",
            hint="a row needs `thinking`, or <think>…</think> in `messages` or `response`",
        )
    return TracesRead(tuple(found), len(without))


def thinking_of(row: Mapping[str, Any]) -> str:
    """The thinking in a row, without markers; "" if there is none."""
    for column in _THINKING:
        if isinstance(value := row.get(column), str) and value.strip():
            return value.strip()
    messages = row.get("messages")
    if isinstance(messages, list) and messages and isinstance(messages[-1], dict):
        inner = thinking_of({k: v for k, v in messages[-1].items() if k != "messages"})
        if inner:
            return inner
    for column in _RESPONSE:
        if isinstance(value := row.get(column), str) and (marked := _MARKED.search(value)):
            return marked[1].strip()
    return ""


def _trace(row: Mapping[str, Any], thinking: str, number: int) -> ReasoningTrace:
    def text(*columns: str) -> str:
        values = [row.get(column) for column in columns]
        return next((str(value) for value in values if isinstance(value, str | int)), "")

    messages = row.get("messages") or [{}]
    first = messages[0] if isinstance(messages, list) and isinstance(messages[0], dict) else {}
    asked = first.get("content", "") if isinstance(first.get("content"), str) else ""
    return ReasoningTrace(
        id=text("id") or f"{number:06d}",
        thinking=thinking,
        model=text("model"),
        subject=text("subject", "domain"),
        source=text("source"),
        question=text("question_id", "question", "prompt") or asked,
    )
