"""The settings of an evaluation: those of a run in which one model writes everything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import field_validator, model_validator

from tessy.config import STUDENT_ONLY, Config, ModelRole, ModelSettings, OnWrong, Sampling
from tessy.settings.definitions import Option, OptionGroup
from tessy.settings.loading import load_settings

SAMPLING = Sampling(temperature=0.6, top_p=0.95, top_k=20)
"""The paper's temperature, and the top-p and top-k that Qwen3's model card recommends."""
OF_SYNTHESIS = (
    "method",
    "answer_by",
    "teacher_only_system_prompt",
    "candidates",
    "attempts",
    "on_wrong",
    "prompts",
    "teacher",
    "teachers",
    "route",
    "predictor",
    "student_predictor",
    "teacher_predictor",
)
"""Settings that a file may have for `tessy synth`; an evaluation ignores them."""


class EvaluatedModel(ModelSettings):
    """The model to evaluate."""

    model: Annotated[str, Option(head=True, unset="none; required, here or in the file")]
    """Address: `http://host:port/v1#served-name`, `lab:student`, `lab:teacher`,
    `lab:relative`, `gguf:PATH` or `hf:REPO/FILE`. A server's API key: `api_key_env = "VARIABLE"` in
    the TOML."""
    sampling: Annotated[Sampling, OptionGroup(panel="Sampling")] = SAMPLING
    """How it draws tokens. The defaults are the paper's temperature, and the top-p and top-k that
    Qwen3's model card recommends for thinking."""

    @field_validator("sampling", mode="before")
    @classmethod
    def _usual(cls, given: Any) -> Any:
        return {**SAMPLING.model_dump(), **given} if isinstance(given, dict) else given


class EvaluationConfig(Config):
    """A run's settings, with what is usual for an evaluation.

    The model to evaluate is `[student]`, so one file can serve synthesis and the evaluation of its
    student.
    """

    student: Annotated[EvaluatedModel, OptionGroup(panel="Model")]
    """The model to evaluate."""
    method: str = STUDENT_ONLY
    """One model writes everything."""
    verify: Annotated[str, Option()] = "auto"
    """Verifier, as `NAME` or `NAME:COLUMN`; `auto` takes the one that each question names in its
    column `verifier`."""
    on_wrong: OnWrong = OnWrong.KEEP_JUDGED
    """Answers are kept, right or wrong, unless the verifier broke."""

    def called(self, model: ModelRole) -> str:
        """See `Config.called`."""
        return "the model"

    def option_of(self, model: ModelRole, name: str, value: str) -> str:
        """See `Config.option_of`: there is one model, so no role is named."""
        return f"--{name} {value}"

    @model_validator(mode="before")
    @classmethod
    def _of_one_model(cls, tree: Any) -> Any:
        if not isinstance(tree, dict):
            return tree
        return {"student": {}} | {k: v for k, v in tree.items() if k not in OF_SYNTHESIS}


def load(path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> EvaluationConfig:
    """Read the settings of an evaluation from a TOML file, with others put over them.

    Args:
        path: The file; None for defaults.
        overrides: Dotted keys, such as `student.model`, with their values; None is no override.

    Raises:
        ConfigError: The file is missing or not TOML, a setting is unknown or out of bounds, or no
            model is given.
    """
    return load_settings(EvaluationConfig, path, overrides)
