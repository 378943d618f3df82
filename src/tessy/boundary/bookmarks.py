"""How far texts are judged, remembered, so that no text is looked at again from its start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from tessy.boundary.kinds import State
from tessy.boundary.lexemes import Lexeme
from tessy.boundary.verbatim import stretches, stretches_from
from tessy.method.judgement import Passage

_REMEMBERED = 4096
"""Texts, and contexts, that are remembered at most; the one that was left longest is forgotten."""

_BLOCK = 4096
"""Characters of a context between two places by which it is found again; a shorter one is not."""

_TAIL = 48
"""Characters by which a text or context is found; whether it is the same is then compared."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Bookmark(NamedTuple):
    """How far a text is judged, and all that is needed to go on from there.

    Attributes:
        text: What was there, of which everything else here holds.
        end: Behind the last complete word of the text.
        settled: As in `Judgement`.
        words: The last words up to `end`, from the first whose kind more text may change; offsets
            count from the start of the context, in which they may lie.
        state: The state before them.
        outside: Where to look for code, quotes and formulas from; see `verbatim.stretches_from`.
    """

    context: str
    text: str
    end: int
    settled: int
    words: Sequence[Lexeme]
    state: State
    outside: int


class Memory:
    """Where the last looks at texts and contexts have ended, so that none is looked at again.

    It only saves time: what is remembered is used where all of the text before is the same, so no
    judgement depends on it. A trajectory has one entry of each sort, which moves on with it.
    """

    def __init__(self) -> None:
        self._texts: dict[tuple[object, ...], Bookmark] = {}
        self._contexts: dict[tuple[int, str], tuple[str, int]] = {}

    def recall(self, passage: Passage) -> Bookmark | None:
        """The bookmark of the last look at a text of which this one is the same, or more."""
        if not passage.judged:
            return None
        key = _key(passage, passage.judged)
        mark = self._texts.get(key)
        if mark is None or mark.context != passage.context:
            return None
        if not passage.text.startswith(mark.text):
            return None
        del self._texts[key]  # it comes back under the key of the next look
        self._keep(self._texts, key, mark)
        return mark

    def keep(self, passage: Passage, mark: Bookmark) -> None:
        """Remember how far a text is judged, for a look that is told as much by `judged`."""
        settled = max(mark.settled, passage.judged)
        if passage.judged and settled != passage.judged:
            self._texts.pop(_key(passage, passage.judged), None)
        if settled:
            self._keep(self._texts, _key(passage, settled), mark)

    def outside(self, context: str, limit: int) -> int:
        """A place up to `limit`, mostly near it, to look for code, quotes and formulas from."""
        blocks = len(context) // _BLOCK
        known = 0
        for block in range(blocks, max(blocks - 3, 0), -1):
            before, outside = self._contexts.get(_block_key(context, block), ("", 0))
            if before and context.startswith(before):
                del self._contexts[_block_key(context, block)]
                known = outside if outside <= limit else 0
                break
        at = _outside(context, limit, known)
        if blocks:
            self._keep(self._contexts, _block_key(context, blocks), (context, at))
        return at

    @staticmethod
    def _keep(memory: dict[_Key, _Value], key: _Key, value: _Value) -> None:
        memory.pop(key, None)
        memory[key] = value
        if len(memory) > _REMEMBERED:
            del memory[next(iter(memory))]


def _key(passage: Passage, judged: int) -> tuple[object, ...]:
    tail = passage.text[max(judged - _TAIL, 0) : judged]
    return passage.role, len(passage.context), judged, tail


def _block_key(context: str, block: int) -> tuple[int, str]:
    return block, context[block * _BLOCK - _TAIL : block * _BLOCK]


def _outside(context: str, limit: int, known: int) -> int:
    """The last place up to `limit` that is fit for `verbatim.stretches_from`; `known` is one."""
    while True:
        at = min(limit, len(context) - 1)
        while at > known and not (is_gap(context[at]) and not context[at - 1].isspace()):
            at -= 1
        if at <= known:
            return known
        shown = shown_from(context, "", known) if known else stretches(context, at)
        covering = [start for start, end in shown if start < at < end]
        if not covering:
            return at
        limit = covering[0]


def shown_from(context: str, text: str, outside: int) -> list[tuple[int, int]]:
    """Code, quotes and formulas behind a place that is in none, counted from the context."""
    start = max(outside - 1, 0)
    part = text[start - len(context) :] if start >= len(context) else context[start:] + text
    return [(a + start, b + start) for a, b in stretches_from(part, outside - start)]


def is_gap(char: str) -> bool:
    """Whether a word certainly ends before this character, or has ended before."""
    return char.isspace() or "\u4e00" <= char <= "\u9fff"
