"""A filter: samples whose response is nearly that of a sample kept before.

Compared are responses, not questions: several samples of one question are wanted, two samples
with nearly one response are not. Likeness is the Jaccard index of the sets of five words in a
row, estimated by MinHash; candidates come from locality-sensitive hashing (`datasketch`). The
first of the like ones, in the order of the input, is kept. The hashes are those of fixed
functions, so the same input gives the same decisions everywhere.
"""

from __future__ import annotations

import zlib
from typing import Any

from tessy.errors import MissingExtra
from tessy.exporting.contamination import ngrams
from tessy.exporting.drops import Drop, Reason
from tessy.exporting.sample import Sample
from tessy.method.words import plain

SHINGLE = 5
"""Words in a row that are compared."""
PERMUTATIONS = 128
"""Hash functions of a sketch: the estimate's standard error is at most 0.044."""
_MARGIN = 0.05
_MISSING_IS_WORSE = (0.1, 0.9)
"""The index finds candidates, and their sketches decide; so it looks a little lower than asked,
and one too many does no harm. With the library's own weights it would miss most pairs that are
just as like as asked: 60% at 0.8."""


class NearDuplicates:
    """Remembers a sketch of each sample that it let pass, and where to find it: some 6 kB.

    Args:
        threshold: Likeness from which a sample is dropped, above 0 and at most 1.

    Raises:
        MissingExtra: `datasketch` is not installed.
    """

    def __init__(self, threshold: float) -> None:
        try:
            from datasketch import MinHash, MinHashLSH
        except ImportError:
            raise MissingExtra(
                "finding near-duplicates needs `datasketch`", hint="pip install 'tessy[export]'"
            ) from None
        self._threshold = threshold
        self._index = MinHashLSH(
            threshold=max(threshold - _MARGIN, _MARGIN),
            num_perm=PERMUTATIONS,
            weights=_MISSING_IS_WORSE,
        )
        self._empty = MinHash(num_perm=PERMUTATIONS, seed=1, hashfunc=zlib.crc32)
        self._kept: list[tuple[str, Any]] = []

    def __call__(self, sample: Sample) -> Drop | None:
        """Drop a sample that is like one that passed; else remember it."""
        found = plain(sample.content)
        runs = ngrams(found, min(SHINGLE, len(found)) or 1)
        sketch = self._empty.copy()
        sketch.update_batch({" ".join(run).encode() for run in runs})
        for number in sorted(self._index.query(sketch)):
            sample_id, other = self._kept[number]
            if (likeness := sketch.jaccard(other)) >= self._threshold:
                return Drop(Reason.NEAR_DUPLICATE, f"{likeness:.2f} like {sample_id}")
        self._index.insert(len(self._kept), sketch)
        self._kept.append((sample.id, sketch))
        return None
