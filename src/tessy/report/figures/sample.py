"""A sample that ended, as the figures need it: read from an entry of the journal."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from tessy.data.pieces import mark_of
from tessy.data.record import THINK_OPEN
from tessy.method.trajectory import Failure, Part, Role
from tessy.runs.reader import EndedSample


class AuthoredText(NamedTuple):
    """The text of one span of a response.

    Attributes:
        role: Who wrote it.
        part: Thinking or answer.
        text: What it says.
        mark: Why it was kept although it is of the other kind: `forced` (for *Progress*) or
            `tolerated` (too short for a hand-over); else empty.
    """

    role: Role
    part: Part
    text: str
    mark: str = ""


@dataclass(frozen=True, slots=True)
class ReportSample:
    """A sample that ended.

    Attributes:
        id: Unique in its run.
        question: A key of the question, the same in every run of the same questions.
        failure: Why it failed; None if it finished.
        detail: What exactly went wrong.
        messages: The question's.
        content: The assistant's content; of a failed sample, as far as it came.
        spans: Who wrote which characters of the content, as in a record.
        texts: The texts of the spans, without markers.
        stats: The record's.
        trace: The journal's.
        seconds: Time spent on it.
        requests: Calls to models.
        models: Names by role, and the predictors'.
        verdict: The verifier's outcome; None if it was not verified, or failed.
        teacher: The name of its teacher, if there are several; of a failed one, the last.
    """

    id: str
    question: bytes
    failure: Failure | None
    detail: str
    messages: tuple[Mapping[str, str], ...]
    content: str
    spans: Sequence[dict[str, Any]]
    texts: tuple[AuthoredText, ...]
    stats: Mapping[str, Any]
    trace: Mapping[str, Any]
    seconds: float
    requests: int
    models: Mapping[str, str]
    verdict: str | None
    teacher: str | None = None

    @classmethod
    def read(cls, entry: EndedSample, *, several: bool) -> ReportSample:
        """Read a sample.

        Args:
            entry: What the journal holds of it.
            several: The run has several samples of a question, so ids end in `#0`, `#1`, …

        Raises:
            KeyError: The record lacks a field; likewise TypeError and ValueError if one is wrong.
        """
        record = entry.record
        if entry.failure is None:
            *messages, response = record["messages"]
            content, detail = response["content"], ""
        else:
            messages, content, detail = record["messages"], record["content"], record["detail"]
        models = record.get("models") or {}
        return cls(
            id=entry.id,
            question=_key(entry.id.rsplit("#", 1)[0] if several else entry.id, messages),
            failure=entry.failure,
            detail=detail,
            messages=tuple(messages),
            content=content,
            spans=record["spans"],
            texts=tuple(_texts(content, record["spans"])),
            stats=record["stats"],
            trace=entry.trace,
            seconds=entry.seconds,
            requests=entry.requests,
            models=models,
            verdict=(record.get("verdict") or {}).get("outcome"),
            teacher=record.get("teacher") if entry.failure else models.get("teacher_name"),
        )

    @property
    def prompt(self) -> str:
        """The last message of the user; empty for a bad line."""
        asked = [message["content"] for message in self.messages if message["role"] == "user"]
        return asked[-1] if asked else ""


def _key(question_id: str, messages: list[Any]) -> bytes:
    """An id alone is not enough: questions without ids are numbered, so files share their ids."""
    return hashlib.blake2b(orjson.dumps([question_id, messages]), digest_size=16).digest()


def _texts(content: str, spans: Sequence[dict[str, Any]]) -> Iterator[AuthoredText]:
    """The answer begins after the second marker, `</think>`."""
    part = Part.THINKING
    for span in spans:
        start, end = span["start"], span["end"]
        if span["role"] != "format":
            yield AuthoredText(Role(span["role"]), part, content[start:end], mark_of(span))
        elif start >= len(THINK_OPEN):
            part = Part.ANSWER
