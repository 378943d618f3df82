"""Sums and differences of two-digit numbers, from left to right: the target.

Each number is taken in two steps, its tens and its ones. The mistake that a solver may make is the
schoolbook one: where the ones of a difference borrow, the borrow is forgotten, so the result is ten
too large.
"""

from __future__ import annotations

from tessy.lab.world import Family, Metadata, Slips, Slot, Solution, solution

_DIFFERENCES = 2
"""At least: the mistake can be made nowhere else."""


def _terms(metadata: Metadata) -> list[tuple[str, int]]:
    """Signs and numbers of an expression; the first has a plus."""
    parts = ["+", *str(metadata["expression"]).split()]
    return [(sign, int(number)) for sign, number in zip(parts[::2], parts[1::2], strict=True)]


def _suits(metadata: Metadata) -> bool:
    """There are differences in it, and no running total is negative."""
    terms = _terms(metadata)
    total = 0
    for sign, number in terms:
        total += number if sign == "+" else -number
        if total < 0:
            return False
    return [sign for sign, _ in terms].count("-") >= _DIFFERENCES


def _solve(metadata: Metadata, slips: Slips) -> Solution:
    (_, total), *rest = _terms(metadata)
    works: list[tuple[Slot, str]] = []
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
        works.append((Slot.NEXT if works else Slot.OPEN, f"{', '.join(parts)}."))
    return solution(works, str(total))


CHAIN_SUM = Family(
    name="chain_sum",
    dataset="chain_sum",
    params={"min_terms": 4, "max_terms": 5, "min_digits": 2, "max_digits": 2},
    solve=_solve,
    verifier="number",
    suits=_suits,
    target=True,
)
