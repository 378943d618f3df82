"""How alike runs are: cosines of TF-IDF bags of words, question by question (paper, Fig. 14).

A response is its counts of words or tokens, times ln((1 + n) / (1 + n with it)) + 1 over all
responses that are compared, brought to length one: scikit-learn's `TfidfTransformer` as it is by
default. Two responses to one question have the product of their vectors as similarity, two runs
the mean over questions. Where a run has several responses to a question, their mean stands for
them, which comes to the mean over all pairs. The principal components are those of the same
vectors (Fig. 8).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import TfidfTransformer

from tessy.report.figures.bags import Bags
from tessy.report.figures.figures import Array, Bootstrap, Figure, means

_NOTHING = 1e-9
"""Vectors that differ by less are the same, and have no components."""


@dataclass(frozen=True, slots=True)
class Cloud:
    """A run's responses on two principal components.

    Attributes:
        points: Shape (questions, 2), in the order of the questions.
        centroid: Their mean.
    """

    points: Array
    centroid: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Similarity:
    """How alike some runs are.

    Attributes:
        runs: Their labels.
        questions: On how many questions they are compared.
        cosines: By two different labels; each pair once, in the order of the runs.
        clouds: By label; empty if there are too few responses.
        explained: The share of the variance that each component explains.
    """

    runs: tuple[str, ...]
    questions: int
    cosines: Mapping[tuple[str, str], Figure]
    clouds: Mapping[str, Cloud]
    explained: tuple[float, ...]

    def between(self, one: str, other: str) -> Figure:
        """The similarity of two runs, in either order; one of a run and itself."""
        if one == other:
            return Figure(1.0)
        return self.cosines.get((one, other)) or self.cosines[other, one]


def similarity(
    runs: Mapping[str, Bags], questions: Sequence[bytes], bootstrap: Bootstrap
) -> Similarity:
    """Compare runs.

    Args:
        runs: Their bags, by label; two at least.
        questions: Those that all of them answered; one at least.
        bootstrap: How intervals are made.
    """
    vectors = _vectors(runs, questions)
    labels = tuple(runs)
    pairs = [(a, b) for place, a in enumerate(labels) for b in labels[place + 1 :]]
    products = [
        np.asarray(vectors[a].multiply(vectors[b]).sum(axis=1)).ravel() for a, b in pairs
    ]  # fmt: skip
    found = means(np.stack(products, axis=1).clip(max=1.0), bootstrap)  # rounding goes beyond
    clouds, explained = _components(vectors)
    cosines = dict(zip(pairs, found, strict=True))
    return Similarity(labels, len(questions), cosines, clouds, explained)


def _vectors(runs: Mapping[str, Bags], questions: Sequence[bytes]) -> dict[str, sparse.csr_matrix]:
    """Of each run a matrix of shape (questions, words in use)."""
    places = {key: place for place, key in enumerate(questions)}
    width = max(bags.width for bags in runs.values())
    rows, averages = [], []
    for bags in runs.values():
        chosen = [row for row, key in enumerate(bags.questions) if key in places]
        rows.append(bags.bag(width)[chosen])
        averages.append(_averages([places[bags.questions[row]] for row in chosen], len(questions)))
    stacked = sparse.vstack(rows, format="csr")
    stacked = stacked[:, np.unique(stacked.indices)]
    weighted = TfidfTransformer().fit_transform(stacked)
    ends = np.cumsum([each.shape[0] for each in rows])
    parts = [weighted[end - each.shape[0] : end] for end, each in zip(ends, rows, strict=True)]
    return {
        label: (average @ part).tocsr()
        for label, average, part in zip(runs, averages, parts, strict=True)
    }


def _averages(places: Sequence[int], count: int) -> sparse.csr_matrix:
    """The matrix that makes of each sample's row the mean of each question's, (count, samples)."""
    share = 1 / np.bincount(places, minlength=count)
    return sparse.csr_matrix(
        (share[list(places)], (list(places), range(len(places)))), shape=(count, len(places))
    )


def _components(
    vectors: Mapping[str, sparse.csr_matrix],
) -> tuple[dict[str, Cloud], tuple[float, ...]]:
    stacked = sparse.vstack(list(vectors.values()), format="csr")
    alike = abs(stacked - stacked[np.zeros(stacked.shape[0], np.intp)]).max() < _NOTHING
    if min(stacked.shape) < 3 or alike:
        return {}, ()
    model = PCA(n_components=2, svd_solver="arpack", random_state=0)
    points = np.split(model.fit_transform(stacked), len(vectors))
    clouds = {
        label: Cloud(part, (float(part[:, 0].mean()), float(part[:, 1].mean())))
        for label, part in zip(vectors, points, strict=True)
    }
    return clouds, tuple(float(share) for share in model.explained_variance_ratio_)
