"""Runs on a Ray cluster: each shard is a task on whatever node is free.

    driver     `tessy synth --on ray`: a run whose shards are tasks
    tasks      starts the tasks, and again when their nodes die
    recovery   whether a shard is written again, and what counts then; no I/O
    task       what runs on a node: it writes one shard
    board      an actor: tasks report their counts, and learn whether to stop
    cluster    connects to a cluster, and checks its nodes before any work
    dataset    `tessy.ray.synthesize`: questions and samples in data sets of Ray

Docs: docs/scale.md.
"""

from tessy.ray.dataset import synthesize

__all__ = ["synthesize"]
