"""One sample as its page shows it: from its record, or from its turns while it is under way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tessy.data import record
from tessy.data.exact import dumps
from tessy.data.pieces import Piece, pieces
from tessy.data.record import THINK_CLOSE, THINK_OPEN
from tessy.method.trajectory import Failure, Role
from tessy.runs.folder import RunFolder
from tessy.runs.reader import JournalReader
from tessy.runs.reviews import digest
from tessy.runs.shard_reader import EndedSample
from tessy.runs.written import Written
from tessy.verifiers.protocol import VerdictOutcome, outcome_of

_SHOWN = 2000
"""Characters of a column that are shown."""
_OWN = {"id", "messages", "spans", "stats", "method", "models", "seed", "verdict"}
"""Fields of a finished record; its other fields are the question's columns."""


@dataclass(frozen=True, slots=True)
class RejectedView:
    """A response that was written and rejected.

    Attributes:
        why: Why it was rejected, in words.
        reason: Why it failed, if it did.
        pieces: Who wrote what, and what was discarded where.
        teacher: The name of its teacher, if there are several.
    """

    why: str
    reason: str | None
    pieces: tuple[Piece, ...]
    teacher: str | None = None


@dataclass(frozen=True, slots=True)
class SampleView:
    """A sample.

    Attributes:
        id: Unique in the run.
        stats: Its numbers, as in a record.
        seconds: Time spent on it.
        requests: Calls to both models.
        pieces: Who wrote what, and what was discarded where.
        drafts: Responses that were rejected.
        running: It is under way.
        failure: Why it failed.
        detail: What exactly went wrong.
        messages: The question; empty while the sample is under way, since turns don't hold it.
        columns: Other columns of the question: names, and values as text.
        origin: How it was made: names and values.
        outcome: What its verifier decided; None without one.
        verdict: Its score, and what the verifier says: names and values.
    """

    id: str
    stats: Mapping[str, int]
    seconds: float
    requests: int
    pieces: tuple[Piece, ...]
    drafts: tuple[RejectedView, ...]
    running: bool = False
    failure: Failure | None = None
    detail: str = ""
    messages: Sequence[Mapping[str, str]] = ()
    columns: Sequence[tuple[str, str]] = ()
    origin: Sequence[tuple[str, str]] = ()
    outcome: VerdictOutcome | None = None
    verdict: Sequence[tuple[str, str]] = ()

    @property
    def content(self) -> str:
        """The response: markers, thinking and answer."""
        return "".join(piece.text for piece in self.pieces if not piece.discarded)

    @property
    def parts(self) -> tuple[list[Piece], list[Piece]]:
        """The pieces of the thinking and those of the answer, without markers."""
        found: tuple[list[Piece], list[Piece]] = ([], [])
        markers = 0
        for piece in self.pieces:
            if piece.role is None:
                markers += 1
            else:
                found[markers > 1].append(piece)
        return found

    @property
    def style(self) -> list[tuple[int, int]]:
        """What the student wrote of the thinking: half-open offsets into it."""
        found: list[tuple[int, int]] = []
        at = 0
        for piece in self.parts[0]:
            if piece.discarded:
                continue
            end = at + len(piece.text)
            if piece.role is Role.STUDENT and at < end:
                joined = found and found[-1][1] == at
                found[-1:] = [(found[-1][0], end)] if joined else [*found[-1:], (at, end)]
            at = end
        return found

    @property
    def thinking(self) -> str:
        """The thinking, without markers."""
        return self.content.removeprefix(THINK_OPEN).partition(THINK_CLOSE)[0]

    @property
    def answer(self) -> str:
        """The answer; empty if there is none."""
        return self.content.partition(THINK_CLOSE)[2]

    @property
    def digest(self) -> str:
        """What names the response in reviews."""
        return digest(self.content)

    @property
    def tokens_a_call(self) -> float | None:
        """Kept tokens for each call."""
        return self.kept / self.requests if self.requests else None

    @property
    def seconds_a_call(self) -> float | None:
        """Seconds for each call, what the sample waited for included."""
        return self.seconds / self.requests if self.requests else None

    @property
    def kept(self) -> int:
        """Tokens kept, of both models."""
        return self.stats["student_tokens"] + self.stats["teacher_tokens"]

    @property
    def discarded(self) -> int:
        """Tokens discarded, of both models."""
        return self.stats["student_discarded_tokens"] + self.stats["teacher_discarded_tokens"]


def read_sample(folder: RunFolder, sample_id: str) -> SampleView | None:
    """A sample of a run; None if there is no such sample.

    Raises:
        JournalError: The journal can't be read.
    """
    with JournalReader(folder) as reader:
        entry = reader.ended_sample(sample_id)
        written = reader.written(sample_id)
        if entry is None and not written.keys:  # it may have ended in between
            entry = reader.ended_sample(sample_id)
    if entry is not None:
        return ended(entry)
    return unfinished(sample_id, written) if written.keys else None


def ended(entry: EndedSample) -> SampleView:
    """A sample that ended."""
    made = entry.record
    if entry.failure:
        messages, content, detail = made["messages"], made["content"], made["detail"]
    else:
        *messages, response = made["messages"]
        content, detail = response["content"], ""
    return SampleView(
        id=entry.id,
        stats=made["stats"],
        seconds=entry.seconds,
        requests=entry.requests,
        pieces=tuple(pieces(content, made["spans"], entry.trace.get("discards", ()))),
        drafts=_drafts(entry.trace),
        failure=entry.failure,
        detail=detail,
        messages=messages,
        columns=() if entry.failure else tuple(_columns(made)),
        origin=tuple(_teacher(made) if entry.failure else _origin(made)),
        outcome=outcome_of(made),
        verdict=tuple(_verdict(made)),
    )


def unfinished(sample_id: str, written: Written) -> SampleView:
    """A sample that has not ended: its latest draft, and those before it.

    Args:
        sample_id: Unique in the run.
        written: What the journal has of it; at least one draft.
    """
    *others, (trajectory, *_) = written.drafts
    trace = record.trace(trajectory, others)
    content, spans = record.content(trajectory), record.spans(trajectory)
    return SampleView(
        id=sample_id,
        stats=record.stats(trajectory, others),
        seconds=written.seconds,
        requests=written.requests,
        pieces=tuple(pieces(content, spans, trace["discards"])),
        drafts=_drafts(trace),
        running=True,
    )


def _drafts(trace: Mapping[str, Any]) -> tuple[RejectedView, ...]:
    return tuple(
        RejectedView(
            why=draft["why"],
            reason=draft.get("reason"),
            pieces=tuple(pieces(draft["content"], draft["spans"], draft.get("discards", ()))),
            teacher=draft.get("teacher"),
        )
        for draft in trace.get("drafts", ())
    )


def _columns(made: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in made.items():
        if name not in _OWN:
            text = value if isinstance(value, str) else _json(value)
            yield name, text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _json(value: Any) -> str:
    try:
        return dumps(value).decode()
    except TypeError:  # it is nested more deeply than orjson writes
        return "(nested too deeply to be shown)"


def _teacher(made: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The last teacher of a failed sample, if there are several."""
    if name := made.get("teacher"):
        yield "teacher", name


def _origin(made: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "method", made["method"]
    yield "seed", str(made["seed"])
    for role, name in made["models"].items():
        yield role.replace("_", " "), name


def _verdict(made: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if verdict := made.get("verdict"):
        yield "score", str(verdict["score"])
        yield "verifier says", str(verdict.get("detail") or "–")
