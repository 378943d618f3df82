"""Sections: style, and the samples themselves."""

from __future__ import annotations

from tessy.method.trajectory import Role
from tessy.report.build import Report, RunReport
from tessy.report.document import Section, Table, counted, share, whole
from tessy.report.figures.style import BINS, Why


def style(report: Report) -> Section:
    """At which words the pen changes hands, and what was discarded."""
    how = (
        "The student should take over with words of discourse (wait, so, okay) and the teacher "
        "with words of the subject. The first words of what was discarded are those that the "
        "predictor called the other kind: look for words that it should have let pass. Forced "
        "spans were kept against the predictor, since otherwise nobody would have written on; "
        "more than a few in a hundred say that predictor and models do not fit."
    )
    first, *others = report.runs
    shown = [first, *(run for run in others if any(run.style.opening.values()))]
    tables = [table for run in shown for table in _tables(run)]
    notes = [
        f"{run.label}: its journal does not say how sure the predictor was at the boundaries."
        for run in shown
        if run.style.confidence is None
    ]
    return Section("style", "Style", how, notes, tables)


def _tables(run: RunReport) -> list[Table]:
    found = run.style
    hand_overs = [
        [f"the {role}", counted(found.opening[role]), counted(found.closing[role])]
        for role in Role
        if found.opening[role]
    ]
    discarded = [
        [why.value, whole(found.discarded[why].times), whole(found.discarded[why].words),
         counted(found.discarded[why].first)]
        for why in Why
        if found.discarded[why].times
    ]  # fmt: skip
    forced = [
        [f"the {role}'s", whole(found.forced[role].spans),
         share(found.forced[role].samples, found.samples),
         counted([(f"“{_line(text, 40)}”", n) for text, n in found.forced[role].words])]
        for role in Role
        if found.forced[role].spans
    ]  # fmt: skip
    tables = [
        Table(
            f"Hand-over words: {run.label}",
            ["", "takes over with", "hands over after"],
            hand_overs or [["nobody", "–", "–"]],
        ),
        Table(
            f"Discarded: {run.label}",
            ["why", "times", "words", "first words"],
            discarded or [["nothing", "0", "0", "–"]],
        ),
        Table(
            f"Forced by Progress: {run.label}",
            ["spans", "how many", "of the samples", "which"],
            forced or [["none", "0", share(0, found.samples), "–"]],
        ),
    ]
    if found.confidence is not None:
        tables.append(_confidence(run.label, found.confidence, found.mean_confidence or 0.0))
    return tables


def _confidence(label: str, bins: tuple[int, ...], mean: float) -> Table:
    rows = [
        [f"{place / BINS:.1f}–{(place + 1) / BINS:.1f}", whole(count), share(count, sum(bins))]
        for place, count in enumerate(bins)
    ]
    title = f"Confidence at boundaries, mean {mean:.3f}: {label}"
    return Table(title, ["P(other kind)", "boundaries", "share"], rows)


def traces(report: Report) -> Section:
    """Some finished samples, whole."""
    run = report.runs[0]
    how = (
        f"{len(run.finished)} of the finished samples of {run.label}, picked by their questions: "
        "who wrote what, and struck through what was discarded where it fell. Read some before "
        "anything is trained on them. Long ones lack their middle; tessy show prints them whole."
    )
    return Section("traces", "Traces", how, traces=run.finished)


def failures(report: Report) -> Section:
    """What failed, and how it ended."""
    run = report.runs[0]
    count = sum(run.accounts.failed.values())
    how = (
        "Each failed sample with the end of what was written. One reason that prevails has one "
        "cause: docs/failures.md says what to do about each. The same command with "
        "--retry-failed writes them anew."
    )
    notes = [] if count else ["None failed."]
    if count > len(run.failed):
        notes.append(f"{len(run.failed):,} of {count:,} are shown, some of each reason.")
    rows = [[each.id, str(each.failure), each.detail, _line(each.prompt)] for each in run.failed]
    tables = [Table("", ["sample", "reason", "detail", "question"], rows)] if rows else []
    return Section("failures", "Failures", how, notes, tables, traces=run.failed)


def _line(text: str, most: int = 100) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[:most] + "…"
