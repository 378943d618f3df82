"""How likely the student finds a text: mean negative log-likelihood per token, by author.

In nats per token of the student's. A low value says that the student could have written the text
itself; training on it then changes the student little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tessy.report.figures.figures import Bootstrap, Figure, by_group, ratios

AUTHORS = ("all", "student", "teacher", "answer")
"""All of a response but its markers; the thinking by author; the answer, whoever wrote it."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Of one sample.

    Attributes:
        nll: Sums of negative log-likelihoods, by what `AUTHORS` names.
        tokens: Over how many tokens.
    """

    nll: Mapping[str, float]
    tokens: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Of a run.

    Attributes:
        samples: That were scored.
        left_out: That could not be, by why.
        nll: Mean negative log-likelihood per token, by what `AUTHORS` names.
        tokens: Over how many tokens.
    """

    samples: int
    left_out: Mapping[str, int]
    nll: Mapping[str, Figure]
    tokens: Mapping[str, int]


def likelihood(
    scored: Sequence[tuple[bytes, Sums]], left_out: Mapping[str, int], bootstrap: Bootstrap
) -> Likelihood:
    """Bring the scores of a run's samples together.

    Args:
        scored: Each sample's question and sums.
        left_out: Samples without, by why.
        bootstrap: How intervals are made.
    """
    places = {key: place for place, key in enumerate(dict.fromkeys(key for key, _ in scored))}
    groups = np.array([places[key] for key, _ in scored], np.intp)
    above = np.array([[sums.nll[name] for name in AUTHORS] for _, sums in scored], float)
    below = np.array([[sums.tokens[name] for name in AUTHORS] for _, sums in scored], float)
    above, below = above.reshape(-1, len(AUTHORS)), below.reshape(-1, len(AUTHORS))
    figures = ratios(
        by_group(above, groups, len(places)), by_group(below, groups, len(places)), bootstrap
    )
    return Likelihood(
        samples=len(scored),
        left_out=dict(left_out),
        nll=dict(zip(AUTHORS, figures, strict=True)),
        tokens={name: int(count) for name, count in zip(AUTHORS, below.sum(0), strict=True)},
    )
