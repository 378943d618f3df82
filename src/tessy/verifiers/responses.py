"""Responses to be verified: the records of a run, or any rows with `messages`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessy.data.files import dataset_of
from tessy.data.record import MARKERS, THINK_CLOSE
from tessy.data.rows import rows
from tessy.errors import DataError
from tessy.verifiers.protocol import Row

_OPEN, _CLOSE = MARKERS
_HINT = "a response is a record of tessy, or a row with `messages` that ends with the assistant's"


@dataclass(frozen=True, slots=True)
class Response:
    """A response, and the question's columns.

    Attributes:
        id: The id of its record, or its number in the file.
        where: File and line.
        row: All columns but the conversation, and the last question as `prompt`.
        answer: Its final answer part; empty if the thinking never ended.
    """

    id: str
    where: str
    row: Row
    answer: str


def read_responses(source: str | Path, *, limit: int | None = None) -> Iterator[Response]:
    """Read responses, one after the other.

    Args:
        source: A run's folder, a `.jsonl` or `.parquet` file, or a data set on Hugging Face.
        limit: Only the first of them.

    Raises:
        DataError: There is no such source, or a row is no response.
    """
    source = dataset_of(source)
    for number, (where, row) in enumerate(rows(source, what="responses")):
        if limit is not None and number >= limit:
            return
        if not isinstance(row, dict):
            said = row if isinstance(row, ValueError) else f"no object but {type(row).__name__}"
            raise DataError(f"{where}: {said}", hint=_HINT)
        yield _response(row, number, where)


def answer_of(content: str, spans: object = None) -> str:
    """The final answer part of an assistant's content.

    Args:
        content: `<think>…</think>`, and the answer; or an answer alone.
        spans: The record's, if it has any: they tell the end of the thinking from the same
            characters in a text.
    """
    if isinstance(spans, list):
        for span in spans:
            is_format = isinstance(span, dict) and span.get("role") == "format"
            if is_format and content[span["start"] : span["end"]] == THINK_CLOSE:
                return content[span["end"] :]
    thinking, marker, answer = content.rpartition(_CLOSE)
    if marker:
        return answer.strip()
    return "" if thinking or content.lstrip().startswith(_OPEN) else content


def _response(row: dict[str, Any], number: int, where: str) -> Response:
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        raise DataError(f"{where}: there are no `messages`", hint=_HINT)
    last = messages[-1]
    if not _is_from(last, "assistant"):
        raise DataError(f"{where}: the last message is not the assistant's", hint=_HINT)
    asked = [message["content"] for message in messages if _is_from(message, "user")]
    columns = {key: value for key, value in row.items() if key not in ("messages", "spans")}
    if asked:
        columns.setdefault("prompt", asked[-1])
    name = row.get("id")
    answer = answer_of(last["content"], row.get("spans"))
    return Response(f"{number:06d}" if name is None else str(name), where, columns, answer)


def _is_from(message: object, role: str) -> bool:
    """Whether a message has a role, and text in it."""
    return (
        isinstance(message, Mapping)
        and message.get("role") == role
        and isinstance(message.get("content"), str)
    )
