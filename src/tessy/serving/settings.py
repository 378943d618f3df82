"""The settings of a server: those of a run, without what is about questions and their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import model_validator

from tessy.config import Config
from tessy.settings.loading import read_toml

NOT_SERVED = (
    "verify",
    "attempts",
    "on_wrong",
    "sandbox",
    "samples_per_question",
    "workers",
    "shards",
    "upload_s",
    "rows_per_file",
    "route",
)
"""Settings that a file may have for `tessy synth`; a server ignores them."""


class ServedConfig(Config):
    """A run's settings, so that one file can be for synthesis and for the server."""

    @model_validator(mode="before")
    @classmethod
    def _of_requests(cls, tree: Any) -> Any:
        if not isinstance(tree, dict):
            return tree
        if tree.get("teachers"):
            raise ValueError("a server has one teacher: give --teacher one address, without a name")
        return {key: value for key, value in tree.items() if key not in NOT_SERVED}


def ignored_in(path: Path | None) -> list[str]:
    """The settings in a file that a server ignores.

    Raises:
        ConfigError: The file is missing or not TOML.
    """
    there = {} if path is None else read_toml(path)
    return [name for name in NOT_SERVED if name in there]
