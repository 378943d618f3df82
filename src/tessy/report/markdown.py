"""A report as Markdown, for pull requests, cards and other readers of text; without traces."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tessy.display import visible
from tessy.report.document import Document, Section, Table

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&])")


def as_markdown(document: Document) -> str:
    """The document's sections and tables; charts in words."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Document) -> Iterator[str]:
    yield f"# {_safe(document.title)}"
    yield ""
    yield _safe(document.lead)
    for section in document.sections:
        yield from _section(section)


def _section(section: Section) -> Iterator[str]:
    yield from ("", f"## {_safe(section.title)}", "", _safe(section.how))
    for note in section.notes:
        yield from ("", _safe(note))
    for table in section.tables:
        yield from _table(table)
    for chart in section.charts:
        yield from ("", f"{_safe(chart.title)}: {_safe(chart.words)}.")
    if section.traces and not section.tables:
        ids = ", ".join(_safe(trace.id) for trace in section.traces)
        yield from ("", f"The page shows {ids}.")


def _table(table: Table) -> Iterator[str]:
    yield ""
    if table.title:
        yield from (f"**{_safe(table.title)}**", "")
    yield _row(table.head)
    yield (
        "|" + "|".join(["---", *["---" if table.is_text else "--:"] * (len(table.head) - 1)]) + "|"
    )
    for row in table.rows:
        yield _row(row)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_safe(cell) for cell in cells) + " |"


def _safe(text: str) -> str:
    """One line in which nothing of what models wrote is markup."""
    return _SPECIAL.sub(r"\\\1", visible(" ".join(text.split())))
