"""A sample that ended, as the analyses want to see it: read once, from what the journal holds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from tessy.data.record import THINK_OPEN
from tessy.method.trajectory import Failure, Part, Role


class Stretch(NamedTuple):
    """A span of a response: an author's text in one part of it.

    Attributes:
        role: Who wrote it.
        part: Thinking or answer.
        start: Offset of the first character in the content.
        end: Offset behind the last.
        forced: Kept for Progress.
    """

    role: Role
    part: Part
    start: int
    end: int
    forced: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample that ended.

    Attributes:
        id: Unique in its run.
        question: What was asked, as a key that is the same in every run of the same questions.
        failure: Why it failed; None if it finished.
        detail: What exactly went wrong.
        messages: The question's.
        content: The assistant's content; of a failed sample, as far as it came.
        spans: Who wrote which characters of it, as in a record.
        stretches: The same; markers are left out.
        stats: The record's.
        trace: The journal's.
        seconds: Spent on it.
        requests: Calls to models.
        method: How it was written; empty if the record does not say.
        models: Names by role, and the predictors'.
    """

    id: str
    question: bytes
    failure: Failure | None
    detail: str
    messages: tuple[Mapping[str, str], ...]
    content: str
    spans: Sequence[dict[str, Any]]
    stretches: tuple[Stretch, ...]
    stats: Mapping[str, Any]
    trace: Mapping[str, Any]
    seconds: float
    requests: int
    method: str
    models: Mapping[str, str]

    def texts(self) -> Iterator[tuple[Stretch, str]]:
        """Each stretch with its text."""
        for stretch in self.stretches:
            yield stretch, self.content[stretch.start : stretch.end]

    @property
    def prompt(self) -> str:
        """The last message of the user; empty for a bad line."""
        asked = [message["content"] for message in self.messages if message["role"] == "user"]
        return asked[-1] if asked else ""


def sample(
    sample_id: str,
    failure: Failure | None,
    record: bytes,
    trace: Mapping[str, Any],
    *,
    seconds: float,
    requests: int,
    several: bool,
) -> Sample:
    """Read a sample.

    Args:
        sample_id: Its id.
        failure: Why it failed, if it did.
        record: A line of dataset.jsonl or failures.jsonl.
        trace: What the record leaves out.
        seconds: Spent on it.
        requests: Calls to models.
        several: The run has several samples of a question, so ids end in `#0`, `#1`, …
    """
    made = orjson.loads(record)
    messages = made["messages"] if failure else made["messages"][:-1]
    content = made["content"] if failure else made["messages"][-1]["content"]
    base = sample_id.rsplit("#", 1)[0] if several else sample_id
    return Sample(
        id=sample_id,
        question=_key(base, messages),
        failure=failure,
        detail=made["detail"] if failure else "",
        messages=tuple(messages),
        content=content,
        spans=made["spans"],
        stretches=tuple(_stretches(made["spans"])),
        stats=made["stats"],
        trace=trace,
        seconds=seconds,
        requests=requests,
        method=made.get("method") or "",
        models=made.get("models") or {},
    )


def _key(base: str, messages: list[Any]) -> bytes:
    """The id alone is not enough: without ids of their own, any two files' questions share them."""
    return hashlib.blake2b(orjson.dumps([base, messages]), digest_size=16).digest()


_ROLES = {role.value: role for role in Role}


def _stretches(spans: list[Any]) -> Iterator[Stretch]:
    """Spans with their part: the second marker, `</think>`, is where the answer begins."""
    part = Part.THINKING
    for span in spans:
        if span["role"] != "format":
            yield Stretch(_ROLES[span["role"]], part, span["start"], span["end"], span["forced"])
        elif span["start"] >= len(THINK_OPEN):
            part = Part.ANSWER
