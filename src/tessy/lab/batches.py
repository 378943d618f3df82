"""Batches of the corpus: each can be made by its number, so that a training goes on anywhere.

Examples of about the same length stand together: `_POOL` batches are drawn at once, their examples
sorted by length, and the batches shuffled.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from tessy.lab.corpus import example
from tessy.lab.encode import Encoded, Encoder
from tessy.lab.members import Member

_POOL = 16
IGNORED = -100
"""The label of what is not learned, as torch's cross entropy has it."""


class Batch(NamedTuple):
    """Examples as tensors [examples, tokens], padded at the end.

    Attributes:
        ids: Token ids.
        labels: The same where they are learned, else `IGNORED`.
    """

    ids: Any
    labels: Any


def batches(
    member: Member, encoder: Encoder, *, size: int, seed: int, first: int, end: int
) -> Iterator[Batch]:
    """The batches of a training, from one number to another.

    Args:
        member: Whose corpus.
        encoder: Of its tokenizer.
        size: Examples a batch.
        seed: Of the corpus and the order.
        first: The first batch's number.
        end: The number after the last one's.
    """
    number = first
    while number < end:
        pool = _pool(member, encoder, size, seed, number // _POOL)
        start = number % _POOL
        for one in pool[start : start + end - number]:
            yield _padded(one, encoder.pad)
            number += 1


def _pool(
    member: Member, encoder: Encoder, size: int, seed: int, number: int
) -> list[list[Encoded]]:
    start = number * _POOL * size
    drawn = [encoder.example(example(member, start + at, seed)) for at in range(_POOL * size)]
    drawn.sort(key=lambda one: len(one.ids))
    found = [drawn[at : at + size] for at in range(0, len(drawn), size)]
    random.Random(f"{seed}/{member}/order/{number}").shuffle(found)
    return found


def _padded(examples: list[Encoded], pad: int) -> Batch:
    import torch

    width = max(len(one.ids) for one in examples)
    ids = torch.full((len(examples), width), pad)
    labels = torch.full((len(examples), width), IGNORED)
    for row, one in enumerate(examples):
        ids[row, : len(one.ids)] = torch.tensor(one.ids)
        learned = [
            token if own else IGNORED for token, own in zip(one.ids, one.learned, strict=True)
        ]
        labels[row, : len(one.ids)] = torch.tensor(learned)
    return Batch(ids, labels)
