"""How many workers and shards a run has, and the share of the limits that each worker has. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterable

from tessy.config import Config, ModelRole

_SAMPLES_A_WORKER = 200
"""Samples at once that one process writes before it uses a whole core (docs/performance.md)."""
_SHARDS_A_WORKER = 4


def worker_count(config: Config, shards: int, models: Iterable[ModelRole] | None = None) -> int:
    """How many workers to start: no more than there are shards, or concurrent samples or calls.

    Args:
        config: The run's settings.
        shards: The number of shards of the run.
        models: The models that are called; by default all.
    """
    called = config.models() if models is None else models
    bounds = [config.of(model).concurrency for model in called]
    wanted = wanted_workers(config)
    return min(wanted, shards, config.concurrency, *(bound for bound in bounds if bound))


def wanted_workers(config: Config) -> int:
    """The workers that are set, or else as many as cores and load need.

    One process writes about 200 samples at once before it uses a whole core
    (docs/performance.md, "Workers").
    """
    if config.workers is not None:
        return config.workers
    return max(1, min(os.cpu_count() or 1, config.concurrency // _SAMPLES_A_WORKER))


def share_of(config: Config, share: int, shares: int) -> Config:
    """The settings of one worker, with its share of concurrent samples and calls.

    Args:
        config: The run's settings.
        share: The number of the share, from 0.
        shares: The number of shares; see `worker_count`.
    """

    def own(count: int) -> int:
        return max(1, count // shares + (share < count % shares))

    models = {
        each: model.model_copy(update={"concurrency": own(model.concurrency)})
        for each in config.models()
        if (model := config.of(each)).concurrency is not None
    }
    return config.having(models).model_copy(update={"concurrency": own(config.concurrency)})


def default_shards(config: Config) -> int:
    """The number of shards of a new run: several for each worker; one if there is one worker."""
    workers = wanted_workers(config)
    return 1 if workers == 1 else workers * _SHARDS_A_WORKER
