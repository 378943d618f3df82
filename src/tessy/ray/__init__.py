"""Runs on a Ray cluster: each shard is a task on whatever node is free.

    driver     `tessy synth --on ray`: starts the tasks, again when their nodes die
    task       what runs on a node: it writes one shard
    board      an actor: tasks report their counts, and learn whether to stop
    cluster    connects to a cluster, and checks its nodes before any work
    dataset    `tessy.ray.synthesize`: questions and samples in data sets of Ray

Docs: docs/scale.md.
"""

from tessy.ray.dataset import synthesize

__all__ = ["synthesize"]
