"""What is selected, and by whom questions are rated: typed, bounded, with units."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from tessy.config import Config, Limits, ModelRole, ModelSettings, OnLimit
from tessy.errors import ConfigError
from tessy.exporting.settings import NGRAM
from tessy.settings.definitions import Option, OptionGroup, StrictSettings, UnitName
from tessy.settings.loading import load_settings

JUDGE = "judge"
"""The name of the judge's scores in conditions."""
_FILTERS = "Filters"
_DRAW = "Drawing"
_OF_JUDGE = ("teacher", "limits", "prompts", "concurrency", "workers", "shards", "seed", "upload_s")
"""Settings of a file that a judge uses; it may have others for other commands."""
_LIMITS = Limits(thinking_tokens=4_000, answer_tokens=1_000, on_thinking_limit=OnLimit.ANSWER)


class SelectSettings(StrictSettings):
    """Everything that decides which questions are selected."""

    by: Annotated[tuple[str, ...], Option(unset="nothing is measured")] = ()
    """What was measured, as `NAME=RUN`: the folder of a `tessy eval` or of a judge, or an
    `evaluation.json`. `NAME` is `student`, `teacher` or any other word."""
    keep: Annotated[
        tuple[str, ...],
        Option(unset="teacher>0 and student<1, of those that are given; otherwise all"),
    ] = ()
    """Keep questions for which this holds, such as `teacher>=0.5`: `NAME`, one of `>` `>=` `<` `<=`
    `==` `!=`, and a number. Rates are 0 to 1, the judge's scores 0 to 10. All must hold."""
    keep_unmeasured: Annotated[bool, Option()] = False
    """Keep questions for which it is not known whether a condition holds, instead of dropping
    them."""
    decontaminate: Annotated[tuple[str, ...], Option(unset="nothing", panel=_FILTERS)] = ()
    """Drop questions that share words with these test questions: a file, or a Hugging Face data
    set."""
    ngram: Annotated[int, UnitName("words"), Option(panel=_FILTERS)] = Field(default=NGRAM, ge=1)
    """Words in a row that a question may not share with a test question."""
    near_duplicates: Annotated[float | None, Option(unset="kept", panel=_FILTERS)] = Field(
        default=None, gt=0, le=1
    )
    """Drop questions that are as similar as this to an earlier one that is kept: 0.8, for
    example."""
    count: Annotated[int | None, Option(unset="all that are left", panel=_DRAW)] = Field(
        default=None, ge=1
    )
    """Draw so many of the questions that are left."""
    stratify: Annotated[str | None, Option(unset="no strata", panel=_DRAW)] = None
    """Draw as many for each value of this column, as far as there are enough."""
    seed: Annotated[int, Option(panel=_DRAW)] = Field(default=0, ge=0)
    """Another seed draws other questions."""

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if self.stratify is not None and self.count is None:
            raise ValueError("--stratify says how --count questions are drawn: give that, too")
        return self


class JudgeSettings(ModelSettings):
    """The model that rates questions."""

    model: Annotated[str | None, Option(head=True, unset="nobody rates the questions")] = None
    """Address: `http://host:port/v1#served-name`, `lab:student`, `lab:teacher`,
    `lab:relative`, `gguf:PATH` or `hf:REPO/FILE`. A server's API key: `api_key_env = "VARIABLE"` in
    the TOML."""


class JudgeConfig(Config):
    """The settings of a judge's run.

    The judge is `[teacher]`, so one file can serve synthesis and the choice of its questions.
    """

    teacher: Annotated[JudgeSettings, OptionGroup("judge", panel="Judge")] = Field(
        default_factory=JudgeSettings
    )
    """The model that rates questions from 0 to 10."""
    method: str = JUDGE
    """The teacher rates each question."""
    limits: Limits = _LIMITS
    """Limits of one rating."""
    concurrency: Annotated[int, Option(panel="Judge")] = Field(default=64, ge=1)
    """Maximum number of questions that are rated at once."""

    def called(self, model: ModelRole) -> str:
        """See `Config.called`."""
        return "the judge"

    def option_of(self, model: ModelRole, name: str, value: str) -> str:
        """See `Config.option_of`: there is one model, the judge."""
        return f"--judge-{name} {value}"

    def address_of(self, model: ModelRole) -> str:
        """See `Config.address_of`.

        Raises:
            ConfigError: It is not set.
        """
        if self.teacher.model is None:
            raise ConfigError(
                "no judge is given",
                hint="--judge http://localhost:8001/v1, or model below [teacher] in the TOML file",
            )
        return self.teacher.model

    @model_validator(mode="before")
    @classmethod
    def _of_the_judge(cls, tree: Any) -> Any:
        if not isinstance(tree, dict):
            return tree
        return {key: value for key, value in tree.items() if key in (*_OF_JUDGE, "method")} | {
            "method": JUDGE
        }

    @field_validator("limits", mode="before")
    @classmethod
    def _usual(cls, given: Any) -> Any:
        return {**_LIMITS.model_dump(), **given} if isinstance(given, dict) else given


def load_judge(path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> JudgeConfig:
    """Read the settings of a judge from a TOML file, with others put over them.

    Args:
        path: The file; None for defaults.
        overrides: Dotted keys, such as `teacher.model`, with their values; None is no override.

    Raises:
        ConfigError: The file is missing or not TOML, or a setting is unknown or out of bounds.
    """
    return load_settings(JudgeConfig, path, overrides)


def read_rubric(path: Path) -> str:
    """Read the rubric of a judge from a file.

    Raises:
        ConfigError: It can't be read, or has no place for the question.
    """
    try:
        rubric = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"--rubric {path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--rubric {path}: {getattr(error, 'strerror', None) or error}") from None
    if "{question}" not in rubric:
        raise ConfigError(
            f"--rubric {path} does not contain {{question}}",
            hint="write {question} where the question goes; how to answer is put after the rubric",
        )
    return rubric.strip()
