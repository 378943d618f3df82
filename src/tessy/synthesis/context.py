"""The context of a run: created once and passed to everything that writes samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tessy.boundary.batcher import PredictorBatcher
from tessy.config import Config, ModelRole, NamedTeacher
from tessy.method.chunks import ChunkSizes
from tessy.method.trajectory import Role
from tessy.models.session import Model
from tessy.runs.counters import Counters
from tessy.synthesis.gate import Gate
from tessy.verifiers.protocol import Verifier


@dataclass(frozen=True, slots=True)
class OpenedTeacher:
    """One of several teachers of a run.

    Attributes:
        model: The teacher.
        sizes: Chunk sizes of samples that it writes with the student.
    """

    model: Model
    sizes: ChunkSizes


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
        teachers: By name, if there are several. What writes a sample then has the context that
            `with_teacher` returns.
        form: What is asked of responses.
    """

    config: Config
    models: Mapping[Role, Model]
    batcher: PredictorBatcher
    counters: Counters
    sizes: ChunkSizes
    verifier: Verifier | None = None
    gate: Gate = field(default_factory=Gate)
    teachers: Mapping[str, OpenedTeacher] = field(default_factory=dict)
    form: ResponseForm = ANY_FORM

    @classmethod
    def of(
        cls,
        config: Config,
        opened: Mapping[ModelRole, Model],
        batcher: PredictorBatcher,
        counters: Counters,
        verifier: Verifier | None,
    ) -> RunContext:
        """The context of a run with these models."""

        def sizes(teacher: ModelRole) -> ChunkSizes:
            models = {Role.STUDENT: Role.STUDENT, Role.TEACHER: teacher}
            return ChunkSizes({role: config.of(model).chunk for role, model in models.items()})

        return cls(
            config=config,
            models={role: model for role, model in opened.items() if isinstance(role, Role)},
            batcher=batcher,
            counters=counters,
            sizes=sizes(Role.TEACHER),
            verifier=verifier,
            teachers={
                each.name: OpenedTeacher(model, sizes(each))
                for each, model in opened.items()
                if isinstance(each, NamedTeacher)
            },
        )

    @property
    def opened(self) -> dict[ModelRole, Model]:
        """All models of the run."""
        found: dict[ModelRole, Model] = {
            role: model
            for role, model in self.models.items()
            if role is Role.STUDENT or not self.teachers
        }
        return found | {NamedTeacher(name): each.model for name, each in self.teachers.items()}

    @property
    def served(self) -> dict[str, str]:
        """The names of all models in records."""
        return {str(each): model.name for each, model in self.opened.items()}

    def with_teacher(self, name: str | None) -> RunContext:
        """The same with one of several teachers; None if there is one."""
        if name is None:
            return self
        teacher, mine = self.teachers[name], self.config.of(NamedTeacher(name))
        return replace(
            self,
            config=self.config.model_copy(update={"teacher": mine}),
            models={**self.models, Role.TEACHER: teacher.model},
            sizes=teacher.sizes,
        )

    def snapshot(self) -> dict[str, Any]:
        """The counts since this start, as JSON; updates the models' faults first."""
        stats = {str(each): model.servers.stats for each, model in self.opened.items()}
        self.counters.faults = {name: dict(each.faults) for name, each in stats.items()}
        return self.counters.as_json()
