"""What a report is made of in any format: sections with tables and charts.

The HTML page and Markdown show the same document, so they can't say different things. Texts are
plain text: each format escapes them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tessy.report.excerpts import Excerpt
from tessy.report.figures.intervals import Interval

NOTHING = "–"
_LONG_CELL = 40


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose first column names its rows.

    Attributes:
        title: What it holds.
        head: The names of the columns; the first may be empty.
        rows: Cells, as many as there are columns.
        shades: How strongly each cell but a row's first is tinted, 0 to 9; empty for none.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    shades: Sequence[Sequence[int]] = ()

    @property
    def is_text(self) -> bool:
        """Whether its cells are sentences or lists of words rather than numbers."""
        return any(len(cell) > _LONG_CELL for row in self.rows for cell in row[1:])


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart.

    Attributes:
        title: What it shows.
        picture: An SVG that is safe to put into a page.
        words: The same in words, for readers who do not see it.
    """

    title: str
    picture: Markup
    words: str


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report.

    Attributes:
        id: For links.
        title: Its heading.
        how: How to read it.
        notes: What is special here: what is missing and how to get it, what was left out.
        tables: In order.
        charts: In order.
        traces: Samples that are shown whole.
    """

    id: str
    title: str
    how: str
    notes: Sequence[str] = ()
    tables: Sequence[Table] = ()
    charts: Sequence[Chart] = ()
    traces: Sequence[Excerpt] = ()


@dataclass(frozen=True, slots=True)
class Headline:
    """A figure that a report begins with.

    Attributes:
        name: What it is.
        value: The figure.
        aside: What belongs to it: its interval, or what it is of.
    """

    name: str
    value: str
    aside: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """A report, ready to be shown.

    Attributes:
        title: Its heading.
        lead: What it is about, in a sentence or two.
        headlines: The figures that it begins with.
        sections: In order.
    """

    title: str
    lead: str
    headlines: Sequence[Headline]
    sections: Sequence[Section]


# --- How numbers are written --------------------------------------------------------------------


def decimal(number: Interval, digits: int = 3) -> str:
    """A number with its interval: `0.898 (0.891–0.905)`."""
    if math.isnan(number.value):
        return NOTHING
    value, low, high = (f"{each:,.{digits}f}" for each in (number.value, number.low, number.high))
    if math.isnan(number.low) or number.low == number.high:
        return value
    return f"{value} ({low}{' to ' if number.low < 0 else '–'}{high})"


def percent(share: Interval) -> str:
    """A share with its interval: `77.6% (76.9–78.4%)`."""
    if math.isnan(share.value):
        return NOTHING
    if math.isnan(share.low) or share.low == share.high:
        return f"{share.value:.1%}"
    return f"{share.value:.1%} ({100 * share.low:.1f}–{share.high:.1%})"


def between(number: Interval, scale: float = 1, digits: int = 1, unit: str = "") -> str:
    """An interval alone: `92.5–100.0%`; empty without one."""
    if math.isnan(number.low) or number.low == number.high:
        return ""
    return f"{scale * number.low:,.{digits}f}–{scale * number.high:,.{digits}f}{unit}"


def points(difference: Interval) -> str:
    """A difference of shares in percentage points: `+12.5 (+3.1 to +21.9) points`."""
    if math.isnan(difference.value):
        return NOTHING
    value, low, high = (100 * x for x in (difference.value, difference.low, difference.high))
    if math.isnan(low) or low == high:
        return f"{value:+.1f} points"
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f}) points"


def p_value(p: float) -> str:
    """A p-value: `0.031`, `< 0.001`."""
    if math.isnan(p):
        return NOTHING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def whole(number: float) -> str:
    """A number without decimals: `14,602`."""
    return NOTHING if math.isnan(number) else f"{number:,.0f}"


def share(part: float, of: float) -> str:
    """A share without an interval: `77.6%`."""
    return f"{part / of:.1%}" if of else NOTHING


def counted(words: Sequence[tuple[str, int]]) -> str:
    """Words and how often each occurs: `wait (12), so (7)`."""
    return ", ".join(f"{word} ({count:,})" for word, count in words) or NOTHING


def one_line(text: str, most: int = 100) -> str:
    """The beginning of a text on one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[:most] + "…"
