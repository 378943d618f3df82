"""The context of a run: made once, and passed to all that writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tessy.boundary.batcher import PredictorBatcher
from tessy.config import Config
from tessy.method.chunks import ChunkSizes
from tessy.method.trajectory import Role
from tessy.models.session import Model
from tessy.runs.counters import Counters
from tessy.runs.journal import Journal
from tessy.verifiers.protocol import Verifier


@dataclass(frozen=True, slots=True)
class RunContext:
    """What all samples of a run share.

    Attributes:
        config: The run's settings.
        models: Those that the method needs, by role.
        batcher: Asks the boundary predictors.
        journal: Keeps what is written.
        counters: Numbers of the run, as they grow.
        sizes: How much to ask for, where thinking is written in chunks.
        verifier: Checks answers, if the settings name one.
    """

    config: Config
    models: Mapping[Role, Model]
    batcher: PredictorBatcher
    journal: Journal
    counters: Counters
    sizes: ChunkSizes
    verifier: Verifier | None = None

    def snapshot(self) -> dict[str, Any]:
        """What was counted since this start, as JSON; the faults of the models are up to date."""
        stats = {role.value: model.servers.stats for role, model in self.models.items()}
        self.counters.faults = {role: dict(each.faults) for role, each in stats.items()}
        return self.counters.as_json()
