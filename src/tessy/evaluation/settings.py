"""The settings of an evaluation: those of a run in which one model writes everything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tessy.config import Config, OnWrong, Sampling, put, read_toml, validate
from tessy.errors import ConfigError

SAMPLING = Sampling(temperature=0.6, top_p=0.95, top_k=20)
"""The paper's temperature; top-p and top-k as Qwen3's model card recommends them."""
VERIFY = "auto"
_OF_SYNTHESIS = {
    "answer_by",
    "attempts",
    "candidates",
    "method",
    "on_wrong",
    "predictor",
    "prompts",
    "student_predictor",
    "teacher",
    "teacher_only_system_prompt",
    "teacher_predictor",
}
"""Settings that a file may have for `tessy synth`; an evaluation ignores them."""


def load(path: Path | None, overrides: dict[str, Any]) -> Config:
    """Settings of an evaluation, as `tessy eval` reads them.

    Args:
        path: A TOML file; None for the defaults.
        overrides: Values by dotted key, such as `student.model`, that override the file's; None
            overrides nothing.

    Raises:
        ConfigError: The file is missing or no TOML, a setting is unknown or out of bounds, or
            nothing names the model.
    """
    tree = read(path)
    for key, value in overrides.items():
        if value is not None:
            put(tree, key, value)
    if "model" not in tree.get("student", {}):
        raise ConfigError("no model to evaluate", hint="--model MODEL")
    return complete(tree, where=str(path or "settings"))


def read(path: Path | None) -> dict[str, Any]:
    """Read a file of settings, with a table for the model's if it has any.

    Raises:
        ConfigError: It is missing or no TOML, or the model's settings are no table.
    """
    tree = {} if path is None else read_toml(path)
    student = tree.get("student", {})
    if not isinstance(student, dict) or not isinstance(student.get("sampling", {}), dict):
        raise ConfigError(f"{path}: student is no table of settings", hint="[student]")
    return tree


def complete(tree: dict[str, Any], *, where: str) -> Config:
    """Fill in the defaults of an evaluation.

    Args:
        tree: Settings, with the model as `student`. Those of synthesis only are ignored.
        where: Where they are from, for errors.

    Raises:
        ConfigError: A setting is unknown or out of bounds.
    """
    student = dict(tree["student"])
    student["sampling"] = {**SAMPLING.model_dump(), **student.get("sampling", {})}
    own = {name: value for name, value in tree.items() if name not in _OF_SYNTHESIS}
    usual = {"verify": VERIFY, "method": "student-only", "on_wrong": OnWrong.KEEP_JUDGED}
    return validate({**usual, **own, "student": student}, where=where)
