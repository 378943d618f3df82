"""One sample as its page shows it: from its record, or from its turns while it is under way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from tessy.data import record
from tessy.data.pieces import Piece, pieces
from tessy.method.trajectory import Failure, Trajectory, Turn, drafts
from tessy.runs.folder import RunFolder
from tessy.runs.progress import duration, percent
from tessy.runs.reader import Entry, Reader

_SHOWN = 2000
"""Characters of a column that are shown."""
_OWN = {"id", "messages", "spans", "stats", "method", "models", "seed", "verdict"}
"""Fields of a finished record; its other fields are the question's columns."""


@dataclass(frozen=True, slots=True)
class RejectedDraft:
    """A response that was written and rejected.

    Attributes:
        why: Why it was rejected, in words.
        reason: Why it failed, if it did.
        pieces: Who wrote what, and what was discarded where.
    """

    why: str
    reason: str | None
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class SampleView:
    """A sample.

    Attributes:
        id: Unique in the run.
        running: It is under way.
        failure: Why it failed.
        detail: What exactly went wrong.
        messages: The question; empty while the sample is under way, since turns don't hold it.
        columns: Other columns of the question: names, and values as text.
        pieces: Who wrote what, and what was discarded where.
        drafts: Responses that were rejected.
        share: The teacher's share of the kept tokens, 0 to 1; None if there are none.
        numbers: Statistics: names and values.
    """

    id: str
    running: bool
    failure: Failure | None
    detail: str
    messages: tuple[dict[str, str], ...]
    columns: tuple[tuple[str, str], ...]
    pieces: tuple[Piece, ...]
    drafts: tuple[RejectedDraft, ...]
    share: float | None
    numbers: tuple[tuple[str, str], ...]

    @property
    def discarded(self) -> int:
        """How many stretches of text were discarded."""
        return sum(piece.discarded for piece in self.pieces)


def read_sample(folder: RunFolder, sample_id: str) -> SampleView | None:
    """A sample of a run; None if there is no such sample.

    Raises:
        JournalError: The journal can't be read.
    """
    with Reader(folder) as reader:
        entry = reader.entry(sample_id)
        turns = reader.turns(sample_id) if entry is None else []
        if entry is None and not turns:  # it may have ended in between
            entry = reader.entry(sample_id)
        seconds, requests = reader.spent(sample_id)
    if entry is not None:
        return ended(entry)
    return under_way(sample_id, turns, seconds, requests) if turns else None


def ended(entry: Entry) -> SampleView:
    """A sample that ended."""
    made = orjson.loads(entry.record)
    if entry.failure:
        messages, content, detail = made["messages"], made["content"], made["detail"]
    else:
        *messages, response = made["messages"]
        content, detail = response["content"], ""
    numbers = _numbers(made["stats"], entry.seconds, entry.requests)
    return SampleView(
        id=entry.id,
        running=False,
        failure=entry.failure,
        detail=detail,
        messages=tuple(messages),
        columns=() if entry.failure else tuple(_columns(made)),
        pieces=tuple(pieces(content, made["spans"], entry.trace["discards"])),
        drafts=_drafts(entry.trace),
        share=_share(made["stats"]),
        numbers=(*numbers, *_origin(made)),
    )


def under_way(sample_id: str, turns: Sequence[Turn], seconds: float, requests: int) -> SampleView:
    """A sample that is under way: its latest draft, and those that were rejected.

    Args:
        sample_id: Unique in the run.
        turns: Of all its drafts; at least one.
        seconds: Time spent on it.
        requests: Calls to both models.
    """
    *others, trajectory = (Trajectory.replay(own) for _, own in sorted(drafts(turns).items()))
    trace, stats = record.trace(trajectory, others), record.stats(trajectory, others)
    content, spans = record.content(trajectory), record.spans(trajectory)
    return SampleView(
        id=sample_id,
        running=True,
        failure=None,
        detail="",
        messages=(),
        columns=(),
        pieces=tuple(pieces(content, spans, trace["discards"])),
        drafts=_drafts(trace),
        share=_share(stats),
        numbers=_numbers(stats, seconds, requests),
    )


def _drafts(trace: Mapping[str, Any]) -> tuple[RejectedDraft, ...]:
    return tuple(
        RejectedDraft(
            why=draft["why"],
            reason=draft.get("reason"),
            pieces=tuple(pieces(draft["content"], draft["spans"], draft.get("discards", ()))),
        )
        for draft in trace.get("drafts", ())
    )


def _columns(made: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in made.items():
        if name not in _OWN:
            text = value if isinstance(value, str) else orjson.dumps(value).decode()
            yield name, text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _share(stats: Mapping[str, int]) -> float | None:
    kept = stats["student_tokens"] + stats["teacher_tokens"]
    return stats["teacher_tokens"] / kept if kept else None


def _numbers(
    stats: Mapping[str, int], seconds: float, requests: int
) -> tuple[tuple[str, str], ...]:
    kept = stats["student_tokens"] + stats["teacher_tokens"]
    discarded = stats["student_discarded_tokens"] + stats["teacher_discarded_tokens"]
    discarded_share = percent(discarded / (kept + discarded) if kept + discarded else None)
    return (
        ("student tokens", f"{stats['student_tokens']:,}"),
        ("teacher tokens", f"{stats['teacher_tokens']:,}"),
        ("teacher share", percent(_share(stats))),
        ("thinking tokens", f"{stats['thinking_tokens']:,}"),
        ("answer tokens", f"{stats['answer_tokens']:,}"),
        ("discarded", f"{discarded:,} tokens ({discarded_share})"),
        ("hand-overs", f"{stats['hand_overs']:,} in {stats['turns']:,} turns"),
        ("thinking cut off", "yes" if stats["thinking_cut_off"] else "no"),
        ("drafts", f"{stats.get('drafts', 1):,}"),
        ("requests", f"{requests:,}"),
        ("time", duration(seconds)),
    )


def _origin(made: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How a finished sample was made, and what its verifier says."""
    found = [(key, str(made[key])) for key in ("method", "seed") if key in made]
    found += [(role.replace("_", " "), str(name)) for role, name in made.get("models", {}).items()]
    if verdict := made.get("verdict"):
        found.append(("verdict", f"{verdict['outcome']}, score {verdict['score']}"))
        found.append(("verifier says", str(verdict.get("detail") or "–")))
    return found
