"""Filters that look at one sample alone. Pure, but for the tokenizer that is given."""

from __future__ import annotations

from collections.abc import Callable

from tessy.exporting.drops import Drop, Filter, Reason
from tessy.exporting.sample import Sample

Count = Callable[[Sample], int]
"""Tokens of a sample."""


def without_forced(sample: Sample) -> Drop | None:
    """Drop a sample that holds words which its predictor called the other kind."""
    if not sample.forced:
        return None
    spans = "span" if sample.forced == 1 else "spans"
    return Drop(Reason.FORCED, f"{sample.forced} {spans} kept only for Progress")


def least_share(bound: float) -> Filter:
    """Drop a sample of which the teacher wrote less than `bound` (share of tokens, 0 to 1)."""

    def decide(sample: Sample) -> Drop | None:
        share = sample.teacher_share
        if share >= bound:
            return None
        return Drop(Reason.TEACHER_SHARE_LOW, f"teacher share {share:.4f}, below {bound}")

    return decide


def greatest_share(bound: float) -> Filter:
    """Drop a sample of which the teacher wrote more than `bound` (share of tokens, 0 to 1)."""

    def decide(sample: Sample) -> Drop | None:
        share = sample.teacher_share
        if share <= bound:
            return None
        return Drop(Reason.TEACHER_SHARE_HIGH, f"teacher share {share:.4f}, above {bound}")

    return decide


def longest(bound: int, count: Count) -> Filter:
    """Drop a sample with more than `bound` tokens, as `count` counts them."""

    def decide(sample: Sample) -> Drop | None:
        tokens = count(sample)
        return Drop(Reason.TOO_LONG, f"{tokens} tokens, above {bound}") if tokens > bound else None

    return decide


def recorded(sample: Sample) -> int:
    """Tokens of the response, as its models counted them."""
    return sample.tokens
