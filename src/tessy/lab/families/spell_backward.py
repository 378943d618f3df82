"""A word, spelled from its end."""

from __future__ import annotations

from tessy.lab.world import Family, Metadata, Slips, Slot, Solution, solution


def _solve(metadata: Metadata, _: Slips) -> Solution:
    word = str(metadata["word"])
    works = [(Slot.OPEN, f"{'-'.join(word)}."), (Slot.TURN, f"{'-'.join(reversed(word))}.")]
    return solution(works, word[::-1], f'"{word[::-1]}"')


SPELL_BACKWARD = Family(
    name="spell_backward",
    dataset="spell_backward",
    params={"min_word_len": 3, "max_word_len": 5},
    solve=_solve,
    verifier="exact",
    suits=lambda metadata: str(metadata["word"]).isascii(),
)
