"""How often a letter stands in a few words.

Each time it is met it gets its number, so that counting is a step from letter to letter; without
the numbers, so small a network just says what is most often right.
"""

from __future__ import annotations

from tessy.lab.world import Family, Metadata, Slips, Slot, Solution, solution

_LONGEST = 6


def _solve(metadata: Metadata, _: Slips) -> Solution:
    letter = str(metadata["target_letter"])
    counts = []
    works: list[tuple[Slot, str]] = []
    for word in metadata["span"]:
        spelled = []
        count = 0
        for each in word:
            count += each == letter
            spelled.append(f"{each}{count}" if each == letter else each)
        counts.append(count)
        slot = Slot.NEXT if works else Slot.OPEN
        works.append((slot, f'"{word}": {"-".join(spelled)} has {count}.'))
    works.append((Slot.TURN, f"{' + '.join(map(str, counts))} = {sum(counts)}."))
    return solution(works, str(sum(counts)))


def _suits(metadata: Metadata) -> bool:
    """Short words in small letters; and the letter is there more than once, as it seldom is."""
    words = [str(word) for word in metadata["span"]]
    plain = all(word.isascii() and word.isalpha() and word.islower() for word in words)
    short = all(len(word) <= _LONGEST for word in words)
    return plain and short and sum(word.count(metadata["target_letter"]) for word in words) > 1


LETTER_COUNTING = Family(
    name="letter_counting",
    dataset="letter_counting",
    params={"min_words": 2, "max_words": 3},
    solve=_solve,
    verifier="number",
    suits=_suits,
)
