"""A report in words: its sections, in the order in which a reader asks."""

from __future__ import annotations

from tessy.display import count_of
from tessy.report.document import Document
from tessy.report.report import Report
from tessy.report.sections import texts, totals

__all__ = ["document"]


def document(report: Report) -> Document:
    """Put a report into words."""
    run = report.runs[0]
    others = ", ".join(other.label for other in report.runs[1:])
    against = f", against {others}" if others else ""
    finished = int(run.accounts.finished.sums["samples"])
    failed = sum(run.accounts.failed.values())
    lacking = f"; not complete: {run.lacking}" if run.lacking else ""
    if run.left_out:
        lacking += f"; {count_of(run.left_out, 'more question')} left out"
    return Document(
        title=f"Report: {run.label}",
        lead=f"{run.label}{against}: {count_of(run.accounts.ended, 'sample')} = "
        f"{finished:,} finished + {failed:,} failed{lacking}. Who wrote what, how close the text "
        "is to the student's own, where samples failed, and what the run cost.",
        headlines=totals.headlines(run),
        sections=[
            *([right] if (right := totals.accuracy(report)) else []),
            totals.runs(report),
            totals.accounts(report),
            totals.lengths(report),
            texts.similarity(report),
            texts.words(report),
            texts.likelihood(report),
            texts.style(report),
            texts.traces(report),
            texts.failures(report),
        ],
    )
