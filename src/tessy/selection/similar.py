"""Near-duplicates among any number of questions.

`SimilarTexts` holds 6 kB for each text that it has seen, too much for a million. But it compares a
text only with those that it files under the same *band*, and most questions share no band with any
other. So the bands of all questions are noted first, as a number of 8 bytes each, and only
questions that share one are passed to it. The decisions are the same as if all were.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from tessy.exporting.overlap import SimilarTexts

Text = tuple[int, str, str]
"""Number, id and content of a question."""


def near_duplicates(
    similar: SimilarTexts,
    texts: Callable[[NDArray[np.int64]], Iterable[Text]],
    numbers: NDArray[np.int64],
) -> Iterator[tuple[int, str]]:
    """Find texts that are nearly one before them that is kept.

    Args:
        similar: Says so of two texts; it has seen none yet.
        texts: Reads the texts with some numbers, in their order.
        numbers: The numbers of all texts, ascending.

    Yields:
        The number of a near-duplicate, and which text it is like.
    """
    shared = sharing_bands((similar.bands(text) for _, _, text in texts(numbers)), len(numbers))
    for number, name, text in texts(numbers[shared]):
        if (found := similar.find(name, text)) is not None:
            yield number, found


def sharing_bands(bands: Iterable[list[bytes]], count: int) -> NDArray[np.bool_]:
    """Which texts have a band that another has, too.

    Args:
        bands: The bands of each text; all texts have equally many.
        count: How many texts there are.

    Returns:
        Shape (texts,).
    """
    noted: NDArray[np.uint64] | None = None
    for number, each in enumerate(bands):
        if noted is None:
            noted = np.zeros((len(each), count), np.uint64)
        noted[:, number] = [_number(band) for band in each]
    found = np.zeros(count, bool)
    for row in [] if noted is None else noted:
        order = np.argsort(row, kind="stable")
        same = row[order][1:] == row[order][:-1]
        found[order[1:][same]] = found[order[:-1][same]] = True
    return found


def _number(band: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(band, digest_size=8).digest())
