"""A sample that ended, as the figures need it: read from an entry of the journal."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from tessy.data.pieces import AuthoredText, authored
from tessy.method.trajectory import Failure
from tessy.runs.shard_reader import EndedSample
from tessy.verifiers.protocol import VerdictOutcome


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
        method: How it was written; empty for a failed one.
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
    verdict: VerdictOutcome | None
    teacher: str | None = None
    method: str = ""

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
        verdict = record.get("verdict")
        models = record.get("models") or {}
        return cls(
            id=entry.id,
            question=_key(entry.id.rsplit("#", 1)[0] if several else entry.id, messages),
            failure=entry.failure,
            detail=detail,
            messages=tuple(messages),
            content=content,
            spans=record["spans"],
            texts=tuple(authored(content, record["spans"])),
            stats=record["stats"],
            trace=entry.trace,
            seconds=entry.seconds,
            requests=entry.requests,
            models=models,
            verdict=VerdictOutcome(verdict["outcome"]) if verdict else None,
            method=record.get("method", ""),
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
