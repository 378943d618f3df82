"""The models that a server lists: a method each, so that one server gives a whole comparison."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tessy.config import Config, HandOver
from tessy.errors import meant
from tessy.method.trajectory import Role
from tessy.serving.refusals import ApiError
from tessy.serving.requests import MODEL
from tessy.synthesis.methods import METHODS, method_of
from tessy.synthesis.methods.method import Method
from tessy.synthesis.methods.teacher_mix import TEACHER_MIX
from tessy.synthesis.methods.teacher_only import TEACHER_ONLY


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model that clients can name.

    Attributes:
        id: Its name.
        method: How its responses are written.
        config: The settings for that.
    """

    id: str
    method: Method
    config: Config

    @property
    def answerers(self) -> frozenset[Role]:
        """Who may write the answer."""
        own = self.config.answer_by
        return self.method.answerers if own is Role.STUDENT else frozenset({own})


def served_models(config: Config, roles: Collection[Role]) -> dict[str, ServedModel]:
    """The models of a server by name: its own method, and every other whose models are there.

    Args:
        config: The server's settings.
        roles: The models that are there.

    Raises:
        ConfigError: There is no such method, or a setting is not for it.
    """
    found = {MODEL: ServedModel(MODEL, method_of(config), config)}
    for method in METHODS.values():
        if method.needs(config) <= set(roles):
            name = f"{MODEL}/{method.name}"
            found[name] = ServedModel(name, method, _config_for(config, method))
    return found


def _config_for(config: Config, method: Method) -> Config:
    """The server's settings, without those that are for its own method only."""
    if method.name == config.method:
        return config
    changes: dict[str, object] = {"method": method.name, "answer_by": Role.STUDENT}
    if method not in (TEACHER_ONLY, TEACHER_MIX):
        changes["teacher_only_system_prompt"] = None
    if not method.judged:
        changes["handover"] = HandOver()
    return config.model_copy(update=changes)


def named(name: str, models: Mapping[str, ServedModel]) -> ServedModel:
    """The model of a name.

    Raises:
        ApiError: There is none.
    """
    if name in models:
        return models[name]
    raise ApiError(
        404,
        f"there is no model {name!r:.100}: {meant(name, models)}there is {', '.join(models)}",
        param="model",
        code="model_not_found",
    )
