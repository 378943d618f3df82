"""Text of models and servers, made fit for a terminal or a page."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]
"""Is told what is going on, in a line."""

_PICTURES = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"},
    0x7F: "␡",
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
    # Embeddings, overrides and isolates: they would show text in another order than it has.
    **dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\ufffd"),
}


def visible(text: str) -> str:
    """Text whose control characters are pictures, one for one: they would be obeyed."""
    return text.translate(_PICTURES)
