"""Which numbers of a list are larger than a limit.

reasoning-gym asks for the smaller ones, too, and what to remove; then what becomes of a number is
the parity of two or three things, which so small a network does not find out in its time.
"""

from __future__ import annotations

from tessy.lab.world import Family, Metadata, Slips, Slot, Solution, solution


def _solve(metadata: Metadata, slips: Slips) -> Solution:
    limit = int(metadata["filter_value"])
    works: list[tuple[Slot, str]] = []
    kept = []
    for text in metadata["original_numbers"]:
        number = int(text)
        sign = "<" if number < limit else ">" if number > limit else "="
        if number > limit:
            kept.append(text)
        slot = Slot.NEXT if works else Slot.OPEN
        verdict = "keep" if number > limit else "drop"
        works.append((slot, f"{number} {sign} {limit}: {verdict}."))
    return solution(works, str(kept))


NUMBER_FILTERING = Family(
    name="number_filtering",
    dataset="number_filtering",
    params={
        **{"min_numbers": 3, "max_numbers": 5, "min_decimals": 0, "max_decimals": 0},
        **{"min_value": 1, "max_value": 99},
    },
    solve=_solve,
    suits=lambda metadata: metadata["operation"] == "keep_larger",
)
