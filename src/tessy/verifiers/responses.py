"""Responses to be verified: the records of a run, or any rows with `messages`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessy.data.messages import conversation
from tessy.data.record import MARKERS, THINK_CLOSE, check_spans
from tessy.runs.records import rows_of
from tessy.verifiers.protocol import Row

_OPEN, _CLOSE = MARKERS


@dataclass(frozen=True, slots=True)
class Response:
    """A response, and the question's columns.

    Attributes:
        id: The id of its record, or its number in the file.
        where: File and line.
        row: All columns but the conversation, and the last question as `prompt`.
        answer: Its final answer part; empty if the thinking never ended.
        content: The whole response.
        fault: Why the row is no response; None if it is one.
    """

    id: str
    where: str
    row: Row
    answer: str
    content: str = ""
    fault: str | None = None


def read_responses(source: str | Path, *, limit: int | None = None) -> Iterator[Response]:
    """Read responses, one after the other; errors are those of `tessy.runs.records.rows_of`.

    Args:
        source: A run's folder, files or a data set on Hugging Face; see `tessy.data.rows.rows`.
        limit: Only the first of them.

    Yields:
        The responses; one with a `fault` is none.
    """
    for number, (where, row) in enumerate(rows_of(source, what="responses")):
        if limit is not None and number >= limit:
            return
        try:
            yield _response(row, number, where)
        except ValueError as error:
            yield Response(f"{number:06d}", where, {}, "", fault=str(error))


def answer_of(content: str, spans: object = None) -> str:
    """The final answer part of an assistant's content.

    Args:
        content: `<think>…</think>`, and the answer; or an answer alone.
        spans: The record's, if it has any: they tell the end of the thinking from the same
            characters in a text.
    """
    with suppress(ValueError):  # spans of another tool are a column like any other
        for span in check_spans(content, spans):
            if span["role"] == "format" and content[span["start"] : span["end"]] == THINK_CLOSE:
                return content[span["end"] :]
    thinking, marker, answer = content.rpartition(_CLOSE)
    if marker:
        return answer.strip()
    return "" if thinking or content.lstrip().startswith(_OPEN) else content


def _response(row: Any, number: int, where: str) -> Response:
    if isinstance(row, ValueError):
        raise row
    if not isinstance(row, dict):
        raise ValueError(f"a response is an object, not {type(row).__name__}")
    if row.get("messages") is None:
        raise ValueError(f"there are no `messages` (only {', '.join(row) or 'nothing'})")
    messages = conversation(row["messages"], "messages", last="assistant", may_end_empty=True)
    asked = [message["content"] for message in messages if message["role"] == "user"]
    columns = {key: value for key, value in row.items() if key not in ("messages", "spans")}
    if asked:
        columns.setdefault("prompt", asked[-1])
    name = row.get("id")
    content = messages[-1]["content"]
    answer = answer_of(content, row.get("spans"))
    named = f"{number:06d}" if name is None else str(name)
    return Response(named, where, columns, answer, content)
