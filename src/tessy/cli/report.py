"""`tessy report`: a report on a run, as HTML, Markdown or JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from tessy.cli.options import command
from tessy.cli.scoring import SCORING, ScoringOptions, scorer
from tessy.errors import ConfigError, MissingExtra, install_hint
from tessy.settings.definitions import Location, Option

if TYPE_CHECKING:
    from pathlib import Path

    from tessy.report.source import RunSource


class ReportOptions(ScoringOptions):
    """Options of `tessy report`."""

    run: Annotated[Location, Option(argument=True)]
    """The run's folder, or its URL."""
    against: Annotated[tuple[Location, ...], Option(unset="no comparison")] = ()
    """Another run of the same questions to compare with."""
    out: Annotated[Location | None, Option(unset="report.html in the run's folder")] = None
    """The HTML file to write."""
    json_file: Annotated[Location | None, Option("json", unset="not written")] = None
    """Write all numbers to this JSON file."""
    markdown: Annotated[Location | None, Option(unset="not written")] = None
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

    Writes one HTML file that works offline. Needs the extra `report`.
    """
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise MissingExtra("reports need scikit-learn", hint=install_hint("report")) from None
    from contextlib import ExitStack

    from tessy.data.outputs import written_to
    from tessy.report.formats import BEGINS
    from tessy.report.source import open_runs
    from tessy.runs.remote import reading

    runs = [reading(each, say=options.say) for each in (options.run, *options.against)]
    first, *_ = open_runs(runs)
    wanted = {"html": options.out or f"{options.run}/report.html"}
    wanted |= {"json": options.json_file} if options.json_file else {}
    wanted |= {"markdown": options.markdown} if options.markdown else {}
    with ExitStack() as stack:
        files = {
            name: stack.enter_context(written_to(place, begins=BEGINS[name], say=options.say))
            for name, place in wanted.items()
        }
        _write(options, first, runs, files)
    for place in wanted.values():
        options.say(f"wrote {place}")


def _write(
    options: ReportOptions, first: RunSource, runs: list[Path], files: dict[str, Path]
) -> None:
    """Compute the report and write its files."""
    from tessy.data.outputs import check_outputs
    from tessy.report.figures.intervals import Bootstrap
    from tessy.report.formats import BEGINS
    from tessy.report.job import ReportSettings, make_report, write_report

    options_of = {kind: "--out" if kind == "html" else f"--{kind}" for kind in files}
    check_outputs(
        {options_of[kind]: file for kind, file in files.items()},
        begins={options_of[kind]: BEGINS[kind] for kind in files},
    )
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
