"""Questions of the world, drawn from reasoning-gym, in three splits that share none.

The hash of a question's text decides its split. So whatever the seeds, no question of one split is
ever drawn for another.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from typing import Any

from studies.lab.families import FAMILIES
from studies.lab.world import TaskFamily
from tessy.errors import ConfigError, MissingExtra

_LARGEST = 2**31
_MOST_REPEATS = 20_000
"""Questions drawn in vain before a family counts as exhausted."""


class Split(StrEnum):
    """What a question is for."""

    TRAIN = "train"
    """Training the models from nothing."""
    SFT = "sft"
    """Making data, on which the student is trained further."""
    TEST = "test"
    """Testing; no model is ever trained on these."""


def split_of(prompt: str) -> Split:
    """The split of a question: 8 of 10 are `train`, one each of the others."""
    part = hashlib.blake2b(prompt.encode(), digest_size=8).digest()
    match int.from_bytes(part) % 10:
        case 0:
            return Split.TEST
        case 1:
            return Split.SFT
    return Split.TRAIN


def draw(family: TaskFamily, split: Split, chance: random.Random) -> dict[str, Any]:
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
    dataset = _dataset(family.name, tuple(family.params.items()))
    while True:
        row = _row(family, dataset[chance.randrange(_LARGEST)])
        if family.suits(row["metadata"]) and split_of(row["prompt"]) is split:
            return row


def questions(family: TaskFamily, split: Split, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Draw questions, none twice.

    Args:
        family: Of which.
        split: For what.
        count: How many.
        seed: The same seed gives the same questions; a smaller count gives the first of them.

    Yields:
        Rows of a questions file.

    Raises:
        MissingExtra: reasoning-gym is not installed.
        ConfigError: There are fewer.
    """
    chance = random.Random(f"{seed}/{family.name}/{split}")
    seen: set[str] = set()
    repeats = 0
    while len(seen) < count:
        row = draw(family, split, chance)
        if row["prompt"] not in seen:
            repeats = 0
            yield {"id": f"{family.name}-{split}-{seed}-{len(seen):05d}", **row}
            seen.add(row["prompt"])
        elif (repeats := repeats + 1) == _MOST_REPEATS:
            raise ConfigError(
                f"{family.name} has only about {len(seen)} questions to {split}",
                hint="ask for fewer",
            )


def score(row: dict[str, Any], answer: str) -> float:
    """How right an answer is by reasoning-gym's scorer, from 0 to 1."""
    entry = {"question": row["prompt"], "answer": row["answer"], "metadata": row["metadata"]}
    family = FAMILIES[row["family"]]
    dataset = _dataset(family.name, tuple(family.params.items()))
    return float(dataset.score_answer(answer, entry))


def _row(family: TaskFamily, entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "prompt": entry["question"].strip(),
        "answer": entry["answer"],
        "family": family.name,
        "verifier": family.verifier,
        "dataset": family.name,
        "metadata": _plain(entry["metadata"]),
    }


def _plain(value: Any) -> Any:
    """The value in JSON's types, so that reading a file of it gives the same."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


@cache
def _dataset(name: str, params: tuple[tuple[str, Any], ...]) -> Any:
    try:
        import reasoning_gym
    except ImportError:
        raise MissingExtra(
            "reasoning-gym makes the lab's questions", hint="pip install --group studies"
        ) from None
    return reasoning_gym.create_dataset(name, size=_LARGEST, seed=0, **dict(params))
