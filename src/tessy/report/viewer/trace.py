"""One sample as its page shows it: from its record, or while it is under way from its turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from tessy.data import record
from tessy.data.pieces import Piece, pieces
from tessy.method.trajectory import Failure
from tessy.runs.folder import RunFolder
from tessy.runs.journal import Written
from tessy.runs.progress import duration, percent
from tessy.runs.reader import EndedSample, JournalReader

_SHOWN = 2000
"""Characters of a column that are shown."""
_OWN = {"id", "messages", "spans", "stats", "method", "models", "seed", "verdict"}
"""Of a finished record; its other fields are the question's columns."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A response that was written and set aside.

    Attributes:
        why: Why it was set aside, in words.
        reason: Of its failure, if it failed.
        pieces: What it says.
    """

    why: str
    reason: str | None
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """A sample.

    Attributes:
        id: Unique in the run.
        running: It is under way.
        failure: Why it failed.
        detail: What exactly.
        messages: What was asked; empty as long as it is under way, since turns do not say.
        columns: Other columns of the question, and their values as JSON.
        pieces: The response, and what was discarded where it fell.
        drafts: Responses set aside.
        share: The teacher's share of the tokens kept, 0 to 1; None if there are none.
        numbers: Statistics: names and values.
        discarded: Stretches of text that were discarded.
    """

    id: str
    running: bool
    failure: Failure | None
    detail: str
    messages: tuple[dict[str, str], ...]
    columns: tuple[tuple[str, str], ...]
    pieces: tuple[Piece, ...]
    drafts: tuple[Draft, ...]
    share: float | None
    numbers: tuple[tuple[str, str], ...]

    @property
    def discarded(self) -> int:
        """Stretches of text that were discarded."""
        return sum(piece.discarded for piece in self.pieces)


def read(folder: RunFolder, sample_id: str) -> Trace | None:
    """A sample of a run; None if there is no such sample.

    Raises:
        JournalError: The journal can't be read.
    """
    with JournalReader(folder) as reader:
        entry = reader.ended_sample(sample_id)
        written = reader.written(sample_id)
        if entry is None and not written.turns:  # it may have ended in between
            entry = reader.ended_sample(sample_id)
    if entry is not None:
        return of_entry(entry)
    return of_written(sample_id, written) if written.turns else None


def of_entry(entry: EndedSample) -> Trace:
    """A sample that ended."""
    made: dict[str, Any] = orjson.loads(entry.record)
    answer = [] if entry.failure else made["messages"][-1:]
    content = made["content"] if entry.failure else answer[0]["content"]
    numbers = _numbers(made["stats"], entry.seconds, entry.requests)
    return Trace(
        id=entry.id,
        running=False,
        failure=entry.failure,
        detail=made["detail"] if entry.failure else "",
        messages=tuple(made["messages"][: len(made["messages"]) - len(answer)]),
        columns=_columns(made, () if entry.failure else _OWN),
        pieces=tuple(pieces(content, made["spans"], entry.trace["discards"])),
        drafts=_drafts(entry.trace),
        share=_share(made["stats"]),
        numbers=(*numbers, *_made_by(made)),
    )


def of_written(sample_id: str, written: Written) -> Trace:
    """A sample that has not ended: its latest draft, and those before it."""
    *others, (trajectory, _) = written.drafts
    trace, stats = record.trace(trajectory, others), record.stats(trajectory, others)
    content, spans = record.content(trajectory), record.spans(trajectory)
    return Trace(
        id=sample_id,
        running=True,
        failure=None,
        detail="",
        messages=(),
        columns=(),
        pieces=tuple(pieces(content, spans, trace["discards"])),
        drafts=_drafts(trace),
        share=_share(stats),
        numbers=_numbers(stats, written.seconds, written.requests),
    )


def _drafts(trace: Mapping[str, Any]) -> tuple[Draft, ...]:
    return tuple(
        Draft(
            draft["why"],
            draft.get("reason"),
            tuple(pieces(draft["content"], draft["spans"], draft.get("discards", ()))),
        )
        for draft in trace.get("drafts", ())
    )


def _columns(made: Mapping[str, Any], own: Sequence[str] | set[str]) -> tuple[tuple[str, str], ...]:
    """What a question carries besides its text; only finished records have it."""
    if not own:
        return ()
    found = []
    for name, value in made.items():
        if name not in own:
            text = value if isinstance(value, str) else orjson.dumps(value).decode()
            found.append((name, text if len(text) <= _SHOWN else text[:_SHOWN] + "…"))
    return tuple(found)


def _share(stats: Mapping[str, int]) -> float | None:
    kept = stats["student_tokens"] + stats["teacher_tokens"]
    return stats["teacher_tokens"] / kept if kept else None


def _numbers(
    stats: Mapping[str, int], seconds: float, requests: int
) -> tuple[tuple[str, str], ...]:
    kept = stats["student_tokens"] + stats["teacher_tokens"]
    discarded = stats["student_discarded_tokens"] + stats["teacher_discarded_tokens"]
    return (
        ("student tokens", f"{stats['student_tokens']:,}"),
        ("teacher tokens", f"{stats['teacher_tokens']:,}"),
        ("teacher share", percent(_share(stats))),
        ("thinking tokens", f"{stats['thinking_tokens']:,}"),
        ("answer tokens", f"{stats['answer_tokens']:,}"),
        (
            "discarded",
            f"{discarded:,} tokens "
            f"({percent(discarded / (kept + discarded) if kept + discarded else None)})",
        ),
        ("hand-overs", f"{stats['hand_overs']:,} in {stats['turns']:,} turns"),
        ("thinking cut off", "yes" if stats["thinking_cut_off"] else "no"),
        ("drafts", f"{stats.get('drafts', 1):,}"),
        ("requests", f"{requests:,}"),
        ("time", duration(seconds)),
    )


def _made_by(made: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """How a finished sample was made, and what its verifier said."""
    names = [(name.replace("_", " "), str(model)) for name, model in made.get("models", {}).items()]
    found = [(key, str(made[key])) for key in ("method", "seed") if key in made] + names
    if verdict := made.get("verdict"):
        found.append(("verdict", f"{verdict['outcome']}, score {verdict['score']}"))
        found.append(("verifier says", str(verdict.get("detail") or "–")))
    return tuple(found)
