"""Text of models and servers, made fit for a terminal."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]
"""Is told what is going on, in a line."""

_PICTURES = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"},
    0x7F: "␡",
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
}


def visible(text: str) -> str:
    """Text whose control characters are pictures, one for one: a terminal obeys the others."""
    return text.translate(_PICTURES)
