"""Which split a sample goes into. Pure."""

from __future__ import annotations

import hashlib

from tessy.exporting.sample import Sample

TRAIN, VALIDATION = "train", "validation"


def split(sample: Sample, validation: float | None, seed: int) -> str:
    """The split of a sample: by its question, so that no question stands in both.

    Args:
        sample: Any sample.
        validation: Share of the questions for `validation`, 0 to 1; None for no such split.
        seed: Another seed chooses other questions.
    """
    if validation is None:
        return TRAIN
    digest = hashlib.sha256(str(seed).encode())
    for message in sample.messages[:-1]:
        digest.update(b"\0" + message["role"].encode() + b"\0" + message["content"].encode())
    drawn = int.from_bytes(digest.digest()[:8]) / 2**64
    return VALIDATION if drawn < validation else TRAIN
