"""Questions of the world, drawn from reasoning-gym, in three splits that share none.

The hash of a question's own text says which split it belongs to, so whatever the seeds, no
question of one split is ever drawn for another.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from typing import Any

from tessy.errors import ConfigError, MissingExtra
from tessy.lab.families import FAMILIES
from tessy.lab.world import Family

_LARGEST = 2**31
_IDLE = 20_000


class Split(StrEnum):
    """What a question is for."""

    TRAIN = "train"
    """The two models are trained on these, from nothing."""
    SFT = "sft"
    """Data is synthesised of these, and the student trained further."""
    TEST = "test"
    """Nobody is ever trained on these."""


def split_of(prompt: str) -> Split:
    """The split that a question belongs to: 8 of 10 train, one each of the others."""
    part = hashlib.blake2b(prompt.encode(), digest_size=8).digest()
    match int.from_bytes(part) % 10:
        case 0:
            return Split.TEST
        case 1:
            return Split.SFT
    return Split.TRAIN


def family_named(name: str) -> Family:
    """A family.

    Raises:
        ConfigError: There is none of that name.
    """
    if name not in FAMILIES:
        raise ConfigError(f"{name!r} is no family", hint=f"one of {', '.join(FAMILIES)}")
    return FAMILIES[name]


def split_named(name: str) -> Split:
    """A split.

    Raises:
        ConfigError: There is none of that name.
    """
    try:
        return Split(name)
    except ValueError:
        raise ConfigError(f"{name!r} is no split", hint="train, sft or test") from None


def draw(family: Family, split: Split, chance: random.Random) -> dict[str, Any]:
    """Draw one question; it may come again.

    Args:
        family: Of which.
        split: For what.
        chance: Decides which.

    Returns:
        A row of a questions file, without `id`.

    Raises:
        MissingExtra: reasoning-gym is not installed.
    """
    source = _source(family.dataset, tuple(family.params.items()))
    while True:
        entry = source[chance.randrange(_LARGEST)]
        row = _row(family, entry)
        if family.suits(row["metadata"]) and split_of(row["prompt"]) is split:
            return row


def questions(family: Family, split: Split, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Draw questions, none twice.

    Args:
        family: Of which.
        split: For what.
        count: How many.
        seed: The same seed gives the same questions, and the first ones of a larger count.

    Yields:
        Rows of a questions file.

    Raises:
        MissingExtra: reasoning-gym is not installed.
        ConfigError: There are not as many.
    """
    chance = random.Random(f"{seed}/{family.name}/{split}")
    seen: set[str] = set()
    idle = 0
    while len(seen) < count:
        row = draw(family, split, chance)
        if row["prompt"] in seen:
            idle += 1
            if idle == _IDLE:
                raise ConfigError(
                    f"{family.name} has no more than about {len(seen)} questions to {split}",
                    hint="ask for fewer",
                )
            continue
        idle = 0
        yield {"id": f"{family.name}-{split}-{seed}-{len(seen):05d}", **row}
        seen.add(row["prompt"])


def _row(family: Family, entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "prompt": entry["question"].strip(),
        "answer": entry["answer"],
        "family": family.name,
        "verifier": family.verifier,
        "dataset": family.dataset,
        "metadata": _plain(entry["metadata"]),
    }


def _plain(value: Any) -> Any:
    """The same in JSON's types, so that a file gives back what it was given."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def score(row: dict[str, Any], answer: str | None) -> float:
    """How right an answer is, by the family's own scorer, from 0 to 1."""
    entry = {"question": row["prompt"], "answer": row["answer"], "metadata": row["metadata"]}
    family = FAMILIES[row["family"]]
    source = _source(family.dataset, tuple(family.params.items()))
    return float(source.score_answer(answer, entry))


@cache
def _source(dataset: str, params: tuple[tuple[str, Any], ...]) -> Any:
    try:
        import reasoning_gym
    except ImportError:
        raise MissingExtra(
            "questions of the lab are made by reasoning-gym", hint="pip install 'tessy[lab]'"
        ) from None
    return reasoning_gym.create_dataset(dataset, size=_LARGEST, seed=0, **dict(params))
