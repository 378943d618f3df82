"""The four families of tasks, and how each is solved step by step.

- `chain_sum`, the target: sums and differences of two-digit numbers, from left to right. Each
  number takes two steps, its tens and its ones. The mistake that a solver may make is the
  schoolbook one: it forgets to borrow when it subtracts the ones, so the result is ten too large.
- `spell_backward`: a word, spelled from its end.
- `letter_counting`: how often a letter occurs in a few words. Each occurrence is written with its
  number, so that counting goes from letter to letter; without the numbers, so small a network just
  gives the most frequent answer.
- `number_filtering`: which numbers of a list are larger than a limit. reasoning-gym also asks for
  the smaller ones, and for what to remove; then the verdict on a number depends on two or three
  things at once, which so small a network does not learn in its time.
"""

from __future__ import annotations

from studies.lab.world import Metadata, Slips, Solution, StyleSlot, TaskFamily, solution

_FEWEST_DIFFERENCES = 2
"""The mistake can be made nowhere else."""
_LONGEST_WORD = 6


def _terms(metadata: Metadata) -> list[tuple[str, int]]:
    """Signs and numbers of an expression; the first has a plus."""
    parts = ["+", *str(metadata["expression"]).split()]
    return [(sign, int(number)) for sign, number in zip(parts[::2], parts[1::2], strict=True)]


def _has_differences_and_no_negative_total(metadata: Metadata) -> bool:
    terms = _terms(metadata)
    total = 0
    for sign, number in terms:
        total += number if sign == "+" else -number
        if total < 0:
            return False
    return [sign for sign, _ in terms].count("-") >= _FEWEST_DIFFERENCES


def _add_up(metadata: Metadata, slips: Slips) -> Solution:
    (_, total), *rest = _terms(metadata)
    works: list[tuple[StyleSlot, str]] = []
    for sign, number in rest:
        parts = []
        for part in (number - number % 10, number % 10):
            if not part:
                continue
            result = total + part if sign == "+" else total - part
            if sign == "-" and part < 10 and total % 10 < part and slips():
                result += 10
            parts.append(f"{total} {sign} {part} = {result}")
            total = result
        works.append((_open_or_next(works), f"{', '.join(parts)}."))
    return solution(works, str(total))


def _spell_backward(metadata: Metadata, _: Slips) -> Solution:
    word = str(metadata["word"])
    backward = word[::-1]
    works = [
        (StyleSlot.OPEN, f"{'-'.join(word)}."),
        (StyleSlot.TURN, f"{'-'.join(backward)}."),
    ]
    return solution(works, backward, f'"{backward}"')


def _short_lower_case_words_with_the_letter_twice(metadata: Metadata) -> bool:
    words = [str(word) for word in metadata["span"]]
    plain = all(word.isascii() and word.isalpha() and word.islower() for word in words)
    short = all(len(word) <= _LONGEST_WORD for word in words)
    return plain and short and sum(word.count(metadata["target_letter"]) for word in words) > 1


def _count_letters(metadata: Metadata, _: Slips) -> Solution:
    letter = str(metadata["target_letter"])
    counts = []
    works: list[tuple[StyleSlot, str]] = []
    for word in metadata["span"]:
        spelled = []
        count = 0
        for each in word:
            count += each == letter
            spelled.append(f"{each}{count}" if each == letter else each)
        counts.append(count)
        works.append((_open_or_next(works), f'"{word}": {"-".join(spelled)} has {count}.'))
    works.append((StyleSlot.TURN, f"{' + '.join(map(str, counts))} = {sum(counts)}."))
    return solution(works, str(sum(counts)))


def _filter_numbers(metadata: Metadata, _: Slips) -> Solution:
    limit = int(metadata["filter_value"])
    works: list[tuple[StyleSlot, str]] = []
    kept = []
    for text in metadata["original_numbers"]:
        number = int(text)
        sign = "<" if number < limit else ">" if number > limit else "="
        verdict = "keep" if number > limit else "drop"
        if number > limit:
            kept.append(text)
        works.append((_open_or_next(works), f"{number} {sign} {limit}: {verdict}."))
    return solution(works, str(kept))


def _open_or_next(works: list[tuple[StyleSlot, str]]) -> StyleSlot:
    return StyleSlot.NEXT if works else StyleSlot.OPEN


_ALL = (
    TaskFamily(
        name="chain_sum",
        params={"min_terms": 4, "max_terms": 5, "min_digits": 2, "max_digits": 2},
        suits=_has_differences_and_no_negative_total,
        solve=_add_up,
        verifier="number",
        target=True,
    ),
    TaskFamily(
        name="spell_backward",
        params={"min_word_len": 3, "max_word_len": 5},
        suits=lambda metadata: str(metadata["word"]).isascii(),
        solve=_spell_backward,
        verifier="exact",
    ),
    TaskFamily(
        name="letter_counting",
        params={"min_words": 2, "max_words": 3},
        suits=_short_lower_case_words_with_the_letter_twice,
        solve=_count_letters,
        verifier="number",
    ),
    TaskFamily(
        name="number_filtering",
        params={
            "min_numbers": 3,
            "max_numbers": 5,
            "min_decimals": 0,
            "max_decimals": 0,
            "min_value": 1,
            "max_value": 99,
        },
        suits=lambda metadata: metadata["operation"] == "keep_larger",
        solve=_filter_numbers,
    ),
)

FAMILIES = {family.name: family for family in _ALL}
(TARGET,) = (family.name for family in _ALL if family.target)
OTHERS = tuple(family.name for family in _ALL if not family.target)
