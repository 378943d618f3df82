"""The options of commands that ask the student how probable a text is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tessy.cli.options import CommandOptions
from tessy.errors import ConfigError
from tessy.settings.definitions import Option

if TYPE_CHECKING:
    from tessy.config import Config
    from tessy.report.scoring.scorers import OpenScorer
    from tessy.report.source import RunSource

SCORING = "Likelihood under the student"


class ScoringOptions(CommandOptions):
    """Which student is asked."""

    student_tokenizer: Annotated[
        str | None, Option(unset="the one in the run's settings; without any, words")
    ] = None
    """Folder or Hugging Face id of the tokenizer; similarity compares its tokens."""
    student: Annotated[str | None, Option(unset="texts are not scored", panel=SCORING)] = None
    """The student's server (`http://host:port/v1#name`), which scores the texts."""
    student_format: Annotated[str | None, Option(unset="the tokenizer's", panel=SCORING)] = None
    """Its chat format if no tokenizer is given: `qwen3`, `deepseek-r1`, `gpt-oss` or `plain`."""
    student_weights: Annotated[Path | None, Option(unset="a server scores", panel=SCORING)] = None
    """A folder with the student's weights, instead of a server."""
    config: Annotated[Path | None, Option(unset="none", panel=SCORING)] = None
    """A TOML file with the settings of the student's server below `[student]`; options override
    it."""


def scorer(options: ScoringOptions, run: RunSource) -> OpenScorer | None:
    """Opens the scorer of the texts; its settings are checked now. None if texts are not scored.

    Args:
        options: The command's options.
        run: The run, whose student it is.

    Raises:
        ConfigError: The options or the settings of the student can't be used.
    """
    from tessy.models.tokenizers import fetch_tokenizer
    from tessy.report.scoring import open_server, open_weights

    own, date = run.student_tokenizer, run.date
    given, weights = options.student_tokenizer, options.student_weights
    if weights is not None:
        if options.student is not None:
            raise ConfigError(
                "--student and --student-weights are both given", hint="leave one out"
            )
        if not weights.is_dir():
            raise ConfigError(f"{weights}: no such folder", hint="--student-weights FOLDER")
        chosen = given or (None if (weights / "tokenizer.json").exists() else own)
        place = fetch_tokenizer(chosen) if chosen else None
        return lambda say: open_weights(weights, place, date, say)
    if options.student is None:
        return None
    config = _student(options, own)
    return lambda say: open_server(config, date, say)


def _student(options: ScoringOptions, own: str | None) -> Config:
    """The settings of the student's server; by default it has the run's tokenizer."""
    from tessy.config import load
    from tessy.method.trajectory import Role
    from tessy.models.checks import check, check_formats

    overrides = {
        "student.model": options.student,
        "student.tokenizer": None if options.student_format else options.student_tokenizer,
        "student.format": options.student_format,
    }
    config = load(options.config, overrides)
    if own and not (config.student.tokenizer or config.student.format):
        config = load(options.config, {**overrides, "student.tokenizer": own})
    check(config, [Role.STUDENT])
    check_formats(config, [Role.STUDENT])
    return config
