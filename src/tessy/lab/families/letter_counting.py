"""How often a letter stands in a few words."""

from __future__ import annotations

from tessy.lab.world import Family, Metadata, Slips, Slot, Solution, solution


def _solve(metadata: Metadata, _: Slips) -> Solution:
    letter = str(metadata["target_letter"])
    counts = []
    works: list[tuple[Slot, str]] = []
    for word in metadata["span"]:
        counts.append(word.lower().count(letter))
        slot = Slot.NEXT if works else Slot.OPEN
        works.append((slot, f'"{word}": {"-".join(word)} has {counts[-1]}.'))
    if len(counts) > 1:
        works.append((Slot.TURN, f"{' + '.join(map(str, counts))} = {sum(counts)}."))
    return solution(works, str(sum(counts)))


def _suits(metadata: Metadata) -> bool:
    return all(word.isascii() and word.isalpha() and len(word) < 8 for word in metadata["span"])


LETTER_COUNTING = Family(
    name="letter_counting",
    dataset="letter_counting",
    params={"min_words": 1, "max_words": 2},
    solve=_solve,
    suits=_suits,
)
