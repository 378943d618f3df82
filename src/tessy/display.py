"""Showing text of models and servers safely, and lines about progress."""

from __future__ import annotations

from collections.abc import Callable

from markupsafe import Markup

Say = Callable[[str], None]
"""Shows a line about progress."""

_PICTURES = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"},
    0x7F: "␡",
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
    # Embeddings, overrides and isolates would show text in a different order.
    **dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\ufffd"),
    # Surrogates, as in undecodable names of files, can't be written; XML allows none of these.
    **dict.fromkeys((*range(0xD800, 0xE000), 0xFFFE, 0xFFFF), "\ufffd"),
}
_LINES = {ord("\n"): "␊", ord("\t"): "␉", 0x2028: "␤", 0x2029: "␤"}


def count_of(number: int, noun: str) -> str:
    """A number of things: `1 sample`, `2,000 samples`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def visible(text: str) -> str:
    """Replace control characters by visible symbols, so that a terminal does not act on them."""
    return text.translate(_PICTURES)


def visible_line(text: str) -> str:
    """Like `visible`, on one line: a name must not look like several lines."""
    return visible(text).translate(_LINES)


def visible_value(value: object) -> object:
    """A template's value with visible control characters: pages and SVG allow none in a text."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
