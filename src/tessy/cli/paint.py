"""Prints trajectories in colour on a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from tessy.data import record
from tessy.data.pieces import Piece, pieces
from tessy.display import count_of, visible, visible_line
from tessy.errors import InputError
from tessy.method.trajectory import Role, Trajectory
from tessy.palette import DISCARDED, MARKS, TERMINAL
from tessy.runs.folder import RunFolder
from tessy.runs.reader import JournalReader
from tessy.runs.shard_reader import EndedSample
from tessy.verifiers.protocol import VerdictOutcome, outcome_of

_FORMAT = "dim"
_CHARACTERS, _LINES = 1200, 20
"""Of a long question, what is shown."""
_NAMED = 5
"""Samples that are named where there is none of that name."""


def legend(*, tagged: bool, discarded: bool) -> Text:
    """The legend of colours, or of tags if there are no colours."""
    text = Text()
    for role in Role:
        text.append(f"⟨{role}⟩" if tagged else f" {role} ", style=f"reverse {TERMINAL[role]}")
        text.append(" ")
    if discarded:
        text.append("⟦discarded⟧ ", style=DISCARDED)
    text.append("⟨…, forced⟩" if tagged else "forced (Progress)", style=MARKS["forced"])
    text.append(" ⟨…, tolerated⟩" if tagged else " tolerated (short)", style=MARKS["tolerated"])
    return text


def unfinished(run: Path, *, remote: bool) -> str:
    """What a sample that has not ended is called.

    Args:
        run: The run's folder.
        remote: It is a copy of a run at a URL: whether that is being written is not known.
    """
    if remote:
        return "not ended"
    return "under way" if RunFolder(run).is_written() else "stopped"


def paint_sample(
    console: Console,
    run: Path,
    sample_id: str,
    *,
    discarded: bool,
    whole: bool,
    remote: bool = False,
) -> None:
    """Print one sample: question, who wrote which words, its verdict and its numbers.

    Args:
        console: Where to print it.
        run: The run's folder.
        sample_id: Its id.
        discarded: Also print what was discarded.
        whole: Print the whole of a long question.
        remote: The folder is a copy of a run at a URL.

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
    evaluated = RunFolder(run).run_toml.evaluated()
    if alone := evaluated is not None:
        console.print(Text(f"evaluation of {visible_line(evaluated)}", style="bold"))
    if entry is None:
        state = unfinished(run, remote=remote)
        _paint_unfinished(console, written.drafts[-1].trajectory, state, alone=alone)
    else:
        _paint_entry(console, entry, discarded=discarded, whole=whole, alone=alone)


def _paint_entry(
    console: Console, entry: EndedSample, *, discarded: bool, whole: bool, alone: bool
) -> None:
    made = entry.record
    question = [m["content"] for m in made["messages"] if m["role"] == "user"]
    if question:
        asked = question[-1] if whole else folded(question[-1])
        console.print(Panel(Text(visible(asked)), title="question", border_style="dim"))
    tagged = console.color_system is None and not alone
    if not alone:
        console.print(legend(tagged=tagged, discarded=discarded))
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
    elif (outcome := outcome_of(made)) is not None:
        console.print(verdict_line(outcome, made["verdict"].get("detail")))
    console.print()
    console.print(Text(_numbers(made["stats"], entry, alone=alone), style="dim"))


def folded(question: str) -> str:
    """The beginning of a long question, and how much more there is; a short one as it is."""
    lines = question.splitlines(keepends=True)
    beginning = "".join(lines[:_LINES])[:_CHARACTERS]
    more = len(question) - len(beginning)
    return f"{beginning.rstrip()}\n… {more:,} more characters: --whole" if more > 0 else question


def named(outcome: VerdictOutcome) -> tuple[str, str]:
    """A verdict in words, and the style it is printed in."""
    return outcome.replace("_", " "), "green" if outcome is VerdictOutcome.RIGHT else "red"


def verdict_line(outcome: VerdictOutcome, detail: object) -> Text:
    """What the verifier decided about an answer, and what it compared."""
    said = f": {visible_line(detail)}" if isinstance(detail, str) and detail else ""
    return Text.assemble("\nverdict: ", named(outcome), said)


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


def _paint_unfinished(console: Console, trajectory: Trajectory, state: str, *, alone: bool) -> None:
    content = record.content(trajectory)
    tagged = console.color_system is None and not alone
    if not alone:
        console.print(legend(tagged=tagged, discarded=False))
    console.print(painted(content, record.spans(trajectory), [], tagged=tagged))
    console.print(Text(f"({state})", style="yellow"))


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


def _numbers(stats: dict[str, Any], entry: EndedSample, *, alone: bool) -> str:
    kept = stats["student_tokens"] + stats["teacher_tokens"]
    share = f"{100 * stats['teacher_tokens'] / kept:.0f}%" if kept else "–"
    gone = stats["student_discarded_tokens"] + stats["teacher_discarded_tokens"]
    wrote = f"{kept} tokens, {gone} discarded"
    if not alone:
        wrote = (
            f"{stats['student_tokens']} student + {stats['teacher_tokens']} teacher tokens "
            f"(teacher share {share}), {gone} discarded, "
            f"{count_of(stats['hand_overs'], 'hand-over')} in {count_of(stats['turns'], 'turn')}"
        )
    requests = count_of(entry.requests, "request")
    return f"{visible_line(entry.id)}: {wrote}, {requests}, {entry.seconds:.1f} s"
