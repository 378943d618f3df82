"""How similar runs are: cosines of TF-IDF vectors, question by question (paper, Fig. 14).

A response is its counts of words or tokens, times ln((1 + n) / (1 + n with it)) + 1 over all
responses that are compared, brought to length one: scikit-learn's `TfidfTransformer` with its
defaults. The similarity of two responses to one question is the product of their vectors, that of
two runs the mean over questions. Where a run has several responses to a question, their mean
stands for them, which equals the mean over all pairs. The principal components are those of the
same vectors (paper, Fig. 8).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import TfidfTransformer

from tessy.report.figures.intervals import Array, Bootstrap, Interval, ratios
from tessy.report.figures.words import WordCounter

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
    """How similar some runs are.

    Attributes:
        runs: Their labels.
        questions: On how many questions they are compared.
        cosines: By two different labels, joined by ` | `; each pair once, in the order of the runs.
        clouds: By label; empty if there are too few responses.
        explained: The share of the variance that each component explains.
    """

    runs: tuple[str, ...]
    questions: int
    cosines: Mapping[str, Interval]
    clouds: Mapping[str, Cloud]
    explained: tuple[float, ...]

    def between(self, one: str, other: str) -> Interval:
        """The similarity of two runs, in either order; 1 for a run and itself."""
        if one == other:
            return Interval(1.0)
        return self.cosines.get(f"{one} | {other}") or self.cosines[f"{other} | {one}"]


def similarity(
    runs: Mapping[str, WordCounter], questions: Sequence[bytes], bootstrap: Bootstrap
) -> Similarity:
    """Compare runs.

    Args:
        runs: Their counts, by label; at least two.
        questions: Those that all of them answered; at least one.
        bootstrap: How intervals are made.
    """
    vectors = _vectors(runs, questions)
    pairs = list(combinations(runs, 2))
    products = np.stack(
        [np.asarray(vectors[a].multiply(vectors[b]).sum(axis=1)).ravel() for a, b in pairs], axis=1
    ).clip(max=1.0)  # rounding goes beyond
    cosines = ratios(products, np.ones_like(products), questions, bootstrap)
    clouds, explained = _components(vectors)
    return Similarity(
        runs=tuple(runs),
        questions=len(questions),
        cosines=dict(zip(map(" | ".join, pairs), cosines, strict=True)),
        clouds=clouds,
        explained=explained,
    )


def _vectors(
    runs: Mapping[str, WordCounter], questions: Sequence[bytes]
) -> dict[str, sparse.csr_matrix]:
    """A matrix of shape (questions, words in use) for each run."""
    places = {key: place for place, key in enumerate(questions)}
    counts, means = [], []
    for counter in runs.values():
        rows = [row for row, key in enumerate(counter.questions) if key in places]
        counts.append(counter.matrix()[rows])
        means.append(_means([places[counter.questions[row]] for row in rows], len(questions)))
    width = max(each.shape[1] for each in counts)
    for each in counts:
        each.resize(each.shape[0], width)
    stacked = sparse.vstack(counts, format="csr")
    weighted = TfidfTransformer().fit_transform(stacked[:, np.unique(stacked.indices)])
    ends = np.cumsum([each.shape[0] for each in counts])
    return {
        label: (mean @ weighted[end - mean.shape[1] : end]).tocsr()
        for label, mean, end in zip(runs, means, ends, strict=True)
    }


def _means(places: Sequence[int], count: int) -> sparse.csr_matrix:
    """The matrix, shape (count, samples), that takes samples' rows to the mean of each question's.

    Args:
        places: The place of each sample's question.
        count: How many questions there are.
    """
    weights = 1 / np.bincount(places, minlength=count)[places]
    return sparse.csr_matrix(
        (weights, (places, range(len(places)))), shape=(count, len(places))
    )  # fmt: skip


def _components(
    vectors: Mapping[str, sparse.csr_matrix],
) -> tuple[dict[str, Cloud], tuple[float, ...]]:
    stacked = sparse.vstack(list(vectors.values()), format="csr")
    first = stacked[np.zeros(stacked.shape[0], np.intp)]
    if min(stacked.shape) < 3 or abs(stacked - first).max() < _NOTHING:
        return {}, ()
    model = PCA(n_components=2, svd_solver="arpack", random_state=0)
    points = np.split(model.fit_transform(stacked), len(vectors))
    clouds = {
        label: Cloud(part, (float(part[:, 0].mean()), float(part[:, 1].mean())))
        for label, part in zip(vectors, points, strict=True)
    }
    return clouds, tuple(model.explained_variance_ratio_.tolist())
