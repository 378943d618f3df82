"""Batches of the corpus. Each is made from its number, so a training can resume anywhere.

A batch holds examples of similar lengths: the examples of `_POOL` batches are drawn at once, sorted
by length, cut into batches, and these are shuffled.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from studies.lab.corpus import example
from studies.lab.encode import EncodedExample, Encoder
from studies.lab.members import Member

_POOL = 16
IGNORED = -100
"""The label of what is not learned, as in torch's cross entropy."""


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
        size: Examples per batch.
        seed: Of the corpus and the order.
        first: The first batch's number.
        end: The number after the last one's.
    """
    pool: list[list[EncodedExample]] = []
    for number in range(first, end):
        if not pool or number % _POOL == 0:
            pool = _pool(member, encoder, size, seed, number // _POOL)
        yield _padded(pool[number % _POOL], encoder.pad)


def _pool(
    member: Member, encoder: Encoder, size: int, seed: int, number: int
) -> list[list[EncodedExample]]:
    start = number * _POOL * size
    drawn = [encoder.example(example(member, start + at, seed)) for at in range(_POOL * size)]
    drawn.sort(key=lambda one: len(one.ids))
    found = [drawn[at : at + size] for at in range(0, len(drawn), size)]
    random.Random(f"{seed}/{member}/order/{number}").shuffle(found)
    return found


def _padded(examples: list[EncodedExample], pad: int) -> Batch:
    width = max(len(one.ids) for one in examples)
    ids = torch.full((len(examples), width), pad)
    labels = torch.full((len(examples), width), IGNORED)
    for row, one in enumerate(examples):
        length = len(one.ids)
        ids[row, :length] = torch.tensor(one.ids)
        labels[row, :length] = torch.where(torch.tensor(one.learned), ids[row, :length], IGNORED)
    return Batch(ids, labels)
