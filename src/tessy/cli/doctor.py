"""`tessy doctor`: checks the models before a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tessy.cli.options import command
from tessy.config import Config
from tessy.settings.definitions import Option, StrictSettings

_PARTS = ("model", "tokenizer", "format")
_PREDICTORS = ("predictor", "student_predictor", "teacher_predictor")


class DoctorOptions(StrictSettings):
    """Options of `tessy doctor`."""

    config: Annotated[Path | None, Option(unset="none")] = None
    """A TOML file with settings; options override it."""


@command(
    only=[*(f"{role}.{part}" for role in ("student", "teacher") for part in _PARTS), *_PREDICTORS]
)
def doctor(options: DoctorOptions, config: Config) -> None:
    """Check what the models can do, and whether synthesis will work with them."""
    from tessy.boundary.registry import load_all
    from tessy.evaluation.told import hand_over_lines
    from tessy.event_loop import run_loop
    from tessy.method.trajectory import Role
    from tessy.models.doctor import examine, readiness, refusal, table

    load_all({role: config.predictor_of(role) for role in Role})  # or say why it can't be used
    findings = run_loop(examine(config, lambda line: typer.echo(line, err=True)))
    Console().print(table(findings))
    for line in hand_over_lines(findings):
        typer.echo(line)
    if refused := refusal(findings):
        raise refused
    typer.echo(readiness(findings, config))
