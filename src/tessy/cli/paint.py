"""Trajectories in colour, for the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from tessy import record
from tessy.errors import InputError
from tessy.runs.folder import RunFolder
from tessy.runs.journal import Entry, Reader
from tessy.runs.progress import STYLES
from tessy.trajectory import Role, Trajectory

_FORMAT = "dim"
_THROWN = "strike dim"


def legend() -> Text:
    """Which colour is whose."""
    text = Text()
    for role in Role:
        text.append(f" {role} ", style=f"reverse {STYLES[role]}")
        text.append(" ")
    text.append(" thrown away ", style=_THROWN)
    text.append(" forced (Progress)", style="underline")
    return text


def paint_list(console: Console, run: Path, limit: int) -> None:
    """Print the first samples of a run, and how each ended.

    Raises:
        JournalError: There is no run.
    """
    with Reader(RunFolder(run)) as reader:
        for sample_id, reason in reader.ids(limit):
            end = Text(reason or "finished", style="red" if reason else "green")
            console.print(Text.assemble(sample_id, "  ", end))
        for sample_id in reader.running()[:limit]:
            console.print(Text.assemble(sample_id, "  ", ("under way", "yellow")))


def paint_sample(console: Console, run: Path, sample_id: str, *, thrown: bool) -> None:
    """Print one sample: question, who wrote which words, and its numbers.

    Raises:
        InputError: The run has no such sample.
        JournalError: There is no run.
    """
    with Reader(RunFolder(run)) as reader:
        entry = reader.entry(sample_id)
        turns = reader.turns(sample_id) if entry is None else []
        some = ", ".join(name for name, _ in reader.ids(5))
    if entry is None and not turns:
        raise InputError(f"{run} has no sample {sample_id!r}", hint=f"it has {some}, …")
    if entry is None:
        _paint_running(console, Trajectory.replay(turns))
    else:
        _paint_entry(console, entry, thrown=thrown)


def _paint_entry(console: Console, entry: Entry, *, thrown: bool) -> None:
    made = orjson.loads(entry.record)
    question = [m["content"] for m in made["messages"] if m["role"] == "user"]
    if question:
        console.print(Panel(Text(question[-1]), title="question", border_style="dim"))
    console.print(legend())
    console.print()
    discards = entry.trace["discards"] if thrown else []
    if entry.failure is None:
        console.print(painted(made["messages"][-1]["content"], made["spans"], discards))
    else:
        console.print(Text(made["thinking"]))
        console.print(Text(f"\nfailed: {entry.failure}: {made['detail']}", style="red"))
    console.print()
    console.print(Text(_numbers(made["stats"], entry), style="dim"))


def _paint_running(console: Console, trajectory: Trajectory) -> None:
    content = record.THINK_OPEN + trajectory.thinking + record.THINK_CLOSE + trajectory.answer
    console.print(legend())
    console.print(painted(content, record.spans(trajectory), []))
    console.print(Text("(under way)", style="yellow"))


def painted(content: str, spans: list[dict[str, Any]], discards: list[dict[str, Any]]) -> Text:
    """An assistant's content in colours.

    Args:
        content: The content.
        spans: Who wrote which characters of it.
        discards: What was thrown away, by offset into the thinking.
    """
    text = Text()
    fallen: dict[int, list[dict[str, Any]]] = {}
    for discard in discards:
        fallen.setdefault(len(record.THINK_OPEN) + discard["at"], []).append(discard)
    for span in spans:
        style = _FORMAT if span["role"] == "format" else STYLES[Role(span["role"])]
        style += " underline" if span["forced"] else ""
        start = span["start"]
        for at in sorted(point for point in fallen if start <= point < span["end"]):
            text.append(content[start:at], style=style)
            for discard in fallen.pop(at):
                text.append(discard["text"], style=f"{_THROWN} {STYLES[Role(discard['role'])]}")
            start = at
        text.append(content[start : span["end"]], style=style)
    return text


def _numbers(stats: dict[str, Any], entry: Entry) -> str:
    kept = stats["student_tokens"] + stats["teacher_tokens"]
    share = f"{100 * stats['teacher_tokens'] / kept:.0f}%" if kept else "–"
    gone = stats["student_thrown_tokens"] + stats["teacher_thrown_tokens"]
    return (
        f"{entry.id}: {stats['student_tokens']} student + {stats['teacher_tokens']} teacher tokens "
        f"(teacher share {share}), {gone} thrown away, {stats['hand_overs']} hand-overs in "
        f"{stats['turns']} turns, {entry.requests} requests, {entry.seconds:.1f} s"
    )
