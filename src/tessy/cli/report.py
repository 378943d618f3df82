"""`tessy report`: a report on a run, as HTML, Markdown or JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from tessy.cli.options import command
from tessy.cli.scoring import SCORING, ScoringOptions, scorer
from tessy.errors import ConfigError, MissingExtra
from tessy.settings import Option


class ReportOptions(ScoringOptions):
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
    words: Annotated[bool, Option()] = False
    """Similarity compares words even if there is a tokenizer."""
    traces: Annotated[int, Option()] = Field(default=12, ge=0, le=50)
    """Finished samples to show."""
    bootstrap_samples: Annotated[int, Option()] = Field(default=1000, ge=0)
    """Bootstrap samples for the confidence intervals."""
    seed: Annotated[int, Option()] = Field(default=0, ge=0)
    """Seed of the bootstrap."""
    scored: Annotated[int, Option(panel=SCORING)] = Field(default=500, ge=1)
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
    wanted = ReportSettings(
        runs=runs,
        tokenizer=None if options.words else _tokenizer(options, own),
        traces=options.traces,
        bootstrap=Bootstrap(options.bootstrap_samples, options.seed),
        open_scorer=scorer(options, first),
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
