"""Text that knows where each of its characters came from, through what a template does with it.

A rendered prompt has two kinds of text: the template's, which is control, and that of the messages.
They can't be told apart afterwards, and placeholders in place of the messages would change what a
template does that looks at them (`trim`, `'</think>' in content`). So the messages are rendered as
they are, as strings that carry origins. What can't be followed (`upper`, `tojson`, …) is marked as
changed.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import Any, SupportsIndex

OF_TEMPLATE = -1
"""The origin of a character that the template wrote."""
CHANGED = -2
"""The origin of a character made from a message's text in a way that can't be followed."""


class TracedText(str):
    """Text that knows the origin of its characters.

    Args:
        text: The text.
        origins: An origin for each character: an offset, `OF_TEMPLATE` or `CHANGED`; None if all
            are the template's.
    """

    __slots__ = ("_origins",)
    _origins: array[int] | None

    def __new__(cls, text: str, origins: array[int] | None = None) -> TracedText:  # noqa: D102
        made = super().__new__(cls, text)
        made._origins = origins
        return made

    def __str__(self) -> str:
        return self

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        text = super().__getitem__(key)
        if self._origins is None:
            return text
        found = self._origins[key]
        return TracedText(text, found if isinstance(found, array) else array("q", [found]))

    def __iter__(self) -> Iterator[str]:
        return (self[at] for at in range(len(self)))

    def _part(self, text: str, at: int) -> str:
        return self[at : at + len(text)] if self._origins is not None else text

    def strip(self, chars: str | None = None, /) -> str:
        """See `str.strip`."""
        text = super().lstrip(chars)
        return self._part(text.rstrip(chars), len(self) - len(text))

    def lstrip(self, chars: str | None = None, /) -> str:
        """See `str.lstrip`."""
        text = super().lstrip(chars)
        return self._part(text, len(self) - len(text))

    def rstrip(self, chars: str | None = None, /) -> str:
        """See `str.rstrip`."""
        return self._part(super().rstrip(chars), 0)

    def removeprefix(self, prefix: str, /) -> str:
        """See `str.removeprefix`."""
        text = super().removeprefix(prefix)
        return self._part(text, len(self) - len(text))

    def removesuffix(self, suffix: str, /) -> str:
        """See `str.removesuffix`."""
        return self._part(super().removesuffix(suffix), 0)

    def split(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[str]:
        """See `str.split`."""
        return self._parts(super().split(sep, maxsplit), sep)

    def rsplit(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[str]:
        """See `str.rsplit`."""
        return self._parts(super().rsplit(sep, maxsplit), sep)

    def splitlines(self, keepends: bool = False) -> list[str]:
        """See `str.splitlines`."""
        return self._parts(super().splitlines(keepends), None)

    def partition(self, sep: str, /) -> tuple[str, str, str]:
        """See `str.partition`."""
        one, two, three = self._parts(super().partition(sep), "")
        return one, two, three

    def rpartition(self, sep: str, /) -> tuple[str, str, str]:
        """See `str.rpartition`."""
        one, two, three = self._parts(super().rpartition(sep), "")
        return one, two, three

    def _parts(self, texts: Iterable[str], sep: str | None) -> list[str]:
        """Parts in their order, with `sep` between them, or any blanks if it is None."""
        parts, at = [], 0
        for text in texts:
            at = self.find(text, at) if sep is None else at
            parts.append(self._part(text, at))
            at += len(text) + len(sep or "")
        return parts

    def replace(self, old: str, new: str, count: SupportsIndex = -1, /) -> str:
        """See `str.replace`."""
        if not old:
            return str(changed(super().replace(old, new, count)))
        return concatenate(self.split(old, count), new)

    def join(self, iterable: Iterable[str], /) -> str:
        """See `str.join`."""
        return concatenate(iterable, self)


def origins_of(text: str) -> array[int]:
    """The origin of each character of a text."""
    own = text._origins if isinstance(text, TracedText) else None
    return array("q", [OF_TEMPLATE]) * len(text) if own is None else own


def concatenate(texts: Iterable[str], between: str = "") -> str:
    """Join texts with their origins."""
    parts: list[str] = []
    for text in texts:
        parts += [between, text] if parts and between else [text]
    whole = "".join(parts)
    if not any(map(is_traced, parts)):
        return whole
    origins = array("q")
    for part in parts:
        origins += origins_of(part)
    return TracedText(whole, origins)


def is_traced(value: Any) -> bool:
    """Whether a value is text that holds characters of a message."""
    return isinstance(value, TracedText) and value._origins is not None


def changed(value: Any) -> Any:
    """Mark the result of a function of messages that can't be followed."""
    if isinstance(value, str) and not is_traced(value):
        return TracedText(value, array("q", [CHANGED]) * len(value))
    if isinstance(value, list | tuple):
        return type(value)(map(changed, value))
    return value


FOLLOWED = frozenset(name for name in vars(TracedText) if not name.startswith("_"))
"""Methods whose results keep origins by themselves."""
