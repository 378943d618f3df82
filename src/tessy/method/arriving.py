"""Text that is certain to stay, of what a model is still writing. Pure; no I/O.

A client sees text while it is written, and what was sent can't be taken back. So text is
passed on once it is certain: words that are complete, and nothing that may turn out to be the
beginning of a marker or of a text at which the response ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tessy.method.reading import Reading
from tessy.method.trajectory import Trajectory

_INCOMPLETE = "\ufffd"
"""At the end of a text: the first bytes of a character."""


class ArrivingText(Protocol):
    """The text of one call, as it arrives."""

    @property
    def ended(self) -> bool:
        """Whether it has ended, whatever else would arrive."""
        ...

    def add(self, piece: str) -> str:
        """Add text; returns all of the text so far that is certain to stay."""
        ...

    def end(self) -> str | None:
        """No text will follow; returns the whole text if it ends before what arrived does."""
        ...


class ArrivingThinking:
    """Thinking that one model writes alone: complete words are certain.

    Args:
        trajectory: The state before the call.
        ends: Markers that end the thinking.
    """

    def __init__(self, trajectory: Trajectory, ends: tuple[str, ...]) -> None:
        self._reading = Reading(trajectory, ends)
        self._certain = ""

    @property
    def ended(self) -> bool:
        """An end marker arrived."""
        return self._reading.ended

    def add(self, piece: str) -> str:
        """See `ArrivingText.add`."""
        ends = self._reading.add(piece)
        if ends and not self._reading.lengthens_word:
            self._certain = self._reading.text[: ends[-1] - 1]  # a view ends after a word
        return self._certain

    def end(self) -> str | None:
        """See `ArrivingText.end`: who called the model looks for end markers, too."""
        return None


class ArrivingAnswer:
    """An answer: all is certain but blanks at its ends, and what may begin a text that ends it.

    Args:
        stops: Texts at which the answer ends; they are no part of it.
        markers: Texts that no answer may contain: nothing is certain from the first one on.
    """

    def __init__(self, stops: Sequence[str], markers: Sequence[str]) -> None:
        self.ended = False
        self._text = ""
        self._stops = tuple(stops)
        self._markers = tuple(markers)
        self._marked = False
        self._safe = 0  # nothing before it may begin a stop text or a marker

    def add(self, piece: str) -> str:
        """See `ArrivingText.add`."""
        if not self.ended:
            self._text += piece
            if not self._marked:
                self._look()
        shown = self._text[: self._safe].strip()
        return shown.rstrip(_INCOMPLETE).rstrip()

    def end(self) -> str | None:
        """See `ArrivingText.end`: what may begin a stop text is none."""
        at, stop = self._first(self._stops)
        if stop and not self.ended:
            self._text, self.ended = self._text[:at], True
        return self._text if self.ended else None

    def _look(self) -> None:
        texts = (*self._stops, *self._markers)
        at, found = self._first(texts)
        self._safe = min(at, *(self._beginning(each) for each in texts))
        if not found or self._safe < at:
            return
        if found in self._stops:
            self._text, self.ended = self._text[:at], True
        else:
            self._marked = True

    def _first(self, texts: Sequence[str]) -> tuple[int, str]:
        """Which of some texts comes first, and where; nothing and the end if none is there."""
        found = [(at, each) for each in texts if (at := self._text.find(each, self._safe)) >= 0]
        return min(found, key=lambda pair: pair[0], default=(len(self._text), ""))

    def _beginning(self, of: str) -> int:
        """Where the end of the text may be the beginning of another text; its end if nowhere."""
        whole = len(self._text)
        for size in range(min(len(of) - 1, whole - self._safe), 0, -1):
            if self._text.endswith(of[:size]):
                return whole - size
        return whole
