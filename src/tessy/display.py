"""Showing text of models and servers safely, and lines about progress."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]
"""Shows a line about progress."""

_PICTURES = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"},
    0x7F: "␡",
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
    # Embeddings, overrides and isolates would show text in a different order.
    **dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\ufffd"),
}


def visible(text: str) -> str:
    """Replace control characters by visible symbols, so that a terminal does not act on them."""
    return text.translate(_PICTURES)
