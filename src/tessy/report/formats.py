"""The three forms of a report: an HTML page, Markdown, and JSON.

The page is one file that opens offline and loads nothing. What models wrote is not trusted: it is
escaped, control characters become pictures, directions of writing are kept inside their element,
and the page's own policy allows no script, no request and no style but its own.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from importlib import resources
from typing import Any

import jinja2
import orjson
from markupsafe import Markup

from tessy import palette
from tessy.display import visible, visible_value
from tessy.report.document import Section, Table
from tessy.report.excerpts import Excerpt
from tessy.report.report import Report
from tessy.report.sections import document

JSON_FORMAT = 1
"""Raised when a name in the JSON changes its meaning."""
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~&])")

BEGINS = {
    "html": rb"<!doctype html>",
    "json": rb'\{\s+"format": \d+,\s+"runs"',
    "markdown": rb"# Report: ",
}
"""How a report begins in each format; see `tessy.data.outputs`."""

# --- HTML ---------------------------------------------------------------------------------------


def as_html(report: Report) -> str:
    """A report as a page."""
    files = resources.files("tessy.report")
    css = palette.css() + files.joinpath("page.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=visible_value,
    )
    template = environment.from_string(files.joinpath("page.html.jinja").read_text("utf-8"))
    return template.render(
        document=document(report),
        css=Markup(css),
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'",
    )


# --- Markdown -----------------------------------------------------------------------------------


def as_markdown(report: Report) -> str:
    """A report for pull requests, cards and other readers of text; charts in words, no traces."""
    made = document(report)
    headlines = Table("", ["", "", ""], [[h.name, h.value, h.aside] for h in made.headlines])
    blocks = [f"# {_safe(made.title)}", _safe(made.lead), _markdown_table(headlines)]
    for section in made.sections:
        blocks += _blocks(section)
    return "\n\n".join(blocks) + "\n"


def _blocks(section: Section) -> Iterator[str]:
    yield f"## {_safe(section.title)}"
    yield _safe(section.how)
    yield from map(_safe, section.notes)
    for table in section.tables:
        if table.title:
            yield f"**{_safe(table.title)}**"
        yield _markdown_table(table)
    for chart in section.charts:
        yield f"{_safe(chart.title)}: {_safe(chart.words)}."
    if section.traces and not section.tables:
        yield f"The page shows {', '.join(_safe(trace.id) for trace in section.traces)}."


def _markdown_table(table: Table) -> str:
    rule = ["---", *["---" if table.is_text else "--:"] * (len(table.head) - 1)]
    rows = [_row(map(_safe, cells)) for cells in (table.head, *table.rows)]
    return "\n".join([rows[0], f"|{'|'.join(rule)}|", *rows[1:]])


def _row(cells: Iterator[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _safe(text: str) -> str:
    """One line in which nothing that models wrote is markup."""
    return _MARKDOWN.sub(r"\\\1", visible(" ".join(text.split())))


# --- JSON ---------------------------------------------------------------------------------------


def as_json(report: Report) -> str:
    """All numbers of a report, under the names that the code has for them.

    A number is null where there was nothing to count. Points of the principal components are left
    out, and so are the texts of samples.
    """
    options = orjson.OPT_INDENT_2 | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_NON_STR_KEYS
    tree = {"format": JSON_FORMAT, **_fields(report)}
    return orjson.dumps(tree, default=_fields, option=options).decode() + "\n"


def _fields(value: Any) -> dict[str, Any]:
    if isinstance(value, Excerpt):
        failed = {"reason": value.failure, "detail": value.detail} if value.failure else {}
        return {"id": value.id, **failed}
    names = [field.name for field in fields(value) if field.name != "points"]
    return {name: getattr(value, name) for name in names}


FORMATS: dict[str, Callable[[Report], str]] = {
    "html": as_html,
    "markdown": as_markdown,
    "json": as_json,
}
