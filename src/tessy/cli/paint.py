"""Prints trajectories in colour on a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from tessy.data import record
from tessy.data.pieces import Piece, pieces
from tessy.display import visible, visible_line
from tessy.errors import InputError
from tessy.method.trajectory import Role, Trajectory
from tessy.palette import DISCARDED, MARKS, TERMINAL
from tessy.runs.folder import RunFolder
from tessy.runs.progress import right_of
from tessy.runs.reader import JournalReader
from tessy.runs.shard_reader import EndedSample
from tessy.verifiers.protocol import VerdictOutcome, outcome_of

_FORMAT = "dim"
_NAMED = 5
"""Samples that are named where there is none of that name."""


def legend(*, tagged: bool) -> Text:
    """The legend of colours, or of tags if there are no colours."""
    text = Text()
    for role in Role:
        text.append(f"⟨{role}⟩" if tagged else f" {role} ", style=f"reverse {TERMINAL[role]}")
        text.append(" ")
    text.append("⟦discarded⟧", style=DISCARDED)
    text.append(" ⟨…, forced⟩" if tagged else " forced (Progress)", style=MARKS["forced"])
    text.append(" ⟨…, tolerated⟩" if tagged else " tolerated (short)", style=MARKS["tolerated"])
    return text


def paint_list(console: Console, run: Path, limit: int) -> None:
    """Print how many answers of a run are right, and its first samples and how each ended.

    Raises:
        JournalError: The folder contains no run.
    """
    with JournalReader(RunFolder(run)) as reader:
        totals = reader.totals()
        if (right := right_of(totals)) is not None:
            console.print(Text(f"right: {right}", style="bold"))
        ended = reader.ids(limit)
        for sample_id, reason in ended:
            end = Text(reason, style="red") if reason else _finished(reader, sample_id)
            console.print(Text.assemble(visible_line(sample_id), "  ", end))
        running = reader.running()
        shown = running[: limit - len(ended)]
        state = "under way" if shown and RunFolder(run).is_written() else "stopped"
        for sample_id in shown:
            console.print(Text.assemble(visible_line(sample_id), "  ", (state, "yellow")))
        more = totals.finished + totals.failed.total() + len(running) - len(ended) - len(shown)
    if more > 0:
        console.print(Text(f"… and {more:,} more: --limit", style="dim"))


def _finished(reader: JournalReader, sample_id: str) -> Text:
    """How a finished sample is listed: only a wrong answer is not green."""
    entry = reader.ended_sample(sample_id)
    outcome = outcome_of(entry.record) if entry is not None else None
    if outcome is None:
        return Text("finished", style="green")
    style = "green" if outcome is VerdictOutcome.RIGHT else "red"
    return Text.assemble("finished, ", (outcome.value.replace("_", " "), style))


def paint_sample(console: Console, run: Path, sample_id: str, *, discarded: bool) -> None:
    """Print one sample: question, who wrote which words, and its numbers.

    Raises:
        InputError: The run has no such sample.
        JournalError: The folder contains no run.
    """
    with JournalReader(RunFolder(run)) as reader:
        entry = reader.ended_sample(sample_id)
        written = reader.written(sample_id)
        some = [name for name, _ in reader.ids(_NAMED + 1)] + reader.running()
    if entry is None and not written.turns:
        names = ", ".join(map(visible_line, some[:_NAMED])) + ", …" * (len(some) > _NAMED)
        has = f"it has {names}" if some else "no sample has ended yet"
        raise InputError(f"{run} has no sample {sample_id!r}", hint=has)
    if entry is None:
        _paint_running(console, written.drafts[-1].trajectory)
    else:
        _paint_entry(console, entry, discarded=discarded)


def _paint_entry(console: Console, entry: EndedSample, *, discarded: bool) -> None:
    made = entry.record
    question = [m["content"] for m in made["messages"] if m["role"] == "user"]
    if question:
        console.print(Panel(Text(visible(question[-1])), title="question", border_style="dim"))
    tagged = console.color_system is None
    console.print(legend(tagged=tagged))
    console.print()
    discards = entry.trace.get("discards", []) if discarded else []
    if made.get("spans"):
        content = made["content"] if entry.failure else made["messages"][-1]["content"]
        console.print(painted(content, made["spans"], discards, tagged=tagged))
    if discarded:
        _paint_drafts(console, entry.trace.get("drafts", []), tagged=tagged)
    if entry.failure is not None:
        why = f"\nfailed: {entry.failure}: {made['detail']}"
        console.print(Text(visible(why), style="red"))
    console.print()
    console.print(Text(_numbers(made["stats"], entry), style="dim"))


def _paint_drafts(console: Console, drafts: list[dict[str, Any]], *, tagged: bool) -> None:
    """Print rejected drafts, each with the reason."""
    for draft in drafts:
        teacher = f", teacher {draft['teacher']}" if draft.get("teacher") else ""
        reason = f" ({draft['reason']})" if draft.get("reason") else ""
        said = visible(f"\nrejected{teacher}{reason}: {draft['why']}")
        console.print(Text(said, style="yellow"))
        console.print(
            painted(draft["content"], draft["spans"], draft.get("discards", []), tagged=tagged)
        )


def _paint_running(console: Console, trajectory: Trajectory) -> None:
    content = record.content(trajectory)
    tagged = console.color_system is None
    console.print(legend(tagged=tagged))
    console.print(painted(content, record.spans(trajectory), [], tagged=tagged))
    console.print(Text("(under way)", style="yellow"))


def painted(
    content: str, spans: list[dict[str, Any]], discards: list[dict[str, Any]], *, tagged: bool
) -> Text:
    """An assistant's content in colours.

    Args:
        content: The content.
        spans: Its spans, as in a record.
        discards: Its discards, as in a trace.
        tagged: Also name the author of each span, for terminals without colours.
    """
    text = Text()
    for piece in pieces(content, spans, discards):
        if piece.discarded:
            text.append(f"⟦{visible(piece.text)}⟧", style=f"{DISCARDED} {_style(piece)}")
            continue
        if tagged and piece.opens and piece.role:
            text.append(f"⟨{piece.role}{f', {piece.mark}' if piece.mark else ''}⟩")
        text.append(visible(piece.text), style=_style(piece))
    return text


def _style(piece: Piece) -> str:
    style = TERMINAL[piece.role] if piece.role else _FORMAT
    return f"{style} {MARKS[piece.mark]}" if piece.mark else style


def _numbers(stats: dict[str, Any], entry: EndedSample) -> str:
    kept = stats["student_tokens"] + stats["teacher_tokens"]
    share = f"{100 * stats['teacher_tokens'] / kept:.0f}%" if kept else "–"
    gone = stats["student_discarded_tokens"] + stats["teacher_discarded_tokens"]
    return (
        f"{visible_line(entry.id)}: {stats['student_tokens']} student + "
        f"{stats['teacher_tokens']} teacher tokens (teacher share {share}), "
        f"{gone} discarded, {stats['hand_overs']} hand-overs in {stats['turns']} turns, "
        f"{entry.requests} requests, {entry.seconds:.1f} s"
    )
