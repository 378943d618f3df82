"""Which numbers of a list are larger, or smaller, than a limit.

Only questions that say what to keep. With "remove" as well, what to do with a number is the parity
of three things, which so small a network does not find out in the time that it is given.
"""

from __future__ import annotations

from tessy.lab.world import Family, Metadata, Slips, Slot, Solution, solution


def _solve(metadata: Metadata, slips: Slips) -> Solution:
    limit = int(metadata["filter_value"])
    side = str(metadata["operation"]).removeprefix("keep_")
    works: list[tuple[Slot, str]] = []
    kept = []
    for text in metadata["original_numbers"]:
        number = int(text)
        sign = "<" if number < limit else ">" if number > limit else "="
        keeps = sign == (">" if side == "larger" else "<")
        if keeps:
            kept.append(text)
        slot = Slot.NEXT if works else Slot.OPEN
        works.append((slot, f"{number} {sign} {limit}: {'keep' if keeps else 'drop'}."))
    return solution(works, str(kept))


NUMBER_FILTERING = Family(
    name="number_filtering",
    dataset="number_filtering",
    params={
        **{"min_numbers": 3, "max_numbers": 5, "min_decimals": 0, "max_decimals": 0},
        **{"min_value": 1, "max_value": 99},
    },
    solve=_solve,
    suits=lambda metadata: str(metadata["operation"]).startswith("keep_"),
)
