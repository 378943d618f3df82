"""`tessy report`: a report on a run, as HTML, Markdown or JSON."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from tessy.cli.options import CommandOptions, command
from tessy.errors import ConfigError, MissingExtra
from tessy.settings import Option

if TYPE_CHECKING:
    from tessy.config import Config
    from tessy.report.scoring.scorers import OpenScorer

_SCORING = "Likelihood under the student"


class ReportOptions(CommandOptions):
    """Options of `tessy report`."""

    run: Annotated[Path, Option(argument=True)]
    """The run's folder."""
    against: Annotated[tuple[Path, ...], Option(unset="no comparison")] = ()
    """Another run of the same questions to compare with."""
    out: Annotated[Path | None, Option(unset="report.html in the run's folder")] = None
    """The HTML file to write."""
    json_file: Annotated[Path | None, Option("json", unset="not written")] = None
    """Write all numbers to this JSON file."""
    markdown: Annotated[Path | None, Option(unset="not written")] = None
    """Also write the report to this Markdown file."""
    student_tokenizer: Annotated[
        str | None, Option(unset="the one in the run's settings; without any, words")
    ] = None
    """Folder or Hugging Face id of the tokenizer; similarity compares its tokens."""
    words: Annotated[bool, Option()] = False
    """Similarity compares words even if there is a tokenizer."""
    traces: Annotated[int, Option()] = Field(default=12, ge=0, le=50)
    """Finished samples to show."""
    bootstrap_samples: Annotated[int, Option()] = Field(default=1000, ge=0)
    """Bootstrap samples for the confidence intervals."""
    seed: Annotated[int, Option()] = Field(default=0, ge=0)
    """Seed of the bootstrap."""
    student: Annotated[str | None, Option(unset="texts are not scored", panel=_SCORING)] = None
    """The student's server (`http://host:port/v1#name`), which scores the texts."""
    student_format: Annotated[str | None, Option(unset="the tokenizer's", panel=_SCORING)] = None
    """Its chat format if no tokenizer is given: `qwen3`, `deepseek-r1`, `gpt-oss` or `plain`."""
    student_weights: Annotated[Path | None, Option(unset="a server scores", panel=_SCORING)] = None
    """A folder with the student's weights, instead of a server."""
    config: Annotated[Path | None, Option(unset="none", panel=_SCORING)] = None
    """A TOML file with the settings of the student's server below `[student]`; options override
    it."""
    scored: Annotated[int, Option(panel=_SCORING)] = Field(default=500, ge=1)
    """The maximum number of questions to score."""


@command()
def report(options: ReportOptions) -> None:
    """Report on a run: who wrote what, whether it is closer to the student, and what it cost.

    Writes one HTML file that works offline. Needs `pip install 'tessy[report]'`.
    """
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise MissingExtra(
            "reports need scikit-learn", hint="pip install 'tessy[report]'"
        ) from None
    from tessy.data.outputs import check_outputs
    from tessy.report.figures.intervals import Bootstrap
    from tessy.report.job import ReportSettings, make_report, write_report
    from tessy.report.source import open_runs

    runs = [options.run, *options.against]
    first, *_ = open_runs(runs)
    files = {"html": options.out or options.run / "report.html"}
    files |= {"json": options.json_file} if options.json_file else {}
    files |= {"markdown": options.markdown} if options.markdown else {}
    check_outputs({"--out" if kind == "html" else f"--{kind}": f for kind, f in files.items()})
    own = first.student_tokenizer
    date = first.settings.get("run", {}).get("date") or datetime.date(1970, 1, 1)
    wanted = ReportSettings(
        runs=runs,
        tokenizer=None if options.words else _tokenizer(options, own),
        traces=options.traces,
        bootstrap=Bootstrap(options.bootstrap_samples, options.seed),
        open_scorer=_scorer(options, own, date),
        scored=options.scored,
    )
    write_report(make_report(wanted, options.say), files)
    for path in files.values():
        options.say(f"wrote {path}")


def _tokenizer(options: ReportOptions, own: str | None) -> str | None:
    """The tokenizer for similarity; the one in the run's settings only if it is available."""
    from tessy.models.tokenizers import fetch_tokenizer

    if options.student_tokenizer or own is None:
        return options.student_tokenizer
    try:
        fetch_tokenizer(own)
    except ConfigError:
        options.say(f"the student's tokenizer, {own}, is not available: similarity compares words")
        return None
    return own


def _scorer(options: ReportOptions, own: str | None, date: datetime.date) -> OpenScorer | None:
    """Opens the scorer of the texts; its settings are checked now. None if texts are not scored.

    Args:
        options: The command's options.
        own: The tokenizer of the run's student.
        date: The run's date.

    Raises:
        ConfigError: The options or the settings of the student can't be used.
    """
    from tessy.models.tokenizers import fetch_tokenizer
    from tessy.report.scoring import open_server, open_weights

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


def _student(options: ReportOptions, own: str | None) -> Config:
    """The settings of the student's server; by default it has the run's tokenizer."""
    from tessy.config import load
    from tessy.method.trajectory import Role
    from tessy.models.open import check, check_formats

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
