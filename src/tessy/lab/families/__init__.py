"""The families of the world, by name. The first one is the target."""

from __future__ import annotations

from tessy.lab.families.chain_sum import CHAIN_SUM
from tessy.lab.families.letter_counting import LETTER_COUNTING
from tessy.lab.families.number_filtering import NUMBER_FILTERING
from tessy.lab.families.spell_backward import SPELL_BACKWARD
from tessy.lab.world import Family

_ALL = (CHAIN_SUM, SPELL_BACKWARD, LETTER_COUNTING, NUMBER_FILTERING)

FAMILIES: dict[str, Family] = {family.name: family for family in _ALL}
TARGET = CHAIN_SUM.name
