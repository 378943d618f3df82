"""The context of a run: created once and passed to everything that writes samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tessy.boundary.batcher import PredictorBatcher
from tessy.config import Config
from tessy.method.chunks import ChunkSizes
from tessy.method.trajectory import Role
from tessy.models.session import Model
from tessy.runs.counters import Counters
from tessy.synthesis.gate import Gate
from tessy.verifiers.protocol import Verifier


@dataclass(frozen=True, slots=True)
class ResponseForm:
    """What a client asks of a response, beyond the settings (`tessy serve`).

    Attributes:
        tokens: Longest thinking and answer together; None for the settings' limits alone.
        stop: Texts at which the answer ends; they are no part of it.
        schema: A JSON schema for the answer; its model's server has to take one.
    """

    tokens: int | None = None
    stop: tuple[str, ...] = ()
    schema: dict[str, Any] | None = None


ANY_FORM = ResponseForm()


@dataclass(frozen=True, slots=True)
class RunContext:
    """What all samples of a run share.

    Attributes:
        config: The run's settings.
        models: The models that the method needs, by role.
        batcher: Calls the boundary predictors.
        counters: The run's counts.
        sizes: Chunk sizes, for thinking that is written in chunks.
        verifier: Checks answers; None if the settings name none.
        gate: Lets only so many trajectories run at once.
        form: What is asked of responses.
    """

    config: Config
    models: Mapping[Role, Model]
    batcher: PredictorBatcher
    counters: Counters
    sizes: ChunkSizes
    verifier: Verifier | None = None
    gate: Gate = field(default_factory=Gate)
    form: ResponseForm = ANY_FORM

    def snapshot(self) -> dict[str, Any]:
        """The counts since this start, as JSON; updates the models' faults first."""
        stats = {role.value: model.servers.stats for role, model in self.models.items()}
        self.counters.faults = {role: dict(each.faults) for role, each in stats.items()}
        return self.counters.as_json()
