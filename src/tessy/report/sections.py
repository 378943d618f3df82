"""All sections of a report, in the order in which one asks."""

from __future__ import annotations

from tessy.report import alike, manners, overview
from tessy.report.build import Report
from tessy.report.document import Document


def document(report: Report) -> Document:
    """Put a report into words."""
    run = report.runs[0]
    others = ", ".join(other.label for other in report.runs[1:])
    against = f", against {others}" if others else ""
    finished = int(run.accounts.finished.sums["samples"])
    failed = sum(run.accounts.failed.values())
    lead = (
        f"{run.label}{against}: {run.accounts.ended:,} samples = {finished:,} finished + "
        f"{failed:,} failed. Who wrote what, whether the text has moved to the student, where it "
        "went wrong, and what it cost."
    )
    return Document(
        title=f"Report: {run.label}",
        lead=lead,
        sections=[
            overview.runs(report),
            overview.accounts(report),
            overview.lengths(report),
            alike.similarity(report),
            alike.words(report),
            alike.likelihood(report),
            manners.style(report),
            manners.traces(report),
            manners.failures(report),
        ],
    )
