"""The repetition guard: detects text that repeats itself. Pure and incremental.

The published code rescans the last 1,000 characters every hundred rounds for fragments of 3 to
50 words that occur 8 times in a row. Here each new word updates the lengths of the matches that end
at it, so a word costs as much as it has earlier occurrences in a window of `LONGEST` words, and no
text is read twice.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

SHORTEST = 3
LONGEST = 50
TIMES = 8


@dataclass(slots=True)
class RepetitionGuard:
    """Takes text as it is committed, and reports a fragment that occurs `TIMES` times in a row."""

    _recent: deque[str] = field(default_factory=lambda: deque(maxlen=LONGEST))
    _places: dict[str, list[int]] = field(default_factory=dict)
    _runs: dict[int, int] = field(default_factory=dict)
    _count: int = 0
    _partial: str = ""

    def feed(self, text: str) -> str | None:
        """Add text.

        Args:
            text: The committed text; a word may be split between two calls.

        Returns:
            The fragment that repeats, or None.
        """
        joined = self._partial + text
        words = joined.split()
        self._partial = ""
        if words and not joined[-1].isspace():
            self._partial = words.pop()
            if len(self._partial) > 64:  # a script without spaces: count pieces as words
                words.append(self._partial)
                self._partial = ""
        for word in words:
            if fragment := self._add(word):
                return fragment
        return None

    def _add(self, word: str) -> str | None:
        position = self._count
        self._count += 1
        oldest = position - LONGEST
        places = self._places.setdefault(word, [])
        while places and places[0] < oldest:
            places.pop(0)
        runs: dict[int, int] = {}
        for place in places:
            period = position - place
            if period >= SHORTEST:
                runs[period] = self._runs.get(period, 0) + 1
        self._runs = runs
        places.append(position)
        self._recent.append(word)
        if self._count % (4 * LONGEST) == 0:
            self._places = {w: p for w, p in self._places.items() if p[-1] >= oldest}
        for period, run in runs.items():
            if run >= period * (TIMES - 1):
                return " ".join(list(self._recent)[-period:])
        return None
