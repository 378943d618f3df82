"""A list of words, from its end."""

from __future__ import annotations

from collections.abc import Iterable

from tessy.lab.world import Family, Metadata, Slips, Slot, Solution, solution


def _numbered(words: Iterable[tuple[int, str]]) -> str:
    return ", ".join(f'{number} "{word}"' for number, word in words) + "."


def _solve(metadata: Metadata, _: Slips) -> Solution:
    words = list(enumerate(metadata["words"], 1))
    back = words[::-1]
    works = [(Slot.OPEN, _numbered(words)), (Slot.TURN, _numbered(back))]
    quoted = ", ".join(f'"{word}"' for _, word in back)
    return solution(works, ", ".join(word for _, word in back), quoted)


def _suits(metadata: Metadata) -> bool:
    return all(word.isascii() and len(word) < 10 for word in metadata["words"])


WORD_REVERSAL = Family(
    name="word_reversal",
    dataset="word_sequence_reversal",
    params={"min_words": 3, "max_words": 4},
    solve=_solve,
    suits=_suits,
)
