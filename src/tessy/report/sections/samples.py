"""Sections that show samples: some finished ones, and failures."""

from __future__ import annotations

from tessy.report.document import Section, Table, one_line
from tessy.report.report import Report


def traces(report: Report) -> Section:
    """Some finished samples, whole."""
    run = report.runs[0]
    how = (
        f"{len(run.finished)} of the finished samples of {run.label}: who wrote what, and, struck "
        "through, what was discarded where. Read some before training on them. The middle of long "
        "ones is left out; tessy show prints them whole."
    )
    return Section("traces", "Traces", how, traces=run.finished)


def failures(report: Report) -> Section:
    """What failed, and how it ended."""
    run = report.runs[0]
    count = sum(run.accounts.failed.values())
    how = (
        "Each failed sample with the end of what was written. If most failures have one reason, "
        "they have one cause: docs/failures.md says what to do about each. The same command with "
        "--retry-failed writes them again."
    )
    notes = [] if count else ["None failed."]
    if count > len(run.failed):
        notes.append(f"{len(run.failed):,} of {count:,} are shown, some of each reason.")
    rows = [[each.id, str(each.failure), each.detail, one_line(each.prompt)] for each in run.failed]
    tables = [Table("", ["sample", "reason", "detail", "question"], rows)] if rows else []
    return Section("failures", "Failures", how, notes, tables, traces=run.failed)
