"""How likely the student finds a text: mean negative log-likelihood per token, by author.

In nats per token of the student's. A low value says that the student could have written the text
itself; training on it then changes the student little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tessy.report.figures.intervals import Bootstrap, Interval, ratios

AUTHORS = ("all", "student", "teacher", "answer")
"""All of a response but its markers; the thinking by author; the answer, by either author."""


@dataclass(frozen=True, slots=True)
class LikelihoodSums:
    """The likelihood of one sample.

    Attributes:
        nll: Sums of negative log-likelihoods, by `AUTHORS`.
        tokens: Over how many tokens.
    """

    nll: Mapping[str, float]
    tokens: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Likelihood:
    """The likelihood of a run.

    Attributes:
        samples: How many were scored.
        left_out: How many could not be, by why.
        nll: Mean negative log-likelihood per token, by `AUTHORS`.
        tokens: Over how many tokens.
    """

    samples: int
    left_out: Mapping[str, int]
    nll: Mapping[str, Interval]
    tokens: Mapping[str, int]


def likelihood(
    scored: Sequence[tuple[bytes, LikelihoodSums]],
    left_out: Mapping[str, int],
    bootstrap: Bootstrap,
) -> Likelihood:
    """Add up the scores of a run's samples.

    Args:
        scored: Each sample's question and sums.
        left_out: How many samples have no score, by why.
        bootstrap: How intervals are made.
    """
    shape = (len(scored), len(AUTHORS))
    above = np.array([[sums.nll[name] for name in AUTHORS] for _, sums in scored], float)
    below = np.array([[sums.tokens[name] for name in AUTHORS] for _, sums in scored], float)
    questions = [key for key, _ in scored]
    means = ratios(above.reshape(shape), below.reshape(shape), questions, bootstrap)
    tokens = below.reshape(shape).sum(0)
    return Likelihood(
        samples=len(scored),
        left_out=dict(left_out),
        nll=dict(zip(AUTHORS, means, strict=True)),
        tokens={name: int(count) for name, count in zip(AUTHORS, tokens, strict=True)},
    )
